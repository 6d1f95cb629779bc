package main

import (
	"strconv"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	maxUpdates = 100 // objects in one answer: a vCenter's default, whatever is asked
	gather     = 3 * time.Millisecond
)

// CancelWaitForUpdates ends the wait that runs with RequestCanceled.
func (c *Collector) CancelWaitForUpdates(ctx *simulator.Context, _ *types.CancelWaitForUpdates) soap.HasFault {
	c.prepare(ctx)
	c.interrupt()
	return &methods.CancelWaitForUpdatesBody{Res: new(types.CancelWaitForUpdatesResponse)}
}

func (c *Collector) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		close(c.cancel)
		c.cancel = make(chan struct{})
	}
}

// WaitForUpdatesEx answers when something has changed since the given version.
// A second wait on the same collector cancels the first.
func (c *Collector) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	c.prepare(ctx)
	if !c.waiting.TryLock() {
		c.interrupt()
		c.waiting.Lock()
	}
	defer c.waiting.Unlock()
	c.mu.Lock()
	cancel := c.cancel
	c.mu.Unlock()

	limit := maxUpdates
	var timeout <-chan time.Time
	once := false
	if o := req.Options; o != nil {
		if o.MaxObjectUpdates > 0 {
			limit = min(limit, int(o.MaxObjectUpdates))
		}
		if o.MaxWaitSeconds != nil {
			once = *o.MaxWaitSeconds <= 0
			t := time.NewTimer(time.Duration(*o.MaxWaitSeconds) * time.Second)
			defer t.Stop()
			timeout = t.C
		}
	}
	if set, f := c.resume(req.Version, limit); set != nil || f != nil {
		return waitReply(set, f)
	}
	for {
		set, f := c.collect(ctx, limit)
		if set != nil || f != nil || once {
			return waitReply(set, f)
		}
		select {
		case <-cancel:
			if simOf(ctx).sessions.alive(ctx.Session.Key) {
				return waitReply(nil, &types.RequestCanceled{})
			}
			return waitReply(nil, notAuthenticated(req.This))
		case <-timeout:
			return waitReply(nil, nil)
		case <-c.sim.ctx.Done():
			return waitReply(nil, &types.RequestCanceled{})
		case <-c.listener.wake:
			time.Sleep(gather) // let the other updates of the same act arrive
		case <-c.poke:
		}
	}
}

func waitReply(set *types.UpdateSet, f types.BaseMethodFault) soap.HasFault {
	if f != nil {
		return &methods.WaitForUpdatesExBody{Fault_: fault(f)}
	}
	return &methods.WaitForUpdatesExBody{Res: &types.WaitForUpdatesExResponse{Returnval: set}}
}

// resume settles the version: start over, repeat the last answer, its next page, or go on.
func (c *Collector) resume(version string, limit int) (*types.UpdateSet, types.BaseMethodFault) {
	if version == "" {
		for _, f := range c.filters {
			clear(f.known)
		}
		c.remainder, c.last = nil, nil
		return nil, nil
	}
	n, err := strconv.Atoi(version)
	switch {
	case err == nil && n == c.version && c.version > 0:
		if len(c.remainder) > 0 {
			return c.page(c.remainder, limit), nil
		}
		return nil, nil
	case err == nil && n == c.version-1 && c.last != nil:
		return c.last, nil
	}
	return nil, &types.InvalidCollectorVersion{}
}

// collect gathers the updates of all filters; nil when there are none.
func (c *Collector) collect(ctx *simulator.Context, limit int) (*types.UpdateSet, types.BaseMethodFault) {
	dirty := c.listener.drain()
	c.mu.Lock()
	filters := append([]*Filter(nil), c.filters...)
	c.mu.Unlock()
	var all []types.PropertyFilterUpdate
	for _, f := range filters {
		objs, err := f.changes(ctx, dirty)
		if err != nil {
			return nil, err
		}
		if len(objs) > 0 {
			all = append(all, types.PropertyFilterUpdate{Filter: f.Self, ObjectSet: objs})
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return c.page(all, limit), nil
}

// page cuts the updates to the limit and keeps the rest for the next call.
func (c *Collector) page(all []types.PropertyFilterUpdate, limit int) *types.UpdateSet {
	set := &types.UpdateSet{}
	c.remainder = nil
	for _, u := range all {
		take := min(limit, len(u.ObjectSet))
		if take > 0 {
			set.FilterSet = append(set.FilterSet, types.PropertyFilterUpdate{Filter: u.Filter, ObjectSet: u.ObjectSet[:take]})
			limit -= take
		}
		if take < len(u.ObjectSet) {
			c.remainder = append(c.remainder, types.PropertyFilterUpdate{Filter: u.Filter, ObjectSet: u.ObjectSet[take:]})
		}
	}
	if len(c.remainder) > 0 {
		yes := true
		set.Truncated = &yes
	}
	c.version++
	set.Version = strconv.Itoa(c.version)
	c.last = set
	return set
}

// WaitForUpdates is the older form of WaitForUpdatesEx.
func (c *Collector) WaitForUpdates(ctx *simulator.Context, req *types.WaitForUpdates) soap.HasFault {
	body := &methods.WaitForUpdatesBody{}
	reply := c.WaitForUpdatesEx(ctx, &types.WaitForUpdatesEx{This: req.This, Version: req.Version})
	if f := reply.Fault(); f != nil {
		body.Fault_ = f
		return body
	}
	ex, ok := reply.(*methods.WaitForUpdatesExBody)
	if ok && ex.Res.Returnval != nil {
		body.Res = &types.WaitForUpdatesResponse{Returnval: *ex.Res.Returnval}
	}
	return body
}
