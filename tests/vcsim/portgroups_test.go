package main

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func callRetrieve(l *lab, req *types.RetrievePropertiesEx) (*types.RetrievePropertiesExResponse, error) {
	return methods.RetrievePropertiesEx(l.ctx, l.client.Client, req)
}

func (l *lab) pg(s *simulator.DistributedVirtualPortgroup) *object.DistributedVirtualPortgroup {
	return object.NewDistributedVirtualPortgroup(l.client.Client, s.Self)
}

func (l *lab) config(pg *simulator.DistributedVirtualPortgroup) types.DVPortgroupConfigInfo {
	l.t.Helper()
	var m mo.DistributedVirtualPortgroup
	must(l.t, l.client.RetrieveOne(l.ctx, pg.Self, []string{"config", "name", "vm"}, &m))
	if m.Config.Name != m.Name {
		l.t.Errorf("name %q, config.name %q", m.Name, m.Config.Name)
	}
	return m.Config
}

func vlanOf(c types.DVPortgroupConfigInfo) int32 {
	s, ok := c.DefaultPortConfig.(*types.VMwareDVSPortSetting)
	if !ok {
		return -1
	}
	v, ok := s.Vlan.(*types.VmwareDistributedVirtualSwitchVlanIdSpec)
	if !ok {
		return -1
	}
	return v.VlanId
}

func TestReconfigureMergesWhatIsSet(t *testing.T) {
	l := newLab(t)
	pg := l.group("pg", 20)
	before := l.config(pg)
	if before.ConfigVersion == "" {
		t.Fatal("no configVersion")
	}
	only := groupSpec("", 21)
	only.NumPorts, only.Description, only.Type, only.ConfigVersion = 0, "", "", before.ConfigVersion
	l.wait(l.pg(pg).Reconfigure(l.ctx, only))
	after := l.config(pg)
	if vlanOf(after) != 21 || after.Name != "pg" || after.Description != "made by a test" || after.NumPorts != 8 || after.Type != "earlyBinding" {
		t.Errorf("%+v", after)
	}
	if after.ConfigVersion == before.ConfigVersion {
		t.Error("configVersion stayed")
	}
	rename := types.DVPortgroupConfigSpec{ConfigVersion: after.ConfigVersion, Name: "renamed"}
	l.wait(l.pg(pg).Reconfigure(l.ctx, rename))
	if c := l.config(pg); c.Name != "renamed" || vlanOf(c) != 21 {
		t.Errorf("%+v", c)
	}
}

func TestReconfigureGuardsVersionBoundsAndNames(t *testing.T) {
	l := newLab(t)
	pg := l.group("pg", 20)
	l.group("other", 30)
	version := l.config(pg).ConfigVersion
	for _, c := range []struct {
		name  string
		spec  types.DVPortgroupConfigSpec
		check func(*testing.T, types.BaseMethodFault)
	}{
		{"stale", types.DVPortgroupConfigSpec{ConfigVersion: "0"}, want[*types.ConcurrentAccess]},
		{"without version", types.DVPortgroupConfigSpec{}, want[*types.InvalidArgument]},
		{"VLAN 5000", withVersion(groupSpec("pg", 5000), version), want[*types.InvalidArgument]},
		{"VLAN -1", withVersion(groupSpec("pg", -1), version), want[*types.InvalidArgument]},
		{"name of another", withVersion(groupSpec("other", 1), version), want[*types.DuplicateName]},
	} {
		c.check(t, l.failing(l.pg(pg).Reconfigure(l.ctx, c.spec)))
		if now := l.config(pg); now.ConfigVersion != version || vlanOf(now) != 20 {
			t.Errorf("%s changed something: %+v", c.name, now)
		}
	}
	want[*types.InvalidArgument](t, l.failing(l.dvs().AddPortgroup(l.ctx, []types.DVPortgroupConfigSpec{groupSpec("x", 4095)})))
	l.wait(l.dvs().AddPortgroup(l.ctx, []types.DVPortgroupConfigSpec{groupSpec("x", 4094)}))
}

func withVersion(s types.DVPortgroupConfigSpec, v string) types.DVPortgroupConfigSpec {
	s.ConfigVersion = v
	return s
}

func TestAGroupInUseStays(t *testing.T) {
	l := newLab(t)
	pg := l.group("pg", 20)
	vm := l.vm("v", l.card(pg, 1184))
	var m mo.DistributedVirtualPortgroup
	must(t, l.client.RetrieveOne(l.ctx, pg.Self, []string{"vm"}, &m))
	if len(m.Vm) != 1 || m.Vm[0] != vm.Reference() {
		t.Errorf("vm %v", m.Vm)
	}
	want[*types.ResourceInUse](t, l.failing(l.pg(pg).Destroy(l.ctx)))
	l.wait(vm.Destroy(l.ctx))
	l.wait(l.pg(pg).Destroy(l.ctx))
	uplink := ""
	for _, e := range l.sim.registry().All("DistributedVirtualPortgroup") {
		if p, ok := e.(*simulator.DistributedVirtualPortgroup); ok && *p.Config.Uplink {
			uplink = p.Name
		}
	}
	want[*types.ResourceInUse](t, l.failing(l.pg(l.portGroup(uplink)).Destroy(l.ctx)))
}

func TestVLANDriftIsToldToWaiters(t *testing.T) {
	l := newLab(t)
	pg := l.group("pg", 20)
	pc := property.DefaultCollector(l.client.Client)
	err := property.Wait(l.ctx, pc, pg.Self, []string{"config"}, func(changes []types.PropertyChange) bool {
		for _, c := range changes {
			info, ok := c.Val.(types.DVPortgroupConfigInfo)
			if !ok {
				t.Errorf("%s is a %T", c.Name, c.Val)
				return true
			}
			switch vlanOf(info) {
			case 20:
				vlan := int32(999)
				if status := l.post("POST", "/edit", editRequest{What: "vlan", PortGroup: "pg", VLAN: &vlan}, nil); status != 200 {
					t.Errorf("edit: %d", status)
				}
			case 999:
				return true
			}
		}
		return false
	})
	must(t, err)
}

func TestNSXGroupsBelongToNSX(t *testing.T) {
	l := newLab(t)
	spec := groupSpec("seg", 0)
	spec.BackingType, spec.LogicalSwitchUuid = "nsx", "u1"
	want[*types.InvalidArgument](t, l.failing(l.dvs().AddPortgroup(l.ctx, []types.DVPortgroupConfigSpec{spec})))
	must(t, l.sim.adapter.add(nsxSegment{Path: "/infra/segments/seg", DisplayName: "seg", RealizationID: "u1"}))
	pg := l.portGroup("seg")
	c := l.config(pg)
	if c.BackingType != "nsx" || c.LogicalSwitchUuid != "u1" || c.SegmentId != "/infra/segments/seg" {
		t.Errorf("%+v", c)
	}
	want[*types.NotSupported](t, l.failing(l.pg(pg).Reconfigure(l.ctx, withVersion(groupSpec("", 3), c.ConfigVersion))))
	want[*types.NotSupported](t, l.failing(l.pg(pg).Rename(l.ctx, "mine")))
	want[*types.NotSupported](t, l.failing(l.pg(pg).Destroy(l.ctx)))
}
