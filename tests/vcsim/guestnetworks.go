package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func (a *appliance) checkNetworks() error {
	keys, err := a.cfg.mapKeys("init/networks")
	if err != nil {
		return err
	}
	if !slices.Equal(keys, roles) {
		return fmt.Errorf("init/networks is %v, not %v", keys, roles)
	}
	a.nic, a.static = map[string]nic{}, map[string]netip.Prefix{}
	for _, role := range roles {
		if err := a.checkEndpoint(role); err != nil {
			return err
		}
	}
	for _, role := range roles[1:] {
		if a.nic[role].key == a.nic["bridge"].key {
			return fmt.Errorf("bridge and %s share a card", role)
		}
	}
	return nil
}

func (a *appliance) checkEndpoint(role string) error {
	c, at := a.cfg, "init/networks|"+role
	name := role
	if role == "management" {
		name = ""
	}
	kind := ""
	if role == "bridge" {
		kind = "bridge"
	}
	for k, v := range map[string]string{
		"/Common/name": name, "/network/Common/name": role, "/internal": "false",
		"/network/default": strconv.FormatBool(role == "public"),
	} {
		if err := c.is(at+k, v); err != nil {
			return err
		}
	}
	if got, err := c.rw(at + "/network/type"); err != nil || got != kind {
		return fmt.Errorf("%s is %q, not %q (%v)", rwKey(at+"/network/type"), got, kind, err)
	}
	if err := a.checkCard(role, at); err != nil {
		return err
	}
	static, err := c.boolean(at + "/static")
	if err != nil {
		return err
	}
	if role == "bridge" {
		return a.checkBridgeEndpoint(at, static)
	}
	if !static {
		return nil
	}
	return a.checkStatic(role, at)
}

// checkCard finds the card of an endpoint by its PCI slot, as the appliance does.
func (a *appliance) checkCard(role, at string) error {
	slot, err := a.cfg.integer(at + "/Common/id")
	if err != nil {
		return err
	}
	cards := nicsOf(a.vm)
	i := slices.IndexFunc(cards, func(n nic) bool { return int(n.slot) == slot })
	if i < 0 {
		return fmt.Errorf("%s/Common/id: there is no card in PCI slot %d", at, slot)
	}
	network, err := a.cfg.ro(at + "/network/Common/id")
	if err != nil {
		return err
	}
	if ref, ok := cards[i].network(a.ctx); !ok || ref.Type+":"+ref.Value != network {
		return fmt.Errorf("%s/network/Common/id is %s, the card in slot %d is on %s:%s", at, network, slot, ref.Type, ref.Value)
	}
	a.nic[role] = cards[i]
	return nil
}

func (a *appliance) checkBridgeEndpoint(at string, static bool) error {
	ip, err := a.cfg.address(at + "/ip/IP")
	if err != nil {
		return err
	}
	if !static || !ip.IsUnspecified() || a.cfg.hasRO(at+"/ip/Mask") {
		return fmt.Errorf("%s must be static with address 0.0.0.0 and no mask", at)
	}
	return nil
}

func (a *appliance) checkStatic(role, at string) error {
	p, err := a.cfg.prefix(at + "/ip")
	if err != nil {
		return err
	}
	if role == "public" || a.cfg.hasRO(at+"/network/gateway/IP") {
		gw, err := a.cfg.prefix(at + "/network/gateway")
		if err != nil {
			return err
		}
		if !p.Contains(gw.Addr()) || gw.Bits() != p.Bits() {
			return fmt.Errorf("%s: gateway %s is not in %s", at, gw, p)
		}
	}
	if a.cfg.hasRO(at + "/network/dns") {
		n, err := a.cfg.integer(at + "/network/dns")
		if err != nil {
			return err
		}
		for i := range n + 1 {
			if _, err := a.cfg.address(fmt.Sprintf("%s/network/dns|%d", at, i)); err != nil {
				return err
			}
		}
	}
	a.static[role] = p
	return nil
}

func (a *appliance) checkContainerNetworks() error {
	c := a.cfg
	if err := c.is("network/bridge_network", "bridge"); err != nil {
		return err
	}
	p, err := c.prefix("network/bridge-ip-range")
	if err != nil {
		return err
	}
	a.bridge = p
	width, err := c.mask("network/bridge-net-width")
	if err != nil {
		return err
	}
	if width < p.Bits() || width > 30 || p.Masked() != p {
		return fmt.Errorf("network/bridge-ip-range %s and width /%d do not fit", p, width)
	}
	aliases, err := c.mapKeys("network/container_networks")
	if err != nil {
		return err
	}
	if !slices.Contains(aliases, "bridge") {
		return fmt.Errorf("network/container_networks has no bridge: %v", aliases)
	}
	for _, alias := range aliases {
		if err := a.checkContainerNetwork(alias); err != nil {
			return err
		}
	}
	return nil
}

func (a *appliance) checkContainerNetwork(alias string) error {
	c, at := a.cfg, "network/container_networks|"+alias
	if err := c.is(at+"/Common/name", alias); err != nil {
		return err
	}
	id, err := c.ro(at + "/Common/id")
	if err != nil {
		return err
	}
	e, ok := a.exists(id)
	if !ok || !strings.Contains(e.Reference().Type, "Network") && e.Reference().Type != "DistributedVirtualPortgroup" {
		return fmt.Errorf("%s/Common/id: there is no network %s", at, id)
	}
	want := "external"
	if alias == "bridge" {
		want = "bridge"
		if own, err := c.ro("init/networks|bridge/network/Common/id"); err != nil || own != id {
			return fmt.Errorf("%s/Common/id is %s, the bridge endpoint is on %s", at, id, own)
		}
	}
	if got, err := c.rw(at + "/type"); err != nil || got != want {
		return fmt.Errorf("%s is %q, not %q (%v)", rwKey(at+"/type"), got, want, err)
	}
	trust, err := c.integer(at + "/TrustLevel")
	if err != nil || trust < 0 || trust > 5 {
		return fmt.Errorf("%s/TrustLevel %d (%v)", at, trust, err)
	}
	if !c.hasRO(at + "/gateway/IP") {
		return nil
	}
	gw, err := c.prefix(at + "/gateway")
	if err != nil {
		return err
	}
	return a.checkRanges(at, gw)
}

func (a *appliance) checkRanges(at string, gw netip.Prefix) error {
	if !a.cfg.hasRO(at + "/pools") {
		return nil
	}
	n, err := a.cfg.integer(at + "/pools")
	if err != nil {
		return err
	}
	for i := range n + 1 {
		pool := fmt.Sprintf("%s/pools|%d", at, i)
		first, err := a.cfg.address(pool + "/first")
		if err != nil {
			return err
		}
		last, err := a.cfg.address(pool + "/last")
		if err != nil {
			return err
		}
		if !gw.Contains(first) || !gw.Contains(last) || last.Less(first) {
			return fmt.Errorf("%s: %s-%s does not lie in %s", pool, first, last, gw.Masked())
		}
	}
	return nil
}
