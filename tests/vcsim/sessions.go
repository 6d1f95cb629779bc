package main

import (
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Sessions remembers which user a session key belongs to, also after its end:
// a call on an expired session still counts for its user.
type Sessions struct {
	sim   *Simulator
	mu    sync.Mutex
	known map[string]*simulator.Session
	users map[string]string
}

func (s *Sessions) note(sess *simulator.Session) {
	if sess.UserName == "" {
		return
	}
	s.mu.Lock()
	s.known[sess.Key] = sess
	s.mu.Unlock()
}

// find returns a session that has made a call.
func (s *Sessions) find(key string) *simulator.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[key]
}

// login notes the key that a login was answered with.
func (s *Sessions) login(key, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == nil {
		s.users = map[string]string{}
	}
	s.users[key] = user
}

func (s *Sessions) user(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.users[key]
}

// list returns the sessions that are alive.
func (s *Sessions) list() []types.UserSession {
	probe := &simulator.Session{Registry: simulator.NewRegistry(), Map: s.sim.registry()}
	sm, ok := probe.Get(*s.sim.content().SessionManager).(*simulator.SessionManager)
	if !ok {
		return nil
	}
	return sm.SessionList
}

func (s *Sessions) alive(key string) bool {
	for _, u := range s.list() {
		if u.Key == key {
			return true
		}
	}
	return false
}

// expire ends one session as an idle limit would: what is bound to it is gone.
func (s *Sessions) expire(key string) {
	ctx := s.sim.newContext()
	s.sim.registry().SessionManager().TerminateSession(ctx, &types.TerminateSession{SessionId: []string{key}})
	s.mu.Lock()
	sess := s.known[key]
	delete(s.known, key)
	s.mu.Unlock()
	if sess != nil {
		release(ctx, sess)
	}
}

// expireUser ends every session of a user; the empty name means all users.
func (s *Sessions) expireUser(user string) int {
	n := 0
	for _, u := range s.list() {
		if user == "" || u.UserName == user {
			s.expire(u.Key)
			n++
		}
	}
	return n
}

// release frees what a session holds: waits end, views stop listening.
func release(ctx *simulator.Context, sess *simulator.Session) {
	for _, obj := range sess.AllReference("") {
		if c, ok := obj.(*Collector); ok {
			c.stop()
		}
		if h, ok := obj.(simulator.RegisterObject); ok {
			ctx.Map.RemoveHandler(h)
		}
	}
}

// Logout ends the session's waits before the session itself.
func (o *overrides) Logout(ctx *simulator.Context, _ *types.Logout) soap.HasFault {
	o.sim.sessions.mu.Lock()
	delete(o.sim.sessions.known, ctx.Session.Key)
	o.sim.sessions.mu.Unlock()
	release(ctx, ctx.Session)
	c := o.sim.newContext()
	o.sim.registry().SessionManager().TerminateSession(c, &types.TerminateSession{SessionId: []string{ctx.Session.Key}})
	return &methods.LogoutBody{Res: new(types.LogoutResponse)}
}
