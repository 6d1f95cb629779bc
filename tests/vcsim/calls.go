package main

import (
	"sync"
	"time"
)

// Call is one request as the log keeps it.
type Call struct {
	ID     int64     `json:"id"`
	Time   time.Time `json:"time"`
	Client string    `json:"client"`
	Method string    `json:"method"`
	Object string    `json:"object,omitempty"`
	Status int       `json:"status"`
	Fault  string    `json:"fault,omitempty"`
}

// CallLog counts the requests of every session user and keeps them in order.
type CallLog struct {
	mu     sync.Mutex
	next   int64
	counts map[string]map[string]int
	log    []Call
}

// keptCalls bounds the log; counts are never cut.
const keptCalls = 200000

func newCallLog() *CallLog { return &CallLog{counts: map[string]map[string]int{}} }

func (l *CallLog) add(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	c.ID = l.next
	if l.counts[c.Client] == nil {
		l.counts[c.Client] = map[string]int{}
	}
	l.counts[c.Client][c.Method]++
	l.log = append(l.log, c)
	if len(l.log) > keptCalls {
		l.log = append([]Call(nil), l.log[keptCalls/2:]...)
	}
}

func (l *CallLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts = map[string]map[string]int{}
	l.log = nil
}

// CallReport is the body of GET /calls.
type CallReport struct {
	Counts map[string]map[string]int `json:"counts"`
	Last   int64                     `json:"last"`
	Log    []Call                    `json:"log"`
}

// report copies the counts and the entries after the given one.
func (l *CallLog) report(since int64) CallReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := CallReport{Counts: map[string]map[string]int{}, Last: l.next, Log: []Call{}}
	for u, m := range l.counts {
		r.Counts[u] = map[string]int{}
		for k, n := range m {
			r.Counts[u][k] = n
		}
	}
	for _, c := range l.log {
		if c.ID > since {
			r.Log = append(r.Log, c)
		}
	}
	return r
}
