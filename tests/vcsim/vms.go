package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// CreateVMTask checks what govmomi's simulator takes unseen (or dies of), then creates.
func (o *overrides) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	return o.task(ctx, "CreateVM_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		folder, ok := c.Map.Get(req.This).(*simulator.Folder)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		spec := &req.Config
		if f := o.checkNewVM(c, folder, req); f != nil {
			return nil, f
		}
		if f := o.checkDevices(c, nil, spec.DeviceChange); f != nil {
			return nil, f
		}
		key, _ := takeSecret(spec)
		spec.ExtraConfig = slices.DeleteFunc(spec.ExtraConfig, func(v types.BaseOptionValue) bool {
			return v.GetOptionValue().Value == ""
		})
		res, f := o.inner(c, folder.CreateVMTask(c, req))
		if f != nil {
			return nil, f
		}
		ref, _ := res.(moref)
		vm, ok := c.Map.Get(ref).(*simulator.VirtualMachine)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: ref}
		}
		o.sim.secrets.put(ref, key)
		c.WithLock(vm, func() {
			completeCards(vm)
			completeState(vm)
			o.settle(c, vm)
		})
		o.sim.hub.touch(append([]moref{ref, req.This, req.Pool, *vm.Runtime.Host}, vm.Datastore...)...)
		return ref, nil
	})
}

func (o *overrides) checkNewVM(ctx *simulator.Context, folder *simulator.Folder, req *types.CreateVM_Task) types.BaseMethodFault {
	spec := &req.Config
	if !slices.Contains(folder.ChildType, "VirtualMachine") {
		return &types.NotSupported{}
	}
	if spec.Name == "" || len(spec.Name) > maxName {
		return &types.InvalidVmConfig{Property: "configSpec.name"}
	}
	if e := ctx.Map.FindByName(escapeName(spec.Name), folder.ChildEntity); e != nil {
		return &types.DuplicateName{Name: spec.Name, Object: e.Reference()}
	}
	if poolOf(ctx.Map.Get(req.Pool)) == nil {
		return &types.ManagedObjectNotFound{Obj: req.Pool}
	}
	if req.Host != nil && ctx.Map.Get(*req.Host) == nil {
		return &types.ManagedObjectNotFound{Obj: *req.Host}
	}
	if spec.Files == nil || spec.Files.VmPathName == "" {
		return &types.InvalidVmConfig{Property: "configSpec.files.vmPathName"}
	}
	if _, _, f := o.sim.datastorePath(spec.Files.VmPathName); f != nil {
		return f
	}
	return checkExtraConfig(spec)
}

// checkExtraConfig demands strings, as VIC writes them, and keeps the keys by
// which govmomi's simulator is steered out of reach.
func checkExtraConfig(spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	for _, v := range spec.ExtraConfig {
		ov := v.GetOptionValue()
		if _, ok := ov.Value.(string); !ok || ov.Key == "" || ov.Key == "ip0" ||
			strings.HasPrefix(ov.Key, "SET.") || strings.HasPrefix(ov.Key, "RUN.") {
			return &types.InvalidArgument{InvalidProperty: "spec.extraConfig[" + ov.Key + "]"}
		}
	}
	return nil
}

// defaultKeys are the devices that every virtual machine has.
var defaultKeys = []int32{100, 200, 201, 300, 400}

func (o *overrides) checkDevices(ctx *simulator.Context, vm *simulator.VirtualMachine, changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	keys := slices.Clone(defaultKeys)
	if vm != nil {
		for _, d := range vm.Config.Hardware.Device {
			keys = append(keys, d.GetVirtualDevice().Key)
		}
	}
	for i, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		invalid := &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
		if spec.Device == nil {
			return invalid
		}
		d := spec.Device.GetVirtualDevice()
		if spec.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			if !slices.Contains(keys, d.Key) {
				return invalid
			}
			continue
		}
		if d.ControllerKey != 0 && !slices.Contains(keys, d.ControllerKey) {
			return invalid
		}
		if f := o.checkBacking(ctx, spec.Device); f != nil {
			return f
		}
		keys = append(keys, d.Key)
	}
	return nil
}

func (o *overrides) checkBacking(ctx *simulator.Context, device types.BaseVirtualDevice) types.BaseMethodFault {
	d := device.GetVirtualDevice()
	if b, ok := d.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		_, _, f := o.sim.datastorePath(b.GetVirtualDeviceFileBackingInfo().FileName)
		return f
	}
	if _, ok := device.(types.BaseVirtualEthernetCard); !ok {
		return nil
	}
	bad := &types.InvalidDeviceBacking{}
	switch b := d.Backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		pg, ok := ctx.Map.Get(moref{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}).(*simulator.DistributedVirtualPortgroup)
		if !ok || pg.Config.Uplink != nil && *pg.Config.Uplink {
			return bad
		}
		dvs, ok := ctx.Map.Get(*pg.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
		if !ok || dvs.Uuid != b.Port.SwitchUuid {
			return bad
		}
	case *types.VirtualEthernetCardNetworkBackingInfo:
		for _, e := range ctx.Map.All("Network") {
			if entityName(e) == b.DeviceName {
				return nil
			}
		}
		return bad
	case *types.VirtualEthernetCardOpaqueNetworkBackingInfo:
	default:
		return bad
	}
	return nil
}

// ReconfigVMTask guards the change version and what a running machine cannot change.
func (o *overrides) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	return o.task(ctx, "ReconfigVM_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		vm, ok := c.Map.Get(req.This).(*simulator.VirtualMachine)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		if f := o.checkReconfigure(c, vm, &req.Spec); f != nil {
			return nil, f
		}
		key, given := takeSecret(&req.Spec)
		absent := deletionsOfNothing(vm, req.Spec.ExtraConfig)
		req.Spec.ExtraConfig = slices.DeleteFunc(req.Spec.ExtraConfig, func(v types.BaseOptionValue) bool {
			return absent[v.GetOptionValue().Key]
		})
		if _, f := o.inner(c, vm.ReconfigVMTask(c, req)); f != nil {
			return nil, f
		}
		if given {
			o.sim.secrets.put(vm.Self, key)
		}
		completeCards(vm)
		o.settle(c, vm)
		o.sim.hub.touch(vm.Self)
		return nil, nil
	})
}

// deletionsOfNothing are keys that are to be deleted but are not there: govmomi would store them empty.
func deletionsOfNothing(vm *simulator.VirtualMachine, changes []types.BaseOptionValue) map[string]bool {
	have := extraConfig(vm)
	out := map[string]bool{}
	for _, v := range changes {
		ov := v.GetOptionValue()
		if _, ok := have[ov.Key]; !ok && ov.Value == "" {
			out[ov.Key] = true
		}
	}
	return out
}

func (o *overrides) checkReconfigure(ctx *simulator.Context, vm *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	if spec.ChangeVersion != "" && spec.ChangeVersion != vm.Config.ChangeVersion {
		return &types.ConcurrentAccess{}
	}
	on := vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
	hw := vm.Config.Hardware
	if on && (spec.NumCPUs != 0 && spec.NumCPUs != hw.NumCPU || spec.MemoryMB != 0 && spec.MemoryMB != int64(hw.MemoryMB)) {
		return &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: vm.Runtime.PowerState}
	}
	if name := escapeName(spec.Name); name != "" && name != vm.Name {
		if dup := ctx.Map.FindByName(name, siblings(ctx, vm)); dup != nil {
			return &types.DuplicateName{Name: name, Object: dup.Reference()}
		}
		spec.Name = name
	}
	if f := checkExtraConfig(spec); f != nil {
		return f
	}
	return o.checkDevices(ctx, vm, spec.DeviceChange)
}

// PowerOnVMTask powers one machine on.
func (o *overrides) PowerOnVMTask(ctx *simulator.Context, req *types.PowerOnVM_Task) soap.HasFault {
	return o.task(ctx, "PowerOnVM_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		return nil, o.powerOn(c, req.This)
	})
}

// PowerOnMultiVMTask powers machines on one after another; the result says which it tried and which not.
func (o *overrides) PowerOnMultiVMTask(ctx *simulator.Context, req *types.PowerOnMultiVM_Task) soap.HasFault {
	return o.task(ctx, "PowerOnMultiVM_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		var res types.ClusterPowerOnVmResult
		for _, ref := range req.Vm {
			var f types.BaseMethodFault
			c.WithLock(ref, func() { f = o.powerOn(c, ref) })
			if f != nil {
				res.NotAttempted = append(res.NotAttempted, types.ClusterNotAttemptedVmInfo{
					Vm: ref, Fault: types.LocalizedMethodFault{Fault: f, LocalizedMessage: faultText(f)}})
				continue
			}
			res.Attempted = append(res.Attempted, types.ClusterAttemptedVmInfo{Vm: ref})
		}
		return res, nil
	})
}

// powerOn fails when an ISO that is to be connected is not there: a host could
// not open it. The machine's lock is held.
func (o *overrides) powerOn(c *simulator.Context, ref moref) types.BaseMethodFault {
	vm, ok := c.Map.Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	for _, iso := range isosOf(vm) {
		_, local, f := o.sim.datastorePath(iso)
		if f != nil {
			return f
		}
		if st, err := os.Stat(local); err != nil || st.IsDir() {
			return &types.FileNotFound{FileFault: types.FileFault{File: iso}}
		}
	}
	if _, f := o.inner(c, vm.PowerOnVMTask(c, &types.PowerOnVM_Task{This: ref})); f != nil {
		return f
	}
	o.openSerialPorts(vm)
	o.settle(c, vm)
	o.sim.hub.touch(ref)
	return nil
}

// openSerialPorts creates the output files of serial ports, as a host does at power-on.
func (o *overrides) openSerialPorts(vm *simulator.VirtualMachine) {
	for _, d := range vm.Config.Hardware.Device {
		b, ok := d.GetVirtualDevice().Backing.(*types.VirtualSerialPortFileBackingInfo)
		if !ok {
			continue
		}
		if _, local, f := o.sim.datastorePath(b.FileName); f == nil {
			if file, err := os.OpenFile(local, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
				_, _ = file.WriteString("boot\n")
				_ = file.Close()
			}
		}
	}
}

// PowerOffVMTask also clears what a guest that no longer runs cannot tell.
func (o *overrides) PowerOffVMTask(ctx *simulator.Context, req *types.PowerOffVM_Task) soap.HasFault {
	return o.task(ctx, "PowerOffVM_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		vm, ok := c.Map.Get(req.This).(*simulator.VirtualMachine)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		if _, f := o.inner(c, vm.PowerOffVMTask(c, req)); f != nil {
			return nil, f
		}
		clearGuest(c, vm)
		o.settle(c, vm)
		o.sim.hub.touch(vm.Self)
		return nil, nil
	})
}

func clearGuest(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	kept := slices.DeleteFunc(slices.Clone(vm.Config.ExtraConfig), func(v types.BaseOptionValue) bool {
		return strings.HasSuffix(v.GetOptionValue().Key, "@non-persistent")
	})
	for i := range vm.Guest.Net {
		vm.Guest.Net[i].IpAddress = nil
	}
	vm.Guest.IpAddress, vm.Guest.HostName = "", ""
	vm.Summary.Guest.IpAddress, vm.Summary.Guest.HostName = "", ""
	notRunning := string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning)
	set(ctx, vm,
		types.PropertyChange{Name: "config.extraConfig", Val: kept},
		types.PropertyChange{Name: "guest.net", Val: vm.Guest.Net},
		types.PropertyChange{Name: "guest.toolsStatus", Val: types.VirtualMachineToolsStatusToolsNotRunning},
		types.PropertyChange{Name: "guest.toolsRunningStatus", Val: notRunning},
		types.PropertyChange{Name: "summary.guest.toolsRunningStatus", Val: notRunning})
}

// ownFiles are the patterns of files that a machine's destruction takes with it; others stay.
var ownFiles = []string{"*.vmx", "*.vmxf", "*.nvram", "*.vmsd", "*.vswp", "vmware*.log"}

// destroyVM removes a powered-off machine and its own files; others in its folder stay.
func (o *overrides) destroyVM(ctx *simulator.Context, vm *simulator.VirtualMachine) types.BaseMethodFault {
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		return &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: vm.Runtime.PowerState}
	}
	touched := append([]moref{*vm.Runtime.Host, *vm.Parent}, vm.Datastore...)
	if vm.ResourcePool != nil {
		touched = append(touched, *vm.ResourcePool)
	}
	_, vmx, pathFault := o.sim.datastorePath(vm.Config.Files.VmPathName)
	vm.Config.Files.LogDirectory = "" // govmomi's simulator deletes that whole directory
	if _, f := o.inner(ctx, vm.DestroyTask(ctx, &types.Destroy_Task{This: vm.Self})); f != nil {
		return f
	}
	if pathFault == nil {
		dir := filepath.Dir(vmx)
		for _, pattern := range ownFiles {
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, f := range files {
				_ = os.Remove(f)
			}
		}
		_ = os.Remove(dir) // fails unless it is empty
	}
	o.sim.secrets.put(vm.Self, "")
	o.protection.forget(vm.Self)
	o.settle(ctx, vm)
	o.sim.hub.touch(touched...)
	return nil
}

// nic is a network card as the simulator's own parts look at it.
type nic struct {
	key  int32
	slot int32 // PCI slot number, 0 when none is set
	card *types.VirtualEthernetCard
}

func nicsOf(vm *simulator.VirtualMachine) []nic {
	var out []nic
	if vm.Config == nil {
		return nil
	}
	for _, d := range vm.Config.Hardware.Device {
		c, ok := d.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		n := nic{card: c.GetVirtualEthernetCard()}
		n.key = n.card.Key
		if s, ok := n.card.SlotInfo.(*types.VirtualDevicePciBusSlotInfo); ok {
			n.slot = s.PciSlotNumber
		}
		out = append(out, n)
	}
	return out
}

// network is the reference of the network behind a card.
func (n nic) network(ctx *simulator.Context) (moref, bool) {
	switch b := n.card.Backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return moref{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}, true
	case *types.VirtualEthernetCardNetworkBackingInfo:
		if b.Network != nil {
			return *b.Network, true
		}
		for _, e := range ctx.Map.All("Network") {
			if entityName(e) == b.DeviceName {
				return e.Reference(), true
			}
		}
	}
	return moref{}, false
}

// completeState gives a VM the states that every VM has: govmomi leaves them empty, which strict clients cannot read.
func completeState(vm *simulator.VirtualMachine) {
	vm.Runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
	vm.Runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
	vm.Summary.Runtime.FaultToleranceState = vm.Runtime.FaultToleranceState
	vm.Summary.Runtime.RecordReplayState = vm.Runtime.RecordReplayState
	if vm.GuestHeartbeatStatus == "" {
		vm.GuestHeartbeatStatus = types.ManagedEntityStatusGray
	}
	if vm.Summary.QuickStats.GuestHeartbeatStatus == "" {
		vm.Summary.QuickStats.GuestHeartbeatStatus = types.ManagedEntityStatusGray
	}
	for _, status := range []*types.ManagedEntityStatus{&vm.OverallStatus, &vm.ConfigStatus, &vm.Summary.OverallStatus} {
		if *status == "" {
			*status = types.ManagedEntityStatusGreen
		}
	}
}

// completeCards gives cards without a PCI slot one, from 160 in steps of 32, as a host does.
func completeCards(vm *simulator.VirtualMachine) {
	used := map[int32]bool{}
	cards := nicsOf(vm)
	for _, n := range cards {
		used[n.slot] = true
	}
	next := int32(160)
	for _, n := range cards {
		if n.slot != 0 {
			continue
		}
		for used[next] {
			next += 32
		}
		used[next] = true
		n.card.SlotInfo = &types.VirtualDevicePciBusSlotInfo{PciSlotNumber: next}
	}
}

// isosOf lists the ISO files that are connected when the machine powers on.
func isosOf(vm *simulator.VirtualMachine) []string {
	var out []string
	for _, d := range vm.Config.Hardware.Device {
		cd, ok := d.(*types.VirtualCdrom)
		if !ok || cd.Connectable != nil && !cd.Connectable.StartConnected {
			continue
		}
		if b, ok := cd.Backing.(*types.VirtualCdromIsoBackingInfo); ok {
			out = append(out, b.FileName)
		}
	}
	return out
}

// extraConfig is a machine's extraConfig as the API shows it: without guestinfo.ovfEnv.
func extraConfig(vm *simulator.VirtualMachine) map[string]string {
	out := map[string]string{}
	if vm.Config == nil {
		return out
	}
	for _, v := range vm.Config.ExtraConfig {
		ov := v.GetOptionValue()
		if s, ok := ov.Value.(string); ok {
			out[ov.Key] = s
		}
	}
	return out
}
