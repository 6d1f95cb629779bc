package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// containerRequest makes, moves or removes a container of a container host.
type containerRequest struct {
	Action  string            `json:"action"`
	VCH     string            `json:"vch"`
	Name    string            `json:"name"`
	Network string            `json:"network,omitempty"` // alias of the host's configuration, or a port group
	IP      string            `json:"ip,omitempty"`      // the first free of the network's ranges if absent
	Image   string            `json:"image,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
}

func (s *Simulator) postContainer(r *containerRequest) (any, error) {
	host := s.findVCH(r.VCH)
	if host == nil {
		return nil, unknown("container host", r.VCH)
	}
	if r.Action == "make" {
		return s.makeContainer(host, r)
	}
	vm := s.findContainer(host, r.Name)
	if vm == nil {
		return nil, unknown("container", r.Name)
	}
	answer := map[string]string{"moref": vm.Self.Type + ":" + vm.Self.Value}
	switch r.Action {
	case "move":
		return answer, s.moveContainer(host, vm, r)
	case "remove":
		return answer, s.editDestroy(&editRequest{Type: "VirtualMachine", Name: vm.Self.Value})
	}
	return nil, unknown("action", r.Action)
}

// findVCH finds a container host by machine name, hidden name or reference.
func (s *Simulator) findVCH(name string) *simulator.VirtualMachine {
	var found *simulator.VirtualMachine
	s.eachVM(s.newContext(), func(vm *simulator.VirtualMachine) {
		keys := extraConfig(vm)
		if isVCH(keys) && (vm.Name == name || keys["init/common/name"] == name || vm.Self.Value == name) {
			found = vm
		}
	})
	return found
}

func (s *Simulator) findContainer(host *simulator.VirtualMachine, name string) *simulator.VirtualMachine {
	var found *simulator.VirtualMachine
	pool := host.ResourcePool
	s.eachVM(s.newContext(), func(vm *simulator.VirtualMachine) {
		keys := extraConfig(vm)
		if pool != nil && vm.ResourcePool != nil && *vm.ResourcePool == *pool && keys[readOnly+"common/id"] != "" &&
			(keys["common/name"] == name || vm.Self.Value == name) {
			found = vm
		}
	})
	return found
}

// containerGroup is the port group behind an alias, or the one of that name.
func (s *Simulator) containerGroup(keys map[string]string, network string) (*simulator.DistributedVirtualPortgroup, error) {
	if network == "" {
		network = "bridge"
	}
	name := network
	if id := keys[readOnly+"network/container_networks|"+network+"/Common/id"]; id != "" {
		_, name, _ = strings.Cut(id, ":")
	}
	e, err := s.find("DistributedVirtualPortgroup", name)
	if err != nil {
		return nil, err
	}
	pg, ok := e.(*simulator.DistributedVirtualPortgroup)
	if !ok {
		return nil, unknown("port group", name)
	}
	return pg, nil
}

func (s *Simulator) backing(pg *simulator.DistributedVirtualPortgroup) types.BaseVirtualDeviceBackingInfo {
	uuid := ""
	if dvs, ok := s.registry().Get(*pg.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch); ok {
		uuid = dvs.Uuid
	}
	return &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{
		Port: types.DistributedVirtualSwitchPortConnection{PortgroupKey: pg.Key, SwitchUuid: uuid},
	}
}

func (s *Simulator) makeContainer(host *simulator.VirtualMachine, r *containerRequest) (any, error) {
	if s.findContainer(host, r.Name) != nil {
		return nil, fmt.Errorf("container %q exists", r.Name)
	}
	keys := extraConfig(host)
	pg, err := s.containerGroup(keys, r.Network)
	if err != nil {
		return nil, err
	}
	ip := r.IP
	if ip == "" {
		ip = s.freeAddress(keys, r.Network)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	id := hex.EncodeToString(raw)
	res, err := s.act(func(ctx *simulator.Context) moref {
		req := &types.CreateVM_Task{This: *host.Parent, Pool: *host.ResourcePool, Config: s.containerSpec(keys, host, pg, r, id)}
		return taskOf(s.over.CreateVMTask(ctx, req))
	})
	if err != nil {
		return nil, err
	}
	ref, _ := res.(moref)
	if vm, ok := s.registry().Get(ref).(*simulator.VirtualMachine); ok && len(nicsOf(vm)) > 0 {
		s.guests.setContainer(ref, containerNIC{key: nicsOf(vm)[0].key, ip: ip})
	}
	// The port layer protects its machines as vic-machine does.
	s.over.disable(s.newContext(), ref, []string{"Destroy_Task"}, "VIC", true)
	if err := s.power(ref, true); err != nil {
		return nil, err
	}
	return map[string]string{"moref": ref.Type + ":" + ref.Value, "id": id, "ip": ip}, nil
}

// containerSpec is a container machine as the port layer makes it.
func (s *Simulator) containerSpec(keys map[string]string, host *simulator.VirtualMachine, pg *simulator.DistributedVirtualPortgroup, r *containerRequest, id string) types.VirtualMachineConfigSpec {
	network := r.Network
	if network == "" {
		network = "bridge"
	}
	extra := map[string]string{
		readOnly + "common/id": id, "common/name": r.Name, readOnly + "repo": r.Image,
		readOnly + "networks": network, readOnly + "networks|" + network + "/network/Common/id": "DistributedVirtualPortgroup:" + pg.Self.Value,
	}
	for _, k := range []string{"Version", "BuildNumber", "GitCommit", "PluginVersion"} {
		extra[readOnly+"version/"+k] = keys[readOnly+"init/version/"+k]
	}
	card := &types.VirtualVmxnet3{}
	card.Key, card.Backing = -1, s.backing(pg)
	if len(r.Labels) > 0 {
		// The Docker personality keeps labels as an annotation, hidden from the guest.
		blob, _ := json.Marshal(r.Labels)
		extra["annotations"] = "docker.labels"
		extra["annotations|docker.labels"] = base64.StdEncoding.EncodeToString(blob)
	}
	devices := object.VirtualDeviceList{card}
	if iso := keys[readOnly+"container/bootstrap_image_path"]; iso != "" {
		cd := &types.VirtualCdrom{}
		cd.Key, cd.ControllerKey, cd.UnitNumber = -2, 200, types.NewInt32(0)
		cd.Backing = &types.VirtualCdromIsoBackingInfo{VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: iso}}
		cd.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true}
		devices = append(devices, cd)
	}
	spec := types.VirtualMachineConfigSpec{
		Name: r.Name + "-" + id[:12], GuestId: "otherGuest64", NumCPUs: 2, MemoryMB: 2048,
		AlternateGuestName: "Photon - Container " + keys[readOnly+"init/version/Version"],
		Files:              &types.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[%s] %s/%s.vmx", keys[readOnly+"storage/image_stores|0/Host"], id, id)},
	}
	spec.DeviceChange, _ = devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	for k, v := range extra {
		if v != "" {
			spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: k, Value: v})
		}
	}
	return spec
}

// freeAddress is the first address of a network's ranges that no container has.
func (s *Simulator) freeAddress(keys map[string]string, network string) string {
	cfg := newGuestConfig(keys, "")
	pool := "network/container_networks|" + network + "/pools|0"
	first, err := cfg.address(pool + "/first")
	if err != nil {
		return ""
	}
	last, err := cfg.address(pool + "/last")
	if err != nil {
		return ""
	}
	used := map[string]bool{}
	s.guests.mu.Lock()
	for _, c := range s.guests.containers {
		used[c.ip] = true
	}
	s.guests.mu.Unlock()
	for a := first; a != (netip.Addr{}) && !last.Less(a); a = a.Next() {
		if !used[a.String()] {
			return a.String()
		}
	}
	return ""
}

// moveContainer gives a container another address, another network, or both.
func (s *Simulator) moveContainer(host, vm *simulator.VirtualMachine, r *containerRequest) error {
	cards := nicsOf(vm)
	if len(cards) == 0 {
		return fmt.Errorf("container %q has no card", r.Name)
	}
	if r.Network != "" {
		pg, err := s.containerGroup(extraConfig(host), r.Network)
		if err != nil {
			return err
		}
		card := &types.VirtualVmxnet3{}
		card.VirtualEthernetCard = *cards[0].card
		card.Backing = s.backing(pg)
		_, err = s.act(func(ctx *simulator.Context) moref {
			return taskOf(s.over.ReconfigVMTask(ctx, &types.ReconfigVM_Task{This: vm.Self, Spec: types.VirtualMachineConfigSpec{
				DeviceChange: []types.BaseVirtualDeviceConfigSpec{&types.VirtualDeviceConfigSpec{
					Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: card}},
				ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: readOnly + "networks", Value: r.Network}},
			}}))
		})
		if err != nil {
			return err
		}
	}
	c, _ := s.guests.container(vm.Self)
	if r.IP != "" {
		c.ip = r.IP
	}
	c.key = nicsOf(vm)[0].key
	s.guests.setContainer(vm.Self, c)
	s.guests.mu.Lock()
	n := s.guests.running[vm.Self]
	s.guests.mu.Unlock()
	if n != nil {
		n.report(nil, c.ip, map[int32]string{c.key: c.ip})
	}
	return nil
}
