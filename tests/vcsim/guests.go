package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log"
	"net/netip"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// Guests runs what is inside the machines: the appliances of container hosts and
// the containers. It follows the machines' power state through the hub.
type Guests struct {
	sim *Simulator

	mu         sync.Mutex
	running    map[moref]*guest
	states     map[moref]string
	leases     map[string]netip.Addr // by MAC address
	containers map[moref]containerNIC
}

// containerNIC is the address that a container's guest gives its card.
type containerNIC struct {
	key int32
	ip  string
}

// guest is one machine's run from power-on to power-off.
type guest struct {
	sim    *Simulator
	vm     *simulator.VirtualMachine
	boot   time.Time
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	docker *endpoint
	admin  *endpoint
	app    *appliance
	client netip.Prefix
}

func newGuests(s *Simulator) *Guests {
	return &Guests{
		sim: s, running: map[moref]*guest{}, states: map[moref]string{},
		leases: map[string]netip.Addr{}, containers: map[moref]containerNIC{},
	}
}

func (g *Guests) run() {
	l := g.sim.hub.listen()
	g.sim.spawn(func() {
		defer l.close()
		for {
			select {
			case <-g.sim.ctx.Done():
				return
			case <-l.wake:
			}
			for ref := range l.drain() {
				if ref.Type == "VirtualMachine" {
					g.follow(ref)
				}
			}
		}
	})
}

// follow starts or stops a machine's guest as its power state says.
func (g *Guests) follow(ref moref) {
	ctx := g.sim.newContext()
	vm, ok := ctx.Map.Get(ref).(*simulator.VirtualMachine)
	on, boot := false, time.Time{}
	if ok && !g.sim.hub.isGone(ref) {
		ctx.WithLock(vm, func() {
			on = vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
			if b := vm.Summary.Runtime.BootTime; b != nil {
				boot = *b
			}
		})
	}
	g.mu.Lock()
	have := g.running[ref]
	if have != nil && (!on || !have.boot.Equal(boot)) {
		delete(g.running, ref)
		g.mu.Unlock()
		have.stop()
		g.mu.Lock()
		delete(g.states, ref) // only now is nothing of it left
		have = nil
	}
	if !on || have != nil || g.sim.ctx.Err() != nil {
		g.mu.Unlock()
		return
	}
	n := &guest{sim: g.sim, vm: vm, boot: boot}
	n.ctx, n.cancel = context.WithCancel(g.sim.ctx)
	g.running[ref] = n
	g.states[ref] = "booting"
	g.mu.Unlock()
	g.sim.spawn(n.run)
}

func (g *Guests) stopAll() {
	g.mu.Lock()
	all := g.running
	g.running = map[moref]*guest{}
	g.mu.Unlock()
	for _, n := range all {
		n.stop()
	}
}

// retune applies a changed behaviour to guests that are up.
func (g *Guests) retune() {
	g.mu.Lock()
	var all []*guest
	for _, n := range g.running {
		all = append(all, n)
	}
	g.mu.Unlock()
	for _, n := range all {
		n.retune()
	}
}

func (g *Guests) state(ref moref) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.states[ref]
}

func (g *Guests) setState(n *guest, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[n.vm.Self] == n {
		g.states[n.vm.Self] = text
	}
}

// setContainer tells which address a container gives its card.
func (g *Guests) setContainer(ref moref, c containerNIC) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.containers[ref] = c
}

func (g *Guests) container(ref moref) (containerNIC, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.containers[ref]
	return c, ok
}

// lease hands out .100 to .199 of the VCH network, the same address for the same card.
func (g *Guests) lease(mac string) (netip.Prefix, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	network := g.sim.network
	if a, ok := g.leases[mac]; ok {
		return netip.PrefixFrom(a, network.Bits()), nil
	}
	used := map[netip.Addr]bool{}
	for _, a := range g.leases {
		used[a] = true
	}
	base := network.Masked().Addr().As4()
	for last := 100; last < 200; last++ {
		base[3] = byte(last)
		if a := netip.AddrFrom4(base); !used[a] {
			g.leases[mac] = a
			return netip.PrefixFrom(a, network.Bits()), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("DHCP has no address left in %s", network)
}

func (n *guest) stop() {
	n.cancel()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.docker.close()
	n.admin.close()
	n.docker, n.admin = nil, nil
}

func (n *guest) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-n.ctx.Done():
		return false
	}
}

func (n *guest) run() {
	if c, ok := n.sim.guests.container(n.vm.Self); ok {
		n.report(nil, c.ip, map[int32]string{c.key: c.ip})
		n.sim.guests.setState(n, "container "+c.ip)
		return
	}
	ctx := n.sim.newContext()
	var extra map[string]string
	var isos []string
	ctx.WithLock(n.vm, func() { extra, isos = extraConfig(n.vm), isosOf(n.vm) })
	if !isVCH(extra) {
		n.sim.guests.setState(n, "no container host")
		return
	}
	if len(isos) == 0 {
		n.sim.guests.setState(n, "no bootable medium")
		return
	}
	if !n.wait(n.sim.tune.bootDelay(n.vm.Name)) {
		return
	}
	a := &appliance{sim: n.sim, ctx: ctx, vm: n.vm}
	var err error
	ctx.WithLock(n.vm, func() {
		a.cfg = newGuestConfig(extraConfig(n.vm), n.sim.secrets.get(n.vm.Self))
	})
	if err = a.check(); err != nil {
		n.fail(a, err)
		return
	}
	n.comeUp(a)
}

// fail writes the launch error of every session that the configuration names.
func (n *guest) fail(a *appliance, err error) {
	log.Printf("guest of %s does not come up: %v", n.vm.Name, err)
	keys := map[string]string{}
	for _, s := range []string{"docker-personality", "port-layer", "vicadmin"} {
		if a.cfg.hasRO("init/sessions|" + s + "/cmd/Path") {
			keys[rwKey("init/sessions|"+s+"/started")] = err.Error()
		}
	}
	n.report(keys, "", nil)
	n.sim.guests.setState(n, "failed: "+err.Error())
}

func encodeAddr(a netip.Addr) string {
	b := a.As16()
	return base64.StdEncoding.EncodeToString(b[:])
}

func encodeMask(bits int) string {
	m := uint32(0xffffffff) << (32 - bits)
	if bits == 0 {
		m = 0
	}
	return base64.StdEncoding.EncodeToString([]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)})
}

// addresses settles every role's address: static, leased, or the first of the bridge range.
func (n *guest) addresses(a *appliance) (map[string]netip.Prefix, error) {
	out := map[string]netip.Prefix{"bridge": netip.PrefixFrom(a.bridge.Addr().Next(), a.bridge.Bits())}
	for _, role := range []string{"client", "management", "public"} {
		if p, ok := a.static[role]; ok {
			out[role] = p
			continue
		}
		p, err := n.sim.guests.lease(a.nic[role].card.MacAddress)
		if err != nil {
			return nil, err
		}
		out[role] = p
	}
	return out, nil
}

func (n *guest) comeUp(a *appliance) {
	behaviour := n.sim.tune.behaviour(n.vm.Name)
	if behaviour == "no-address" {
		n.report(nil, "", nil)
		n.sim.guests.setState(n, "no address")
		return
	}
	addrs, err := n.addresses(a)
	if err != nil {
		n.fail(a, err)
		return
	}
	keys, cards := map[string]string{}, map[int32]string{}
	for role, p := range addrs {
		at := "init/networks|" + role
		keys[rwKey(at+"/assigned/IP")] = encodeAddr(p.Addr())
		keys[rwKey(at+"/assigned/Mask")] = encodeMask(p.Bits())
		cards[a.nic[role].key] = p.Addr().String()
		if _, static := a.static[role]; !static && role != "bridge" {
			gw := p.Masked().Addr().Next()
			keys[rwKey(at+"/network/assigned/gateway/IP")] = encodeAddr(gw)
			keys[rwKey(at+"/network/assigned/gateway/Mask")] = encodeMask(p.Bits())
		}
	}
	started := map[string]string{"docker-personality": "true", "port-layer": "true", "vicadmin": "true"}
	state := "up " + addrs["client"].Addr().String()
	if behaviour == "component-fails" {
		started["port-layer"] = "exit status 1: port layer could not be launched"
		state = "failed: component"
	} else {
		n.mu.Lock()
		n.app, n.client = a, addrs["client"]
		n.mu.Unlock()
		if err := n.open(behaviour); err != nil {
			started["docker-personality"] = err.Error()
			state = "failed: " + err.Error()
		}
	}
	for s, text := range started {
		keys[rwKey("init/sessions|"+s+"/started")] = text
	}
	n.report(keys, addrs["client"].Addr().String(), cards)
	n.sim.guests.setState(n, state)
}

// open starts the endpoints that the behaviour allows.
func (n *guest) open(behaviour string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.app == nil {
		return nil
	}
	var err error
	if n.docker == nil && behaviour != "api-down" {
		if n.docker, err = n.serveDocker(); err != nil {
			return err
		}
	}
	if n.admin == nil {
		n.admin, err = n.serveAdmin()
	}
	return err
}

// retune closes or opens the Docker endpoint of a guest that is up.
func (n *guest) retune() {
	behaviour := n.sim.tune.behaviour(n.vm.Name)
	if behaviour != "api-down" {
		if err := n.open(behaviour); err != nil {
			log.Printf("guest of %s: %v", n.vm.Name, err)
		}
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.docker.close()
	n.docker = nil
}

// report writes what the guest tells: dotted keys, its tools and its addresses.
func (n *guest) report(keys map[string]string, ip string, cards map[int32]string) {
	ctx := n.sim.newContext()
	ctx.WithLock(n.vm, func() {
		if n.ctx.Err() != nil || n.vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			return
		}
		running := string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
		changes := []types.PropertyChange{
			{Name: "config.extraConfig", Val: mergeExtra(n.vm.Config.ExtraConfig, keys)},
			{Name: "guest.toolsStatus", Val: types.VirtualMachineToolsStatusToolsOk},
			{Name: "guest.toolsRunningStatus", Val: running},
			{Name: "summary.guest.toolsRunningStatus", Val: running},
		}
		if ip != "" {
			for i := range n.vm.Guest.Net {
				if a, ok := cards[n.vm.Guest.Net[i].DeviceConfigId]; ok {
					n.vm.Guest.Net[i].IpAddress = []string{a}
				}
			}
			changes = append(changes,
				types.PropertyChange{Name: "guest.net", Val: n.vm.Guest.Net},
				types.PropertyChange{Name: "guest.ipAddress", Val: ip},
				types.PropertyChange{Name: "summary.guest.ipAddress", Val: ip})
		}
		ctx.Update(n.vm, changes)
	})
}

// mergeExtra sets keys in a copy of an extraConfig.
func mergeExtra(old []types.BaseOptionValue, keys map[string]string) []types.BaseOptionValue {
	out := make([]types.BaseOptionValue, 0, len(old)+len(keys))
	seen := map[string]bool{}
	for _, v := range old {
		ov := *v.GetOptionValue()
		if text, ok := keys[ov.Key]; ok {
			ov.Value = text
			seen[ov.Key] = true
		}
		out = append(out, &ov)
	}
	for k, text := range keys {
		if !seen[k] {
			out = append(out, &types.OptionValue{Key: k, Value: text})
		}
	}
	return out
}
