package main

import (
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

type moref = types.ManagedObjectReference

// Hub hears of every change in the registry and tells whoever listens. Its
// callbacks run under the locks of the changed object, so they only note and wake.
type Hub struct {
	self moref

	mu        sync.Mutex
	listeners map[*Listener]struct{}
	gone      map[moref]bool
	finished  map[moref]bool
	waiting   map[moref]chan struct{}
}

// Listener gathers the references of changed objects until it is drained.
type Listener struct {
	hub   *Hub
	mu    sync.Mutex
	dirty map[moref]bool
	wake  chan struct{}
}

func newHub() *Hub {
	return &Hub{
		self:      moref{Type: "LabHub", Value: "LabHub"},
		listeners: map[*Listener]struct{}{},
		gone:      map[moref]bool{},
		finished:  map[moref]bool{},
		waiting:   map[moref]chan struct{}{},
	}
}

// Reference makes the hub a handler of the registry.
func (h *Hub) Reference() moref { return h.self }

// PutObject notes a new object.
func (h *Hub) PutObject(_ *simulator.Context, o mo.Reference) { h.touch(o.Reference()) }

// UpdateObject notes a changed object; a task's end wakes who awaits it.
func (h *Hub) UpdateObject(_ *simulator.Context, o mo.Reference, changes []types.PropertyChange) {
	ref := o.Reference()
	if ref.Type == "Task" {
		for _, c := range changes {
			if c.Name == "info.state" && (c.Val == types.TaskInfoStateSuccess || c.Val == types.TaskInfoStateError) {
				h.finish(ref)
			}
		}
	}
	h.touch(ref)
}

// RemoveObject notes that an object is gone: references are never used again.
func (h *Hub) RemoveObject(_ *simulator.Context, ref moref) {
	h.mu.Lock()
	h.gone[ref] = true
	delete(h.finished, ref)
	h.mu.Unlock()
	h.touch(ref)
}

// touch tells the listeners that an object may have changed.
func (h *Hub) touch(refs ...moref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		l.add(refs)
	}
}

func (l *Listener) add(refs []moref) {
	l.mu.Lock()
	for _, r := range refs {
		l.dirty[r] = true
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (h *Hub) isGone(ref moref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone[ref]
}

func (h *Hub) listen() *Listener {
	l := &Listener{hub: h, dirty: map[moref]bool{}, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	h.listeners[l] = struct{}{}
	h.mu.Unlock()
	return l
}

func (l *Listener) close() {
	l.hub.mu.Lock()
	delete(l.hub.listeners, l)
	l.hub.mu.Unlock()
}

// drain returns what changed since the last time.
func (l *Listener) drain() map[moref]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.dirty
	l.dirty = map[moref]bool{}
	return d
}

func (h *Hub) finish(task moref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.waiting[task]; c != nil {
		delete(h.waiting, task)
		close(c)
		return
	}
	h.finished[task] = true
}

// ended is closed when the task has come to its end.
func (h *Hub) ended(task moref) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := make(chan struct{})
	if h.finished[task] {
		delete(h.finished, task)
		close(c)
		return c
	}
	h.waiting[task] = c
	return c
}
