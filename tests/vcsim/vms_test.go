package main

import (
	"os"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (l *lab) machine(name string) *simulator.VirtualMachine {
	l.t.Helper()
	e, err := l.sim.find("VirtualMachine", name)
	must(l.t, err)
	vm, ok := e.(*simulator.VirtualMachine)
	if !ok {
		l.t.Fatalf("%s is a %T", name, e)
	}
	return vm
}

func TestAMissingISOKeepsAMachineOff(t *testing.T) {
	l := newLab(t)
	vm := l.vm("v", cdrom("[LocalDS_0] isos/boot.iso"))
	want[*types.FileNotFound](t, l.failing(vm.PowerOn(l.ctx)))
	l.mkdir("[LocalDS_0] isos")
	l.upload("isos/boot.iso", "x")
	l.wait(vm.PowerOn(l.ctx))
	dc, err := l.finder.Datacenter(l.ctx, "DC0")
	must(t, err)
	fm := object.NewFileManager(l.client.Client)
	want[*types.FileLocked](t, l.failing(fm.DeleteDatastoreFile(l.ctx, "[LocalDS_0] isos/boot.iso", dc)))
	want[*types.InvalidPowerState](t, l.failing(vm.PowerOn(l.ctx)))
	want[*types.InvalidPowerState](t, l.failing(vm.Destroy(l.ctx)))
	l.wait(vm.PowerOff(l.ctx))
	l.wait(fm.DeleteDatastoreFile(l.ctx, "[LocalDS_0] isos/boot.iso", dc))
}

func TestDestroyTakesOnlyTheMachinesOwnFiles(t *testing.T) {
	l := newLab(t)
	vm, alone := l.vm("v"), l.vm("w")
	l.upload("v/mine.iso", "x")
	l.wait(vm.Destroy(l.ctx))
	l.wait(alone.Destroy(l.ctx))
	if l.size("[LocalDS_0] v/mine.iso") != 1 || l.size("[LocalDS_0] v/v.vmx") >= 0 || l.size("[LocalDS_0] w/") >= 0 {
		t.Errorf("%+v", l.sim.dumpFiles())
	}
	var pool mo.ResourcePool
	must(t, l.client.RetrieveOne(l.ctx, l.pool().Reference(), []string{"vm"}, &pool))
	if len(pool.Vm) != 0 {
		t.Errorf("the pool still lists %v", pool.Vm)
	}
	_, err := vm.PowerOn(l.ctx)
	wantSoap[types.ManagedObjectNotFound](t, err)
}

func TestReconfigureGuardsVersionAndPower(t *testing.T) {
	l := newLab(t)
	vm := l.vm("v")
	version := func() string {
		var m mo.VirtualMachine
		must(t, vm.Properties(l.ctx, vm.Reference(), []string{"config.changeVersion"}, &m))
		return m.Config.ChangeVersion
	}
	first := version()
	l.wait(vm.Reconfigure(l.ctx, types.VirtualMachineConfigSpec{ChangeVersion: first, MemoryMB: 128}))
	want[*types.ConcurrentAccess](t, l.failing(vm.Reconfigure(l.ctx, types.VirtualMachineConfigSpec{ChangeVersion: first, MemoryMB: 64})))
	l.wait(vm.PowerOn(l.ctx))
	want[*types.InvalidPowerState](t, l.failing(vm.Reconfigure(l.ctx, types.VirtualMachineConfigSpec{MemoryMB: 64})))
	l.wait(vm.Reconfigure(l.ctx, types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{
		&types.OptionValue{Key: "guestinfo.x", Value: "1"}, &types.OptionValue{Key: "guestinfo.y@non-persistent", Value: "1"}}}))
	l.wait(vm.PowerOff(l.ctx))
	keys := extraConfig(l.machine("v"))
	if _, kept := keys["guestinfo.y@non-persistent"]; kept || keys["guestinfo.x"] != "1" {
		t.Errorf("%v", keys)
	}
	l.wait(vm.Reconfigure(l.ctx, types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{
		&types.OptionValue{Key: "guestinfo.x", Value: ""}, &types.OptionValue{Key: "never.there", Value: ""}}}))
	keys = extraConfig(l.machine("v"))
	if _, kept := keys["guestinfo.x"]; kept {
		t.Error("an empty value does not delete")
	}
	if _, made := keys["never.there"]; made {
		t.Error("deleting what is not there made an empty key")
	}
}

func TestBadMachinesAreRefusedNotFatal(t *testing.T) {
	l := newLab(t)
	pg := l.group("pg", 20)
	nowhere := l.card(pg, 0)
	b, ok := nowhere.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice().Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo)
	if !ok {
		t.Fatal("backing")
	}
	b.Port.PortgroupKey = "dvportgroup-999"
	for name, c := range map[string]struct {
		spec  types.VirtualMachineConfigSpec
		check func(*testing.T, types.BaseMethodFault)
	}{
		"datastore": {types.VirtualMachineConfigSpec{Name: "v", Files: &types.VirtualMachineFileInfo{VmPathName: "[none]"}}, want[*types.InvalidDatastore]},
		"no path":   {types.VirtualMachineConfigSpec{Name: "v"}, want[*types.InvalidVmConfig]},
		"network": {types.VirtualMachineConfigSpec{Name: "v", Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
			DeviceChange: []types.BaseVirtualDeviceConfigSpec{nowhere}}, want[*types.InvalidDeviceBacking]},
		"number in extraConfig": {types.VirtualMachineConfigSpec{Name: "v", Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
			ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "k", Value: int32(1)}}}, want[*types.InvalidArgument]},
	} {
		t.Log(name)
		c.check(t, l.failing(l.vmFolder().CreateVM(l.ctx, c.spec, l.pool(), nil)))
	}
	if n := len(l.sim.registry().All("VirtualMachine")); n != 0 {
		t.Errorf("%d machines", n)
	}
}

func TestCardsWithoutASlotGetOne(t *testing.T) {
	l := newLab(t)
	pg := l.group("pg", 20)
	a, b := l.card(pg, 0), l.card(pg, 0)
	a.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice().SlotInfo = nil
	b.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice().SlotInfo = nil
	l.vm("v", a, b)
	cards := nicsOf(l.machine("v"))
	if len(cards) != 2 || cards[0].slot != 160 || cards[1].slot != 192 || cards[0].card.MacAddress == cards[1].card.MacAddress {
		t.Errorf("%+v", cards)
	}
}

func TestManyArePoweredOnAtOnce(t *testing.T) {
	l := newLab(t)
	good, bad := l.vm("v"), l.vm("w", cdrom("[LocalDS_0] none.iso"))
	dc, err := l.finder.Datacenter(l.ctx, "DC0")
	must(t, err)
	info := l.wait(dc.PowerOnVM(l.ctx, []types.ManagedObjectReference{good.Reference(), bad.Reference()}))
	res, ok := info.Result.(types.ClusterPowerOnVmResult)
	if !ok || len(res.Attempted) != 1 || len(res.NotAttempted) != 1 || res.NotAttempted[0].Vm != bad.Reference() {
		t.Errorf("%+v", info.Result)
	}
	if d := l.sim.dump(); d.VMs[0].Power != "poweredOn" || d.VMs[1].Power != "poweredOff" {
		t.Errorf("%+v", d.VMs)
	}
}
