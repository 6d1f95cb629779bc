package main

type Guests struct{}

func newGuests(*Simulator) *Guests   { return &Guests{} }
func (g *Guests) run()               {}
func (g *Guests) stopAll()           {}
func (g *Guests) retune()            {}
func (g *Guests) state(moref) string { return "" }

type Adapter struct{}

func newAdapter(*Simulator) *Adapter { return &Adapter{} }
func (a *Adapter) run()              {}

type containerRequest struct{}

func (s *Simulator) postContainer(*containerRequest) (any, error) { return nil, nil }

type editRequest struct{}

func (s *Simulator) postEdit(*editRequest) (any, error) { return nil, nil }
