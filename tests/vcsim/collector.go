package main

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// Collector is a PropertyCollector whose waits cost as much as what changed.
// govmomi's collects the whole inventory again for every change; this one looks
// at the objects that the hub calls dirty. Its versions are real: one that was
// never given out is an InvalidCollectorVersion, and the one before the last
// gets the last answer again, so that a lost reply loses nothing.
type Collector struct {
	simulator.PropertyCollector

	sim *Simulator

	mu       sync.Mutex
	filters  []*Filter
	listener *Listener
	stopped  bool

	waiting sync.Mutex // held by the one wait that runs
	cancel  chan struct{}
	poke    chan struct{}

	version   int // of the last answer
	last      *types.UpdateSet
	remainder []types.PropertyFilterUpdate
}

// Filter is one PropertyFilter and what its client knows through it.
type Filter struct {
	mo.PropertyFilter

	owner *Collector
	known map[moref]map[string][sha256.Size]byte
}

// prepare readies a collector that the session made by reflection.
func (c *Collector) prepare(ctx *simulator.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener == nil {
		c.sim = simOf(ctx)
		c.listener = c.sim.hub.listen()
		c.cancel = make(chan struct{})
		c.poke = make(chan struct{}, 1)
	}
}

// stop ends the collector with its session.
func (c *Collector) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped || c.listener == nil {
		return
	}
	c.stopped = true
	c.listener.close()
	close(c.cancel)
}

// CreatePropertyCollector makes one more collector of the session.
func (c *Collector) CreatePropertyCollector(ctx *simulator.Context, _ *types.CreatePropertyCollector) soap.HasFault {
	child := &Collector{}
	child.Self.Type = "PropertyCollector"
	ref := ctx.Session.Put(child).Reference()
	child.prepare(ctx)
	return &methods.CreatePropertyCollectorBody{Res: &types.CreatePropertyCollectorResponse{Returnval: ref}}
}

// DestroyPropertyCollector ends a collector and its filters.
func (c *Collector) DestroyPropertyCollector(ctx *simulator.Context, req *types.DestroyPropertyCollector) soap.HasFault {
	c.prepare(ctx)
	c.stop()
	for _, f := range c.filters {
		ctx.Session.Remove(ctx, f.Self)
	}
	ctx.Session.Remove(ctx, req.This)
	return &methods.DestroyPropertyCollectorBody{Res: &types.DestroyPropertyCollectorResponse{}}
}

// CreateFilter adds a filter; a wait that runs takes notice of it.
func (c *Collector) CreateFilter(ctx *simulator.Context, req *types.CreateFilter) soap.HasFault {
	c.prepare(ctx)
	if missing, bad := invalidPath(req.Spec); bad {
		return &methods.CreateFilterBody{Fault_: fault(&types.InvalidProperty{Name: missing})}
	}
	f := &Filter{owner: c, known: map[moref]map[string][sha256.Size]byte{}}
	f.Self.Type = "PropertyFilter"
	f.PartialUpdates, f.Spec = req.PartialUpdates, req.Spec
	ref := ctx.Session.Put(f).Reference()
	c.mu.Lock()
	c.filters = append(c.filters, f)
	c.Filter = with(c.Filter, ref)
	c.mu.Unlock()
	c.nudge()
	return &methods.CreateFilterBody{Res: &types.CreateFilterResponse{Returnval: ref}}
}

func (c *Collector) nudge() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// DestroyPropertyFilter takes a filter away; its objects are not reported as gone.
func (f *Filter) DestroyPropertyFilter(ctx *simulator.Context, req *types.DestroyPropertyFilter) soap.HasFault {
	c := f.owner
	c.mu.Lock()
	for i, have := range c.filters {
		if have == f {
			c.filters = append(c.filters[:i:i], c.filters[i+1:]...)
			break
		}
	}
	c.Filter = without(c.Filter, req.This)
	c.mu.Unlock()
	ctx.Session.Remove(ctx, req.This)
	return &methods.DestroyPropertyFilterBody{Res: &types.DestroyPropertyFilterResponse{}}
}

// managedTypes are the kinds whose property paths are checked.
var managedTypes = map[string]reflect.Type{
	"ClusterComputeResource": reflect.TypeFor[mo.ClusterComputeResource](), "ComputeResource": reflect.TypeFor[mo.ComputeResource](),
	"Datacenter": reflect.TypeFor[mo.Datacenter](), "Datastore": reflect.TypeFor[mo.Datastore](),
	"DistributedVirtualPortgroup": reflect.TypeFor[mo.DistributedVirtualPortgroup](), "DistributedVirtualSwitch": reflect.TypeFor[mo.DistributedVirtualSwitch](),
	"Folder": reflect.TypeFor[mo.Folder](), "HostSystem": reflect.TypeFor[mo.HostSystem](), "ManagedEntity": reflect.TypeFor[mo.ManagedEntity](),
	"Network": reflect.TypeFor[mo.Network](), "OpaqueNetwork": reflect.TypeFor[mo.OpaqueNetwork](), "ResourcePool": reflect.TypeFor[mo.ResourcePool](),
	"Task": reflect.TypeFor[mo.Task](), "VirtualApp": reflect.TypeFor[mo.VirtualApp](), "VirtualMachine": reflect.TypeFor[mo.VirtualMachine](),
}

// invalidPath finds a property path that its type does not have, as far as the
// declared types tell: below an abstract type anything may follow.
func invalidPath(spec types.PropertyFilterSpec) (string, bool) {
	for _, p := range spec.PropSet {
		t, ok := managedTypes[p.Type]
		for _, path := range p.PathSet {
			if ok && !hasPath(t, strings.Split(path, ".")) {
				return path, true
			}
		}
	}
	return "", false
}

func hasPath(t reflect.Type, path []string) bool {
	for _, name := range path {
		name, _, keyed := strings.Cut(name, "[")
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Interface {
			return true
		}
		if t.Kind() != reflect.Struct || name == "" {
			return false
		}
		f, ok := t.FieldByName(strings.ToUpper(name[:1]) + name[1:])
		if !ok || keyed {
			return ok
		}
		t = f.Type
	}
	return true
}

// members lists the objects that a filter selects now.
func (f *Filter) members(ctx *simulator.Context) ([]moref, types.BaseMethodFault) {
	if refs, ok := f.viewMembers(ctx); ok {
		return refs, nil
	}
	empty := make([]types.PropertySpec, 0, len(f.Spec.PropSet))
	for _, p := range f.Spec.PropSet {
		empty = append(empty, types.PropertySpec{Type: p.Type})
	}
	objs, err := retrieve(ctx, types.PropertyFilterSpec{PropSet: empty, ObjectSet: f.Spec.ObjectSet})
	var refs []moref
	for _, o := range objs {
		refs = with(refs, o.Obj)
	}
	return refs, err
}

// viewMembers is the short way for the usual filter: all objects of a view.
func (f *Filter) viewMembers(ctx *simulator.Context) ([]moref, bool) {
	if len(f.Spec.ObjectSet) != 1 {
		return nil, false
	}
	o := f.Spec.ObjectSet[0]
	if o.Skip == nil || !*o.Skip || len(o.SelectSet) != 1 {
		return nil, false
	}
	t, ok := o.SelectSet[0].(*types.TraversalSpec)
	if !ok || t.Path != "view" || len(t.SelectSet) > 0 || t.Skip != nil && *t.Skip {
		return nil, false
	}
	view := ctx.Session.Get(o.Obj)
	var all []moref
	if view == nil {
		return nil, true
	}
	ctx.WithLock(view, func() {
		switch v := view.(type) {
		case *simulator.ContainerView:
			all = append(all, v.View...)
		case *simulator.ListView:
			all = append(all, v.View...)
		default:
			ok = false
		}
	})
	seen := make(map[moref]bool, len(all))
	refs := all[:0]
	for _, r := range all {
		if !seen[r] && f.wants(r.Type) {
			seen[r] = true
			refs = append(refs, r)
		}
	}
	return refs, ok
}

// subtypes are the kinds that a property spec for their base type covers.
var subtypes = map[string][]string{
	"ClusterComputeResource":         {"ComputeResource", "ManagedEntity"},
	"VirtualApp":                     {"ResourcePool", "ManagedEntity"},
	"DistributedVirtualPortgroup":    {"Network", "ManagedEntity"},
	"OpaqueNetwork":                  {"Network", "ManagedEntity"},
	"VmwareDistributedVirtualSwitch": {"DistributedVirtualSwitch", "ManagedEntity"},
	"StoragePod":                     {"Folder", "ManagedEntity"},
}

func (f *Filter) wants(kind string) bool {
	for _, p := range f.Spec.PropSet {
		if p.Type == kind || p.Type == "ManagedEntity" && kind != "Task" {
			return true
		}
		for _, base := range subtypes[kind] {
			if p.Type == base {
				return true
			}
		}
	}
	return false
}

// retrieve collects through govmomi's collector, which copies under the objects' locks.
func retrieve(ctx *simulator.Context, spec types.PropertyFilterSpec) ([]types.ObjectContent, types.BaseMethodFault) {
	report := true
	spec.ReportMissingObjectsInResults = &report
	var pc simulator.PropertyCollector
	reply := pc.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{SpecSet: []types.PropertyFilterSpec{spec}})
	if f := reply.Fault(); f != nil {
		m, ok := f.VimFault().(types.BaseMethodFault)
		if !ok {
			m = &types.SystemError{Reason: f.String}
		}
		return nil, m
	}
	body, ok := reply.(*methods.RetrievePropertiesExBody)
	if !ok || body.Res == nil || body.Res.Returnval == nil {
		return nil, nil
	}
	return body.Res.Returnval.Objects, nil
}

// changes compares what the client knows with what is; only dirty objects are looked at.
func (f *Filter) changes(ctx *simulator.Context, dirty map[moref]bool) ([]types.ObjectUpdate, types.BaseMethodFault) {
	refs, err := f.members(ctx)
	if err != nil {
		return nil, err
	}
	member := make(map[moref]bool, len(refs))
	var look []types.ObjectSpec
	for _, r := range refs {
		if f.owner.sim.hub.isGone(r) {
			continue
		}
		member[r] = true
		if _, known := f.known[r]; !known || dirty[r] {
			look = append(look, types.ObjectSpec{Obj: r})
		}
	}
	var out []types.ObjectUpdate
	for r := range f.known {
		if !member[r] {
			delete(f.known, r)
			out = append(out, types.ObjectUpdate{Obj: r, Kind: types.ObjectUpdateKindLeave})
		}
	}
	if len(look) == 0 {
		return out, nil
	}
	objs, err := retrieve(ctx, types.PropertyFilterSpec{PropSet: f.Spec.PropSet, ObjectSet: look})
	if err != nil {
		return nil, err
	}
	for _, o := range objs {
		if u, changed := f.compare(o); changed {
			out = append(out, u)
		}
	}
	return out, nil
}

// compare yields an object's update and remembers what it tells.
func (f *Filter) compare(o types.ObjectContent) (types.ObjectUpdate, bool) {
	old, known := f.known[o.Obj]
	now := make(map[string][sha256.Size]byte, len(o.PropSet))
	u := types.ObjectUpdate{Obj: o.Obj, Kind: types.ObjectUpdateKindModify, MissingSet: o.MissingSet}
	if !known {
		u.Kind = types.ObjectUpdateKindEnter
	}
	for _, p := range o.PropSet {
		sum := digest(p.Val)
		now[p.Name] = sum
		if have, ok := old[p.Name]; !ok || have != sum {
			u.ChangeSet = append(u.ChangeSet, types.PropertyChange{Name: p.Name, Op: types.PropertyChangeOpAssign, Val: p.Val})
		}
	}
	for name := range old {
		if _, ok := now[name]; !ok {
			u.ChangeSet = append(u.ChangeSet, types.PropertyChange{Name: name, Op: types.PropertyChangeOpAssign})
		}
	}
	f.known[o.Obj] = now
	return u, !known || len(u.ChangeSet) > 0
}

func digest(v any) [sha256.Size]byte {
	var b bytes.Buffer
	_ = xml.NewEncoder(&b).EncodeElement(v, xml.StartElement{Name: xml.Name{Local: "v"}})
	return sha256.Sum256(b.Bytes())
}
