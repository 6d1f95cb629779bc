package main

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func TestOnlyTheTwoUsersLogIn(t *testing.T) {
	l := newLab(t)
	l.login(endpointUser, endpointPassword)
	for _, c := range [][2]string{{operatorUser, "wrong"}, {"root", operatorPassword}, {endpointUser, operatorPassword}, {"", ""}} {
		if _, err := l.tryLogin(c[0], c[1]); err == nil {
			t.Errorf("%s/%s may log in", c[0], c[1])
		} else {
			wantSoap[types.InvalidLogin](t, err)
		}
	}
}

func TestASiteIsSeeded(t *testing.T) {
	l := newLab(t)
	if v := l.client.ServiceContent.About.ApiVersion; v != apiVersion {
		t.Errorf("apiVersion %s", v)
	}
	hosts, err := l.finder.HostSystemList(l.ctx, "DC0_C0/*")
	must(t, err)
	if len(hosts) != 3 {
		t.Errorf("%d hosts", len(hosts))
	}
	l.pool()
	_, err = l.finder.Datastore(l.ctx, "LocalDS_0")
	must(t, err)
	if len(l.dvs().Reference().Value) == 0 {
		t.Error("no switch")
	}
}

func TestNamesAreUniqueAmongSiblings(t *testing.T) {
	l := newLab(t)
	spec := types.DefaultResourceConfigSpec()
	_, err := l.pool().Create(l.ctx, "p", spec)
	must(t, err)
	_, err = l.pool().Create(l.ctx, "p", spec)
	wantSoap[types.DuplicateName](t, err)

	_, err = l.vmFolder().CreateFolder(l.ctx, "f")
	must(t, err)
	g, err := l.vmFolder().CreateFolder(l.ctx, "g")
	must(t, err)
	_, err = l.vmFolder().CreateFolder(l.ctx, "f")
	wantSoap[types.DuplicateName](t, err)
	want[*types.DuplicateName](t, l.failing(g.Rename(l.ctx, "f")))
	l.wait(g.Rename(l.ctx, "h"))

	l.group("pg", 5)
	want[*types.DuplicateName](t, l.failing(l.dvs().AddPortgroup(l.ctx, []types.DVPortgroupConfigSpec{groupSpec("pg", 6)})))

	vm := l.vm("v")
	want[*types.DuplicateName](t, l.failing(l.vmFolder().CreateVM(l.ctx, types.VirtualMachineConfigSpec{
		Name: "v", Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"}}, l.pool(), nil)))
	l.vm("w")
	want[*types.DuplicateName](t, l.failing(vm.Rename(l.ctx, "w")))
}

func TestPoolConfigurationMergesAndNormalises(t *testing.T) {
	l := newLab(t)
	p, err := l.pool().Create(l.ctx, "p", types.DefaultResourceConfigSpec())
	must(t, err)
	var change types.ResourceConfigSpec
	limit := int64(4000)
	change.CpuAllocation.Limit = &limit
	must(t, p.UpdateConfig(l.ctx, "q", &change))
	var m mo.ResourcePool
	must(t, p.Properties(l.ctx, p.Reference(), nil, &m))
	cpu := m.Config.CpuAllocation
	if m.Name != "q" || *cpu.Limit != 4000 || *cpu.Reservation != 0 || !*cpu.ExpandableReservation {
		t.Errorf("%s %+v", m.Name, cpu)
	}
	if cpu.Shares.Shares != 4000 || m.Config.MemoryAllocation.Shares.Shares != 163840 {
		t.Errorf("shares %+v %+v", cpu.Shares, m.Config.MemoryAllocation.Shares)
	}
	reservation := int64(5000) // above the limit
	change.CpuAllocation.Reservation = &reservation
	wantSoap[types.InvalidArgument](t, p.UpdateConfig(l.ctx, "", &change))
	change = types.ResourceConfigSpec{ChangeVersion: "old"}
	wantSoap[types.ConcurrentAccess](t, p.UpdateConfig(l.ctx, "", &change))
	incomplete := types.DefaultResourceConfigSpec()
	incomplete.MemoryAllocation.Limit = nil
	_, err = l.pool().Create(l.ctx, "r", incomplete)
	wantSoap[types.InvalidArgument](t, err)
}

func TestANewPoolSaysThatItIsWell(t *testing.T) {
	l := newLab(t)
	made, err := l.pool().Create(l.ctx, "well", types.DefaultResourceConfigSpec())
	must(t, err)
	var pool mo.ResourcePool
	must(t, made.Properties(l.ctx, made.Reference(), []string{"runtime", "summary"}, &pool))
	for _, status := range []types.ManagedEntityStatus{pool.Runtime.OverallStatus, pool.Summary.GetResourcePoolSummary().Runtime.OverallStatus} {
		if status != types.ManagedEntityStatusGreen {
			t.Errorf("the pool's state is %q, which no typed client can read", status)
		}
	}
}

func TestMachinesOfADestroyedPoolMoveToItsParent(t *testing.T) {
	l := newLab(t)
	p, err := l.pool().Create(l.ctx, "p", types.DefaultResourceConfigSpec())
	must(t, err)
	info := l.wait(l.vmFolder().CreateVM(l.ctx, types.VirtualMachineConfigSpec{
		Name: "v", Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"}}, p, nil))
	l.wait(p.Destroy(l.ctx))
	var vm mo.VirtualMachine
	ref, _ := info.Result.(types.ManagedObjectReference)
	must(t, l.client.RetrieveOne(l.ctx, ref, []string{"resourcePool"}, &vm))
	if *vm.ResourcePool != l.pool().Reference() {
		t.Errorf("pool %s", vm.ResourcePool)
	}
	var parent mo.ResourcePool
	must(t, l.client.RetrieveOne(l.ctx, l.pool().Reference(), []string{"vm", "resourcePool"}, &parent))
	if len(parent.Vm) != 1 || len(parent.ResourcePool) != 0 {
		t.Errorf("%v %v", parent.Vm, parent.ResourcePool)
	}
	root, err := l.finder.ResourcePool(l.ctx, "DC0_C0/Resources")
	must(t, err)
	want[*types.InvalidArgument](t, l.failing(root.Destroy(l.ctx)))
}

func TestAFolderWithChildrenIsNotDestroyed(t *testing.T) {
	l := newLab(t)
	f, err := l.vmFolder().CreateFolder(l.ctx, "f")
	must(t, err)
	info := l.wait(f.CreateVM(l.ctx, types.VirtualMachineConfigSpec{
		Name: "v", Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"}}, l.pool(), nil))
	want[*types.ResourceInUse](t, l.failing(f.Destroy(l.ctx)))
	ref, _ := info.Result.(types.ManagedObjectReference)
	l.wait(object.NewVirtualMachine(l.client.Client, ref).Destroy(l.ctx))
	l.wait(f.Destroy(l.ctx))
	if _, err := l.finder.Folder(l.ctx, "vm/f"); err == nil {
		t.Error("the folder is still there")
	}
}

func TestCustomFieldsMarkEveryKind(t *testing.T) {
	l := newLab(t)
	m, err := object.GetCustomFieldsManager(l.client.Client)
	must(t, err)
	def, err := m.Add(l.ctx, "vic-operator", "", nil, nil)
	must(t, err)
	_, err = m.Add(l.ctx, "vic-operator", "", nil, nil)
	wantSoap[types.DuplicateName](t, err)
	f, err := l.vmFolder().CreateFolder(l.ctx, "f")
	must(t, err)
	pg := l.group("pg", 5)
	for _, ref := range []types.ManagedObjectReference{f.Reference(), l.pool().Reference(), pg.Self, l.vm("v").Reference()} {
		must(t, m.Set(l.ctx, ref, def.Key, "one"))
		must(t, m.Set(l.ctx, ref, def.Key, "two"))
		var e mo.ManagedEntity
		must(t, l.client.RetrieveOne(l.ctx, ref, []string{"customValue"}, &e))
		if len(e.CustomValue) != 1 || e.CustomValue[0].(*types.CustomFieldStringValue).Value != "two" {
			t.Errorf("%s: %v", ref, e.CustomValue)
		}
	}
	wantSoap[types.InvalidArgument](t, m.Set(l.ctx, f.Reference(), def.Key+7, "x"))
	gone := types.ManagedObjectReference{Type: "Folder", Value: "group-999"}
	wantSoap[types.ManagedObjectNotFound](t, m.Set(l.ctx, gone, def.Key, "x"))
}
