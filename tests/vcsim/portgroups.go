package main

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	maxVLAN    = 4094
	maxName    = 80
	backingNSX = string(types.DistributedVirtualPortgroupBackingTypeNsx)
)

func isNSX(pg *simulator.DistributedVirtualPortgroup) bool {
	return pg.Config.BackingType == backingNSX
}

// completePortGroup gives a new group what govmomi's simulator leaves out.
func completePortGroup(pg *simulator.DistributedVirtualPortgroup) {
	if pg.Config.ConfigVersion == "" {
		pg.Config.ConfigVersion = "1"
	}
	if pg.Config.BackingType == "" {
		pg.Config.BackingType = string(types.DistributedVirtualPortgroupBackingTypeStandard)
	}
	uplink := strings.Contains(pg.Name, "-DVUplinks-")
	pg.Config.Uplink = &uplink
	if uplink && len(pg.Tag) == 0 {
		pg.Tag = []types.Tag{{Key: "SYSTEM/DVS.UPLINKPG"}}
	}
}

// networkNamed finds a network of the switch's folder by name.
func networkNamed(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch, name string) mo.Entity {
	if dvs.Parent == nil {
		return nil
	}
	if f, ok := ctx.Map.Get(*dvs.Parent).(*simulator.Folder); ok {
		return ctx.Map.FindByName(name, f.ChildEntity)
	}
	return nil
}

func checkVLAN(setting types.BaseDVPortSetting) types.BaseMethodFault {
	s, ok := setting.(*types.VMwareDVSPortSetting)
	if !ok || s.Vlan == nil {
		return nil
	}
	bad := &types.InvalidArgument{InvalidProperty: "spec.defaultPortConfig.vlan.vlanId"}
	switch v := s.Vlan.(type) {
	case *types.VmwareDistributedVirtualSwitchVlanIdSpec:
		if v.VlanId < 0 || v.VlanId > maxVLAN {
			return bad
		}
	case *types.VmwareDistributedVirtualSwitchTrunkVlanSpec:
		for _, r := range v.VlanId {
			if r.Start < 0 || r.End > maxVLAN || r.Start > r.End {
				return bad
			}
		}
	}
	return nil
}

// AddDVPortgroupTask checks the specs and makes the groups, all or none.
func (o *overrides) AddDVPortgroupTask(ctx *simulator.Context, req *types.AddDVPortgroup_Task) soap.HasFault {
	internal := own(ctx)
	return o.task(ctx, "AddDVPortgroup_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		dvs, ok := c.Map.Get(req.This).(*simulator.DistributedVirtualSwitch)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		seen := map[string]bool{}
		for i := range req.Spec {
			spec := &req.Spec[i]
			spec.Name = escapeName(spec.Name)
			if f := checkNewGroup(c, dvs, spec, internal, seen); f != nil {
				return nil, f
			}
			spec.ConfigVersion = "1"
		}
		before := slices.Clone(dvs.Portgroup)
		if _, f := o.inner(c, dvs.AddDVPortgroupTask(c, req)); f != nil {
			return nil, f
		}
		touched := []moref{req.This, *dvs.Parent}
		for _, ref := range dvs.Portgroup {
			if pg, ok := c.Map.Get(ref).(*simulator.DistributedVirtualPortgroup); ok && !slices.Contains(before, ref) {
				c.WithLock(pg, func() {
					completePortGroup(pg)
					pg.AvailableField = simulator.GetCustomFieldsAvailable(c, &ref)
				})
				touched = append(touched, ref)
			}
		}
		o.sim.hub.touch(touched...)
		return nil, nil
	})
}

func checkNewGroup(ctx *simulator.Context, dvs *simulator.DistributedVirtualSwitch, spec *types.DVPortgroupConfigSpec, internal bool, seen map[string]bool) types.BaseMethodFault {
	if spec.Name == "" || len(spec.Name) > maxName {
		return &types.InvalidArgument{InvalidProperty: "spec.name"}
	}
	if spec.NumPorts < 0 {
		return &types.InvalidArgument{InvalidProperty: "spec.numPorts"}
	}
	if !slices.Contains([]string{"", "earlyBinding", "lateBinding", "ephemeral"}, spec.Type) {
		return &types.InvalidArgument{InvalidProperty: "spec.type"}
	}
	if internal {
		return nil
	}
	if spec.BackingType == backingNSX || spec.LogicalSwitchUuid != "" {
		return &types.InvalidArgument{InvalidProperty: "spec.backingType"}
	}
	if e := networkNamed(ctx, dvs, spec.Name); e != nil {
		return &types.DuplicateName{Name: spec.Name, Object: e.Reference()}
	}
	if seen[spec.Name] {
		return &types.DuplicateName{Name: spec.Name, Object: dvs.Self}
	}
	seen[spec.Name] = true
	return checkVLAN(spec.DefaultPortConfig)
}

// ReconfigureDVPortgroupTask merges: what the spec leaves unset stays as it is.
func (o *overrides) ReconfigureDVPortgroupTask(ctx *simulator.Context, req *types.ReconfigureDVPortgroup_Task) soap.HasFault {
	internal := own(ctx)
	return o.task(ctx, "ReconfigureDVPortgroup_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		pg, ok := c.Map.Get(req.This).(*simulator.DistributedVirtualPortgroup)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		spec := &req.Spec
		switch {
		case isNSX(pg) && !internal:
			return nil, &types.NotSupported{}
		case spec.ConfigVersion == "":
			return nil, &types.InvalidArgument{InvalidProperty: "spec.configVersion"}
		case spec.ConfigVersion != pg.Config.ConfigVersion:
			return nil, &types.ConcurrentAccess{}
		case spec.NumPorts < 0:
			return nil, &types.InvalidArgument{InvalidProperty: "spec.numPorts"}
		}
		if f := checkVLAN(spec.DefaultPortConfig); f != nil {
			return nil, f
		}
		if name := escapeName(spec.Name); name != "" && name != pg.Name {
			if f := o.renameNetwork(c, pg, name); f != nil {
				return nil, f
			}
		}
		config := pg.Config
		mergeGroup(&config, spec)
		config.ConfigVersion = nextVersion(config.ConfigVersion)
		c.Update(pg, []types.PropertyChange{{Name: "config", Val: config}})
		return nil, nil
	})
}

func mergeGroup(config *types.DVPortgroupConfigInfo, spec *types.DVPortgroupConfigSpec) {
	if spec.Description != "" {
		config.Description = spec.Description
	}
	if spec.NumPorts != 0 {
		config.NumPorts = spec.NumPorts
	}
	if spec.Type != "" {
		config.Type = spec.Type
	}
	if spec.PortNameFormat != "" {
		config.PortNameFormat = spec.PortNameFormat
	}
	if spec.AutoExpand != nil {
		config.AutoExpand = spec.AutoExpand
	}
	if spec.Policy != nil {
		config.Policy = spec.Policy
	}
	if spec.DefaultPortConfig != nil {
		config.DefaultPortConfig = mergeSetting(config.DefaultPortConfig, spec.DefaultPortConfig)
	}
}

// mergeSetting lays what is set in the new port setting over a copy of the old.
func mergeSetting(old, change types.BaseDVPortSetting) types.BaseDVPortSetting {
	from, to := reflect.ValueOf(change), reflect.ValueOf(old)
	if old == nil || from.Type() != to.Type() {
		return change
	}
	merged := reflect.New(to.Elem().Type())
	merged.Elem().Set(to.Elem())
	overlay(merged.Elem(), from.Elem())
	if out, ok := merged.Interface().(types.BaseDVPortSetting); ok {
		return out
	}
	return change
}

func overlay(dst, src reflect.Value) {
	for i := range src.NumField() {
		if src.Type().Field(i).Anonymous {
			overlay(dst.Field(i), src.Field(i))
		} else if !src.Field(i).IsZero() {
			dst.Field(i).Set(src.Field(i))
		}
	}
}

func nextVersion(v string) string {
	n, err := strconv.Atoi(v)
	if err != nil {
		n = 0
	}
	return strconv.Itoa(n + 1)
}

// renameNetwork changes a group's name everywhere it is kept.
func (o *overrides) renameNetwork(ctx *simulator.Context, pg *simulator.DistributedVirtualPortgroup, name string) types.BaseMethodFault {
	dvs, ok := ctx.Map.Get(*pg.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: *pg.Config.DistributedVirtualSwitch}
	}
	if e := networkNamed(ctx, dvs, name); e != nil && !isNSX(pg) {
		return &types.DuplicateName{Name: name, Object: e.Reference()}
	}
	old := pg.Name
	pg.Entity().Name = name
	if s := pg.Summary; s != nil {
		summary := *s.GetNetworkSummary()
		summary.Name = name
		pg.Summary = &summary
	}
	pg.Config.Name = name
	ctx.Update(pg, []types.PropertyChange{{Name: "name", Val: name}})
	set(ctx, dvs, types.PropertyChange{Name: "summary.portgroupName", Val: renamed(dvs.Summary.PortgroupName, old, name)})
	return nil
}

func renamed(list []string, old, name string) []string {
	out := slices.Clone(list)
	if i := slices.Index(out, old); i >= 0 {
		out[i] = name
	}
	return out
}

// destroyGroup removes a group unless a virtual machine is connected to it.
func (o *overrides) destroyGroup(ctx *simulator.Context, pg *simulator.DistributedVirtualPortgroup, internal bool) types.BaseMethodFault {
	if isNSX(pg) && !internal {
		return &types.NotSupported{}
	}
	if len(o.usage.users(pg.Self)) > 0 || pg.Config.Uplink != nil && *pg.Config.Uplink {
		return &types.ResourceInUse{Type: pg.Self.Type, Name: pg.Self.Value}
	}
	dvs := *pg.Config.DistributedVirtualSwitch
	if _, f := o.inner(ctx, pg.DestroyTask(ctx, &types.Destroy_Task{This: pg.Self})); f != nil {
		return f
	}
	for _, e := range ctx.Map.All("HostSystem") {
		if h, ok := e.(*simulator.HostSystem); ok {
			set(ctx, h, types.PropertyChange{Name: "network", Val: without(h.Network, pg.Self)})
		}
	}
	for _, e := range ctx.Map.All("ClusterComputeResource") {
		if cl, ok := e.(*simulator.ClusterComputeResource); ok {
			set(ctx, cl, types.PropertyChange{Name: "network", Val: without(cl.Network, pg.Self)})
		}
	}
	o.sim.hub.touch(dvs, *pg.Parent)
	return nil
}

// networksOf are the networks that a virtual machine's cards are backed by.
func networksOf(ctx *simulator.Context, vm *simulator.VirtualMachine) []moref {
	var out []moref
	for _, n := range nicsOf(vm) {
		if ref, ok := n.network(ctx); ok {
			out = with(out, ref)
		}
	}
	return out
}
