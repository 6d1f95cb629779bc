package main

import (
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Usage knows which networks and files every machine uses. It is brought up to
// date under the machine's lock, so that questions about all machines need no
// locks of theirs: a task that holds one machine must not wait for another.
type Usage struct {
	mu   sync.Mutex
	byVM map[moref]vmUse
}

type vmUse struct {
	networks []moref
	files    []string // ISO files to be connected and the configuration file
	on       bool
}

func newUsage() *Usage { return &Usage{byVM: map[moref]vmUse{}} }

// users lists the machines with a card on a network.
func (u *Usage) users(network moref) []moref {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []moref
	for ref, use := range u.byVM {
		if slices.Contains(use.networks, network) {
			out = append(out, ref)
		}
	}
	slices.SortFunc(out, func(a, b moref) int { return strings.Compare(a.Value, b.Value) })
	return out
}

// held lists the files that running machines hold open, as datastore paths.
func (u *Usage) held() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []string
	for _, use := range u.byVM {
		if use.on {
			out = append(out, use.files...)
		}
	}
	return out
}

func (u *Usage) drop(ref moref) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.byVM, ref)
}

func (u *Usage) note(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	use := vmUse{
		networks: networksOf(ctx, vm), files: append(isosOf(vm), vm.Config.Files.VmPathName),
		on: vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn,
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byVM[vm.Self] = use
}

// settle notes what a machine uses, gives it its network list and fills the vm
// list of every network. The machine's lock is held, or it is gone.
func (o *overrides) settle(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	if o.sim.hub.isGone(vm.Self) {
		o.usage.drop(vm.Self)
	} else {
		o.usage.note(ctx, vm)
		if list := networksOf(ctx, vm); !slices.Equal(list, vm.Network) {
			set(ctx, vm, types.PropertyChange{Name: "network", Val: list})
		}
	}
	for _, kind := range []string{"DistributedVirtualPortgroup", "Network", "OpaqueNetwork"} {
		for _, e := range ctx.Map.All(kind) {
			o.fillNetwork(ctx, e)
		}
	}
}

func (o *overrides) fillNetwork(ctx *simulator.Context, e mo.Entity) {
	ctx.WithLock(e, func() {
		var have []moref
		switch n := e.(type) {
		case *simulator.DistributedVirtualPortgroup:
			have = n.Vm
		case *mo.Network:
			have = n.Vm
		case *mo.OpaqueNetwork:
			have = n.Vm
		}
		if list := o.usage.users(e.Reference()); !slices.Equal(list, have) {
			ctx.Update(e, []types.PropertyChange{{Name: "vm", Val: list}})
		}
	})
}

// eachVM looks at every machine under its lock. The caller holds no lock.
func (s *Simulator) eachVM(ctx *simulator.Context, f func(*simulator.VirtualMachine)) {
	for _, e := range sorted(ctx.Map.All("VirtualMachine")) {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok || s.hub.isGone(vm.Self) {
			continue
		}
		ctx.WithLock(vm, func() {
			if vm.Config != nil {
				f(vm)
			}
		})
	}
}
