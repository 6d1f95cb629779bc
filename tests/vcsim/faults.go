package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// Match says which requests a rule concerns; empty members match everything.
type Match struct {
	Method string `json:"method,omitempty"` // SOAP method or "PUT /folder"; a trailing * is a wildcard
	Object string `json:"object,omitempty"` // "Type:value", "Type", or a part of a datastore path
	User   string `json:"user,omitempty"`
	Path   string `json:"path,omitempty"` // as Object
}

// Action is what a rule does. It is written as a word, with its parameters beside
// it in the rule or within an object: {"type": "status", "status": 503}.
type Action struct {
	Type   string `json:"type"`
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
	Fault  string `json:"fault,omitempty"`
	Delay  int    `json:"delay_ms,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	After  bool   `json:"commit,omitempty"`
}

// UnmarshalJSON takes a word or an object.
func (a *Action) UnmarshalJSON(b []byte) error {
	var word string
	if json.Unmarshal(b, &word) == nil {
		a.Type = word
		return nil
	}
	type plain Action
	return json.Unmarshal(b, (*plain)(a))
}

// Rule is one injected fault.
type Rule struct {
	ID     int    `json:"id"`
	Match  Match  `json:"match"`
	Times  *int   `json:"times,omitempty"` // how often it strikes: 1 if absent, -1 for ever
	After  int    `json:"after,omitempty"` // how many matches pass first
	Action Action `json:"action"`
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
	Fault  string `json:"fault,omitempty"`
	Delay  int    `json:"delay_ms,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	Commit bool   `json:"commit,omitempty"` // task-fault: do the work, then fail

	Seen int `json:"seen"`
	Hits int `json:"hits"`
}

var actions = map[string]bool{
	"status": true, "body": true, "fault": true, "delay": true, "drop-before": true, "drop-after-commit": true,
	"truncate": true, "expire-session": true, "task-fault": true, "task-delay": true,
	"hold-before": true, "hold-after-commit": true,
}

// Faults holds the rules of the control port.
type Faults struct {
	mu    sync.Mutex
	next  int
	rules []*Rule
	holds *Holds
}

func newFaults() *Faults { return &Faults{holds: newHolds()} }

func (f *Faults) add(r *Rule) error {
	a := &r.Action
	a.Status, a.Delay, a.Bytes = max(a.Status, r.Status), max(a.Delay, r.Delay), max(a.Bytes, r.Bytes)
	a.After = a.After || r.Commit
	if a.Body == "" {
		a.Body = r.Body
	}
	if a.Fault == "" {
		a.Fault = r.Fault
	}
	if !actions[a.Type] {
		return fmt.Errorf("unknown action %q", a.Type)
	}
	if a.Type == "fault" || a.Type == "task-fault" {
		if a.Fault == "" {
			a.Fault = "SystemError"
		}
		if _, err := newFault(a.Fault); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	r.ID = f.next
	f.rules = append(f.rules, r)
	return nil
}

func (f *Faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
	f.holds.release()
}

func (f *Faults) list() []Rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []Rule{}
	for _, r := range f.rules {
		out = append(out, *r)
	}
	return out
}

func (m Match) fits(method, object, user string) bool {
	if p, ok := strings.CutSuffix(m.Method, "*"); ok {
		if !strings.HasPrefix(method, p) {
			return false
		}
	} else if m.Method != "" && m.Method != method {
		return false
	}
	if m.User != "" && m.User != user {
		return false
	}
	for _, want := range []string{m.Object, m.Path} {
		if want != "" && want != object && !strings.HasPrefix(object, want+":") &&
			!(strings.HasPrefix(object, "[") && strings.Contains(object, want)) {
			return false
		}
	}
	return true
}

// strike counts a match and tells whether the rule acts on it. The lock is held.
func (r *Rule) strike() bool {
	times := 1
	if r.Times != nil {
		times = *r.Times
	}
	r.Seen++
	if r.Seen <= r.After || times >= 0 && r.Hits >= times {
		return false
	}
	r.Hits++
	return true
}

// take returns the actions for one request, in the order of the rules.
func (f *Faults) take(method, object, user string) []Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Action
	for _, r := range f.rules {
		if !strings.HasPrefix(r.Action.Type, "task-") && r.Match.fits(method, object, user) && r.strike() {
			out = append(out, r.Action)
		}
	}
	return out
}

// taskFault is what the rules do to one task.
type taskFault struct {
	fault types.BaseMethodFault
	after bool
	delay time.Duration
}

func (f *Faults) task(method, object, user string) taskFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out taskFault
	for _, r := range f.rules {
		if !strings.HasPrefix(r.Action.Type, "task-") || !r.Match.fits(method, object, user) || !r.strike() {
			continue
		}
		out.delay += time.Duration(r.Action.Delay) * time.Millisecond
		if r.Action.Type == "task-fault" {
			out.fault, _ = newFault(r.Action.Fault)
			out.after = r.Action.After
		}
	}
	return out
}

// newFault makes a fault of the named type with empty members.
func newFault(name string) (types.BaseMethodFault, error) {
	t, ok := types.TypeFunc()(name)
	if ok && t.Kind() == reflect.Struct {
		if f, ok := reflect.New(t).Interface().(types.BaseMethodFault); ok {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%q is no fault", name)
}
