package main

import (
	"context"
	"sync"
	"time"
)

// Holds are the requests that a rule has stopped, until they are let go.
type Holds struct {
	mu      sync.Mutex
	held    int
	changed chan struct{} // closed at the next change of held
	gate    chan struct{} // closed when all are let go
}

func newHolds() *Holds {
	return &Holds{changed: make(chan struct{}), gate: make(chan struct{})}
}

// count adds to the number of held requests and tells who waits for it.
func (h *Holds) count(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held += n
	close(h.changed)
	h.changed = make(chan struct{})
}

// hold stops until release, or until the client goes away.
func (h *Holds) hold(client context.Context) {
	h.mu.Lock()
	gate := h.gate
	h.mu.Unlock()
	h.count(1)
	defer h.count(-1)
	select {
	case <-gate:
	case <-client.Done():
	}
}

// release lets all go.
func (h *Holds) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.gate)
	h.gate = make(chan struct{})
}

// wait returns how many are held, as soon as any is; no later than the limit.
func (h *Holds) wait(limit time.Duration) int {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		h.mu.Lock()
		held, changed := h.held, h.changed
		h.mu.Unlock()
		if held > 0 {
			return held
		}
		select {
		case <-changed:
		case <-deadline.C:
			return 0
		}
	}
}
