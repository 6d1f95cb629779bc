package main

import "testing"

// A client can be ended exactly before its call takes effect, or exactly after.
func TestAHeldCallStopsUntilTheFaultsAreCleared(t *testing.T) {
	l := newLab(t)
	have := func(name string) bool {
		return l.sim.registry().FindByName(name, l.vmChildren()) != nil
	}
	var told struct {
		Held int `json:"held"`
	}
	for _, c := range []struct {
		action    string
		committed bool
	}{{"hold-before", false}, {"hold-after-commit", true}} {
		l.fault(`{"match":{"method":"CreateFolder"},"action":"` + c.action + `"}`)
		l.post("GET", "/held?wait_ms=0", nil, &told)
		if told.Held != 0 {
			t.Fatalf("%s: %d held before any call", c.action, told.Held)
		}
		done := make(chan error, 1)
		go func() { _, err := l.vmFolder().CreateFolder(l.ctx, c.action); done <- err }()
		l.post("GET", "/held", nil, &told)
		if told.Held != 1 || have(c.action) != c.committed {
			t.Errorf("%s: %d held, committed %v", c.action, told.Held, have(c.action))
		}
		l.post("DELETE", "/faults", nil, nil)
		if err := <-done; err == nil {
			t.Errorf("%s: the call was answered", c.action)
		}
		if have(c.action) != c.committed {
			t.Errorf("%s: committed %v after all", c.action, !c.committed)
		}
	}
}
