package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// editRequest is an edit by a human's hand, made behind the operator's back.
type editRequest struct {
	What      string `json:"what"`
	PortGroup string `json:"portgroup,omitempty"`
	VLAN      *int32 `json:"vlan,omitempty"`
	Type      string `json:"type,omitempty"`
	Name      string `json:"name,omitempty"`
	To        string `json:"to,omitempty"`
	VM        string `json:"vm,omitempty"`
	CPUMHz    *int64 `json:"cpuMHz,omitempty"`
	MemoryMB  *int64 `json:"memoryMB,omitempty"`
	Key       string `json:"key,omitempty"`
	Value     string `json:"value,omitempty"`
}

// find looks an entity up by kind and name, or by kind and moref value.
func (s *Simulator) find(kind, name string) (mo.Entity, error) {
	for _, e := range s.registry().All(kind) {
		if entityName(e) == name || e.Reference().Value == name {
			return e, nil
		}
	}
	return nil, unknown(kind, name)
}

// act runs a task method of ours in the simulator's own name and waits for its end.
func (s *Simulator) act(run func(ctx *simulator.Context) moref) (types.AnyType, error) {
	ctx := s.newContext()
	ref := run(ctx)
	select {
	case <-s.hub.ended(ref):
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
	t, ok := ctx.Map.Get(ref).(*simulator.Task)
	if !ok {
		return nil, fmt.Errorf("task %s is gone", ref.Value)
	}
	var res types.AnyType
	var err error
	ctx.WithLock(t, func() {
		res = t.Info.Result
		if e := t.Info.Error; e != nil {
			err = fmt.Errorf("%s: %s", typeNameOf(e.Fault), e.LocalizedMessage)
		}
	})
	return res, err
}

func (s *Simulator) postEdit(r *editRequest) (any, error) {
	edits := map[string]func(*editRequest) error{
		"vlan": s.editVLAN, "rename": s.editRename, "power-on": s.editPower, "power-off": s.editPower,
		"destroy": s.editDestroy, "pool-limits": s.editLimits, "extra-config": s.editExtraConfig,
	}
	f, ok := edits[r.What]
	if !ok {
		return nil, unknown("edit", r.What)
	}
	return struct{}{}, f(r)
}

func (s *Simulator) editVLAN(r *editRequest) error {
	if r.VLAN == nil {
		return fmt.Errorf("vlan is missing")
	}
	e, err := s.find("DistributedVirtualPortgroup", r.PortGroup)
	if err != nil {
		return err
	}
	pg, ok := e.(*simulator.DistributedVirtualPortgroup)
	if !ok {
		return unknown("port group", r.PortGroup)
	}
	_, err = s.act(func(ctx *simulator.Context) moref {
		req := &types.ReconfigureDVPortgroup_Task{This: pg.Self, Spec: types.DVPortgroupConfigSpec{
			ConfigVersion: pg.Config.ConfigVersion,
			DefaultPortConfig: &types.VMwareDVSPortSetting{
				Vlan: &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: *r.VLAN},
			},
		}}
		return taskOf(s.over.ReconfigureDVPortgroupTask(ctx, req))
	})
	return err
}

func (s *Simulator) editRename(r *editRequest) error {
	e, err := s.find(r.Type, r.Name)
	if err != nil {
		return err
	}
	_, err = s.act(func(ctx *simulator.Context) moref {
		return taskOf(s.over.RenameTask(ctx, &types.Rename_Task{This: e.Reference(), NewName: r.To}))
	})
	return err
}

func (s *Simulator) editPower(r *editRequest) error {
	e, err := s.find("VirtualMachine", r.VM)
	if err != nil {
		return err
	}
	return s.power(e.Reference(), r.What == "power-on")
}

func (s *Simulator) power(vm moref, on bool) error {
	_, err := s.act(func(ctx *simulator.Context) moref {
		if on {
			return taskOf(s.over.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: vm}))
		}
		return taskOf(s.over.PowerOffVMTask(ctx, &types.PowerOffVM_Task{This: vm}))
	})
	return err
}

// editDestroy destroys; a running machine is powered off first, as a human would.
func (s *Simulator) editDestroy(r *editRequest) error {
	e, err := s.find(r.Type, r.Name)
	if err != nil {
		return err
	}
	if vm, ok := e.(*simulator.VirtualMachine); ok && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		if err := s.power(vm.Self, false); err != nil {
			return err
		}
	}
	_, err = s.act(func(ctx *simulator.Context) moref {
		return taskOf(s.over.DestroyTask(ctx, &types.Destroy_Task{This: e.Reference()}))
	})
	return err
}

func (s *Simulator) editLimits(r *editRequest) error {
	e, err := s.find("ResourcePool", r.Name)
	if err != nil {
		return err
	}
	var spec types.ResourceConfigSpec
	spec.CpuAllocation.Limit, spec.MemoryAllocation.Limit = r.CPUMHz, r.MemoryMB
	if f := s.over.UpdateConfig(s.newContext(), &types.UpdateConfig{This: e.Reference(), Config: &spec}).Fault(); f != nil {
		return fmt.Errorf("%T", f.VimFault())
	}
	return nil
}

func (s *Simulator) editExtraConfig(r *editRequest) error {
	e, err := s.find("VirtualMachine", r.VM)
	if err != nil {
		return err
	}
	_, err = s.act(func(ctx *simulator.Context) moref {
		return taskOf(s.over.ReconfigVMTask(ctx, &types.ReconfigVM_Task{This: e.Reference(), Spec: types.VirtualMachineConfigSpec{
			ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: r.Key, Value: r.Value}},
		}}))
	})
	return err
}
