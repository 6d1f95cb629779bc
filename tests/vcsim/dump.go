package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Dump is the body of GET /dump: all that could be left behind.
type Dump struct {
	VMs          []DumpVM          `json:"vms"`
	Pools        []DumpPool        `json:"pools"`
	Folders      []DumpFolder      `json:"folders"`
	PortGroups   []DumpPortGroup   `json:"port_groups"`
	Files        []DumpFile        `json:"files"`
	Sessions     []DumpSession     `json:"sessions"`
	CustomFields []DumpField       `json:"custom_fields"`
	Settings     map[string]string `json:"settings"`
}

// DumpVM is one virtual machine with its extraConfig, guestinfo.ovfEnv included.
type DumpVM struct {
	Moref        string            `json:"moref"`
	Name         string            `json:"name"`
	Folder       string            `json:"folder"`
	Pool         string            `json:"pool"`
	Power        string            `json:"power"`
	VMPath       string            `json:"vm_path"`
	InstanceUUID string            `json:"instance_uuid"`
	NumCPUs      int32             `json:"num_cpus"`
	MemoryMB     int32             `json:"memory_mb"`
	GuestName    string            `json:"alternate_guest_name"`
	Tools        string            `json:"tools"`
	IP           string            `json:"ip"`
	Guest        string            `json:"guest"` // state of the guest actor, with its reason
	Marks        map[string]string `json:"marks"`
	Devices      []DumpDevice      `json:"devices"`
	ExtraConfig  map[string]string `json:"extra_config"`
}

// DumpDevice is a device that was added to a machine, or an IDE controller.
type DumpDevice struct {
	Type       string `json:"type"`
	Key        int32  `json:"key"`
	Controller int32  `json:"controller,omitempty"`
	Unit       *int32 `json:"unit,omitempty"`
	Slot       int32  `json:"slot,omitempty"`
	MAC        string `json:"mac,omitempty"`
	Network    string `json:"network,omitempty"`
	File       string `json:"file,omitempty"`
	Connected  bool   `json:"connected"`
}

// DumpPool is a resource pool or vApp.
type DumpPool struct {
	Moref  string                   `json:"moref"`
	Name   string                   `json:"name"`
	Path   string                   `json:"path"`
	Config types.ResourceConfigSpec `json:"config"`
	VMs    []string                 `json:"vms"`
	Marks  map[string]string        `json:"marks"`
}

// DumpFolder is an inventory folder.
type DumpFolder struct {
	Moref    string            `json:"moref"`
	Name     string            `json:"name"`
	Path     string            `json:"path"`
	Children []string          `json:"children"`
	Marks    map[string]string `json:"marks"`
}

// DumpPortGroup is a distributed port group.
type DumpPortGroup struct {
	Moref         string            `json:"moref"`
	Name          string            `json:"name"`
	Description   string            `json:"description"`
	VLAN          string            `json:"vlan"`
	Backing       string            `json:"backing"`
	LogicalSwitch string            `json:"logical_switch,omitempty"`
	Segment       string            `json:"segment,omitempty"`
	ConfigVersion string            `json:"config_version"`
	NumPorts      int32             `json:"num_ports"`
	VMs           []string          `json:"vms"`
	Marks         map[string]string `json:"marks"`
}

// DumpFile is a file or directory (with a trailing slash) of a datastore.
type DumpFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// DumpSession is a session that is alive.
type DumpSession struct {
	User      string    `json:"user"`
	UserAgent string    `json:"user_agent"`
	Login     time.Time `json:"login"`
}

// DumpField is a custom attribute's definition.
type DumpField struct {
	Key  int32  `json:"key"`
	Name string `json:"name"`
	Type string `json:"type"`
}

func (s *Simulator) dump() Dump {
	ctx := s.newContext()
	d := Dump{Settings: map[string]string{}, VMs: []DumpVM{}, Files: s.dumpFiles(), CustomFields: []DumpField{}, Sessions: []DumpSession{}}
	names := map[int32]string{}
	for _, f := range ctx.Map.CustomFieldsManager().Field {
		names[f.Key] = f.Name
		d.CustomFields = append(d.CustomFields, DumpField{f.Key, f.Name, f.ManagedObjectType})
	}
	for _, e := range sorted(ctx.Map.All("")) {
		// Each object is read under its own lock.
		ctx.WithLock(e, func() { s.dumpEntity(ctx, &d, e, names) })
	}
	for _, u := range s.sessions.list() {
		d.Sessions = append(d.Sessions, DumpSession{u.UserName, u.UserAgent, u.LoginTime})
	}
	sort.Slice(d.Sessions, func(i, j int) bool { return d.Sessions[i].Login.Before(d.Sessions[j].Login) })
	for _, o := range ctx.Map.OptionManager().Setting {
		v := o.GetOptionValue()
		d.Settings[v.Key] = fmt.Sprint(v.Value)
	}
	return d
}

func sorted(list []mo.Entity) []mo.Entity {
	sort.Slice(list, func(i, j int) bool { return list[i].Reference().String() < list[j].Reference().String() })
	return list
}

func marks(e mo.Entity, names map[int32]string) map[string]string {
	out := map[string]string{}
	for _, v := range e.Entity().CustomValue {
		if c, ok := v.(*types.CustomFieldStringValue); ok {
			out[names[c.Key]] = c.Value
		}
	}
	return out
}

func texts(refs []moref) []string {
	out := []string{}
	for _, r := range refs {
		out = append(out, r.Type+":"+r.Value)
	}
	return out
}

// pathOf is an entity's inventory path.
func pathOf(ctx *simulator.Context, ref moref) string {
	var parts []string
	for {
		e, ok := ctx.Map.Get(ref).(mo.Entity)
		if !ok || e.Entity().Parent == nil {
			break
		}
		parts = append([]string{entityName(e)}, parts...)
		ref = *e.Entity().Parent
	}
	return "/" + strings.Join(parts, "/")
}

func (s *Simulator) dumpEntity(ctx *simulator.Context, d *Dump, e mo.Entity, names map[int32]string) {
	ref := e.Reference()
	text := ref.Type + ":" + ref.Value
	switch x := e.(type) {
	case *simulator.VirtualMachine:
		if x.Config != nil {
			d.VMs = append(d.VMs, s.dumpVM(ctx, x, names))
		}
	case *simulator.ResourcePool, *simulator.VirtualApp:
		p := poolOf(e)
		d.Pools = append(d.Pools, DumpPool{text, p.Name, pathOf(ctx, ref), p.Config, texts(p.Vm), marks(e, names)})
	case *simulator.Folder:
		d.Folders = append(d.Folders, DumpFolder{text, x.Name, pathOf(ctx, ref), texts(x.ChildEntity), marks(e, names)})
	case *simulator.DistributedVirtualPortgroup:
		c := x.Config
		d.PortGroups = append(d.PortGroups, DumpPortGroup{text, x.Name, c.Description, vlanText(c.DefaultPortConfig), c.BackingType,
			c.LogicalSwitchUuid, c.SegmentId, c.ConfigVersion, c.NumPorts, texts(x.Vm), marks(e, names)})
	}
}

func vlanText(s types.BaseDVPortSetting) string {
	v, ok := s.(*types.VMwareDVSPortSetting)
	if !ok {
		return ""
	}
	switch x := v.Vlan.(type) {
	case *types.VmwareDistributedVirtualSwitchVlanIdSpec:
		return fmt.Sprint(x.VlanId)
	case *types.VmwareDistributedVirtualSwitchTrunkVlanSpec:
		return "trunk"
	case *types.VmwareDistributedVirtualSwitchPvlanSpec:
		return fmt.Sprintf("private %d", x.PvlanId)
	}
	return ""
}

func (s *Simulator) dumpVM(ctx *simulator.Context, vm *simulator.VirtualMachine, names map[int32]string) DumpVM {
	keys := extraConfig(vm)
	if k := s.secrets.get(vm.Self); k != "" {
		keys[secretKey] = k
	}
	out := DumpVM{
		Moref: vm.Self.Type + ":" + vm.Self.Value, Name: vm.Name, Power: string(vm.Runtime.PowerState),
		VMPath: vm.Config.Files.VmPathName, InstanceUUID: vm.Config.InstanceUuid,
		NumCPUs: vm.Config.Hardware.NumCPU, MemoryMB: vm.Config.Hardware.MemoryMB,
		GuestName: vm.Config.AlternateGuestName, Guest: s.guests.state(vm.Self), Marks: marks(vm, names), ExtraConfig: keys,
	}
	if vm.Parent != nil {
		out.Folder = pathOf(ctx, *vm.Parent)
	}
	if vm.ResourcePool != nil {
		out.Pool = pathOf(ctx, *vm.ResourcePool)
	}
	if vm.Guest != nil {
		out.Tools, out.IP = vm.Guest.ToolsRunningStatus, vm.Guest.IpAddress
	}
	for _, dev := range vm.Config.Hardware.Device {
		if dd, ok := dumpDevice(ctx, dev); ok {
			out.Devices = append(out.Devices, dd)
		}
	}
	return out
}

func dumpDevice(ctx *simulator.Context, dev types.BaseVirtualDevice) (DumpDevice, bool) {
	d := dev.GetVirtualDevice()
	out := DumpDevice{Type: typeNameOf(dev), Key: d.Key, Controller: d.ControllerKey, Unit: d.UnitNumber}
	if d.Connectable != nil {
		out.Connected = d.Connectable.Connected
	}
	switch x := dev.(type) {
	case types.BaseVirtualEthernetCard:
		n := nic{card: x.GetVirtualEthernetCard()}
		out.MAC = n.card.MacAddress
		if s, ok := n.card.SlotInfo.(*types.VirtualDevicePciBusSlotInfo); ok {
			out.Slot = s.PciSlotNumber
		}
		if ref, ok := n.network(ctx); ok {
			out.Network = ref.Type + ":" + ref.Value
		}
	case *types.VirtualIDEController, types.BaseVirtualSCSIController:
	default:
		b, ok := d.Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if !ok {
			return out, false
		}
		out.File = b.GetVirtualDeviceFileBackingInfo().FileName
	}
	return out, true
}

func (s *Simulator) dumpFiles() []DumpFile {
	out := []DumpFile{}
	for _, e := range sorted(s.registry().All("Datastore")) {
		ds, ok := e.(*simulator.Datastore)
		if !ok {
			continue
		}
		root := ds.Summary.Url
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || path == root {
				return nil // a file may vanish while we walk
			}
			rel, _ := filepath.Rel(root, path)
			f := DumpFile{Path: fmt.Sprintf("[%s] %s", ds.Name, filepath.ToSlash(rel))}
			if entry.IsDir() {
				f.Path += "/"
			} else if info, err := entry.Info(); err == nil {
				f.Size = info.Size()
			}
			out = append(out, f)
			return nil
		})
	}
	return out
}
