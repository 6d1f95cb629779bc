package main

import (
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// findPool finds a pool by its path below the host folder, such as DC0_C0/Resources/Containers.
func (s *Simulator) findPool(path string) (*simulator.ResourcePool, bool) {
	parts := strings.Split(path, "/")
	for _, e := range s.registry().All("ClusterComputeResource") {
		c, ok := e.(*simulator.ClusterComputeResource)
		if !ok || c.Name != parts[0] || len(parts) < 2 {
			continue
		}
		pool, ok := s.registry().Get(*c.ResourcePool).(*simulator.ResourcePool)
		for _, name := range parts[2:] {
			if !ok {
				return nil, false
			}
			pool, ok = s.registry().FindByName(name, pool.ResourcePool.ResourcePool).(*simulator.ResourcePool)
		}
		return pool, ok && parts[1] == "Resources"
	}
	return nil, false
}

// standardShares are the numbers that vCenter writes for a pool's share levels.
var standardShares = map[string]map[types.SharesLevel]int32{
	"cpu":    {types.SharesLevelLow: 2000, types.SharesLevelNormal: 4000, types.SharesLevelHigh: 8000},
	"memory": {types.SharesLevelLow: 81920, types.SharesLevelNormal: 163840, types.SharesLevelHigh: 327680},
}

// mergeAllocation lays what is set in src over dst; complete demands that all four are set.
func mergeAllocation(kind string, dst, src *types.ResourceAllocationInfo, complete bool) types.BaseMethodFault {
	bad := &types.InvalidArgument{InvalidProperty: "spec." + kind + "Allocation"}
	if complete && (src.Reservation == nil || src.Limit == nil || src.ExpandableReservation == nil || src.Shares == nil) {
		return bad
	}
	if src.Reservation != nil {
		dst.Reservation = src.Reservation
	}
	if src.Limit != nil {
		dst.Limit = src.Limit
	}
	if src.ExpandableReservation != nil {
		dst.ExpandableReservation = src.ExpandableReservation
	}
	if src.Shares != nil {
		shares := *src.Shares
		if n, ok := standardShares[kind][shares.Level]; ok {
			shares.Shares = n
		}
		dst.Shares = &shares
	}
	r, l := *dst.Reservation, *dst.Limit
	if r < 0 || l < -1 || l >= 0 && l < r || dst.Shares.Shares < 0 || src.OverheadLimit != nil {
		return bad
	}
	return nil
}

func mergePoolConfig(dst, src *types.ResourceConfigSpec, complete bool) types.BaseMethodFault {
	if f := mergeAllocation("cpu", &dst.CpuAllocation, &src.CpuAllocation, complete); f != nil {
		return f
	}
	return mergeAllocation("memory", &dst.MemoryAllocation, &src.MemoryAllocation, complete)
}

func (o *overrides) newPool(ctx *simulator.Context, parent *simulator.ResourcePool, name string, spec types.ResourceConfigSpec) (moref, types.BaseMethodFault) {
	name = escapeName(name)
	if name == "" || len(name) > maxName {
		return moref{}, &types.InvalidName{Name: name}
	}
	var ref moref
	var failed types.BaseMethodFault
	ctx.WithLock(parent, func() {
		if e := ctx.Map.FindByName(name, parent.ResourcePool.ResourcePool); e != nil {
			failed = &types.DuplicateName{Name: name, Object: e.Reference()}
			return
		}
		child := simulator.NewResourcePool(ctx)
		config := types.ResourceConfigSpec{ChangeVersion: "1"}
		if failed = mergePoolConfig(&config, &spec, true); failed != nil {
			return
		}
		ctx.Map.NewEntity(child)
		ref = child.Self
		config.Entity = &child.Self
		child.Name, child.Owner, child.Config = name, parent.Owner, config
		child.Runtime.OverallStatus = types.ManagedEntityStatusGreen
		child.Summary = &types.ResourcePoolSummary{Name: name, Config: config, Runtime: child.Runtime}
		child.Vm, child.ResourcePool.ResourcePool = nil, nil
		child.AvailableField = simulator.GetCustomFieldsAvailable(ctx, &ref)
		// The parent's list comes first: container views look a new object up in it.
		ctx.Update(parent, []types.PropertyChange{{Name: "resourcePool", Val: with(parent.ResourcePool.ResourcePool, ref)}})
		ctx.Map.PutEntity(parent, child)
	})
	return ref, failed
}

// CreateResourcePool makes a pool that views see, with its parent's list updated.
func (o *overrides) CreateResourcePool(ctx *simulator.Context, req *types.CreateResourcePool) soap.HasFault {
	body := &methods.CreateResourcePoolBody{}
	parent, ok := ctx.Map.Get(req.This).(*simulator.ResourcePool)
	if !ok {
		body.Fault_ = notSupported(req.This, "CreateResourcePool")
		return body
	}
	ref, f := o.newPool(ctx, parent, req.Name, req.Spec)
	if f != nil {
		body.Fault_ = fault(f)
		return body
	}
	body.Res = &types.CreateResourcePoolResponse{Returnval: ref}
	return body
}

// CreateVApp announces the new vApp once its parent knows it.
func (o *overrides) CreateVApp(ctx *simulator.Context, req *types.CreateVApp) soap.HasFault {
	parent, ok := ctx.Map.Get(req.This).(*simulator.ResourcePool)
	if !ok {
		return &methods.CreateVAppBody{Fault_: notSupported(req.This, "CreateVApp")}
	}
	var reply soap.HasFault
	ctx.WithLock(parent, func() { reply = parent.CreateVApp(ctx, req) })
	if body, ok := reply.(*methods.CreateVAppBody); ok && body.Res != nil {
		ctx.Map.Put(ctx.Map.Get(body.Res.Returnval))
		o.sim.hub.touch(req.This, body.Res.Returnval)
	}
	return reply
}

// UpdateConfig renames a pool or changes its allocation; unset values stay.
func (o *overrides) UpdateConfig(ctx *simulator.Context, req *types.UpdateConfig) soap.HasFault {
	body := &methods.UpdateConfigBody{}
	pool := poolOf(ctx.Map.Get(req.This))
	if pool == nil {
		body.Fault_ = notSupported(req.This, "UpdateConfig")
		return body
	}
	var failed types.BaseMethodFault
	obj := ctx.Map.Get(req.This)
	ctx.WithLock(obj, func() {
		config := pool.Config
		if req.Config != nil {
			if v := req.Config.ChangeVersion; v != "" && v != config.ChangeVersion {
				failed = &types.ConcurrentAccess{}
				return
			}
			if failed = mergePoolConfig(&config, req.Config, false); failed != nil {
				return
			}
		}
		if req.Name != "" && escapeName(req.Name) != pool.Name {
			if failed = o.renameEntity(ctx, req.This, req.Name); failed != nil {
				return
			}
		}
		now := time.Now()
		config.ChangeVersion, config.LastModified = nextVersion(config.ChangeVersion), &now
		ctx.Update(obj, []types.PropertyChange{{Name: "config", Val: config}})
	})
	if failed != nil {
		body.Fault_ = fault(failed)
		return body
	}
	body.Res = &types.UpdateConfigResponse{}
	return body
}

func poolOf(obj mo.Reference) *mo.ResourcePool {
	switch p := obj.(type) {
	case *simulator.ResourcePool:
		return &p.ResourcePool
	case *simulator.VirtualApp:
		return &p.ResourcePool
	}
	return nil
}

// destroyPool removes a pool; what is in it moves to its parent, as on a vCenter.
func (o *overrides) destroyPool(ctx *simulator.Context, pool *simulator.ResourcePool) types.BaseMethodFault {
	parent, ok := ctx.Map.Get(*pool.Parent).(*simulator.ResourcePool)
	if !ok {
		return &types.InvalidArgument{InvalidProperty: "pool"} // a cluster's root pool
	}
	for _, ref := range pool.Vm {
		if vm, ok := ctx.Map.Get(ref).(*simulator.VirtualMachine); ok {
			set(ctx, vm, types.PropertyChange{Name: "resourcePool", Val: parent.Self})
		}
	}
	for _, ref := range pool.ResourcePool.ResourcePool {
		if child, ok := ctx.Map.Get(ref).(mo.Entity); ok {
			set(ctx, child, types.PropertyChange{Name: "parent", Val: parent.Self})
		}
	}
	set(ctx, parent,
		types.PropertyChange{Name: "vm", Val: with(parent.Vm, pool.Vm...)},
		types.PropertyChange{Name: "resourcePool", Val: with(without(parent.ResourcePool.ResourcePool, pool.Self), pool.ResourcePool.ResourcePool...)})
	ctx.Map.Remove(ctx, pool.Self)
	return nil
}
