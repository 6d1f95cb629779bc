package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/vmware/govmomi/simulator"
)

// fakeNSX is the other side of the control ports: segments to poll, an inventory to take.
type fakeNSX struct {
	mu        sync.Mutex
	version   int
	segments  []nsxSegment
	changed   chan struct{}
	inventory []nsxVM
	puts      int
	down      bool
}

func (f *fakeNSX) set(segments ...nsxSegment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.segments = segments
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeNSX) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.down {
		f.mu.Unlock()
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == "/inventory" {
		var body struct{ VMs []nsxVM }
		_ = json.NewDecoder(r.Body).Decode(&body)
		f.inventory = body.VMs
		f.puts++
		f.mu.Unlock()
		return
	}
	since, _ := strconv.Atoi(r.URL.Query().Get("since"))
	if f.version <= since {
		wait := f.changed
		f.mu.Unlock()
		select {
		case <-wait:
		case <-r.Context().Done():
			return
		}
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"version": f.version, "segments": f.segments})
}

func newAdapterLab(t *testing.T) (*lab, *fakeNSX) {
	f := &fakeNSX{changed: make(chan struct{})}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return newLab(t, func(o *Options) { o.NSXControl = srv.URL }), f
}

func (l *lab) nsxGroups() map[string]string {
	out := map[string]string{}
	for _, e := range l.sim.registry().All("DistributedVirtualPortgroup") {
		if pg, ok := e.(*simulator.DistributedVirtualPortgroup); ok && isNSX(pg) {
			l.sim.newContext().WithLock(pg, func() { out[pg.Config.LogicalSwitchUuid] = pg.Name })
		}
	}
	return out
}

func (f *fakeNSX) vif(vm string) (nsxVM, nsxVIF) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.inventory {
		if v.DisplayName == vm && len(v.VIFs) > 0 {
			return v, v.VIFs[0]
		}
	}
	return nsxVM{}, nsxVIF{}
}

func TestSegmentsAppearAsPortGroups(t *testing.T) {
	l, nsx := newAdapterLab(t)
	web := nsxSegment{Path: "/infra/segments/web", DisplayName: "web", RealizationID: "u-web"}
	nsx.set(web, nsxSegment{Path: "/infra/segments/db", DisplayName: "db", RealizationID: "u-db"})
	l.eventually("two groups", func() bool { return fmt.Sprint(l.nsxGroups()) == "map[u-db:db u-web:web]" })
	web.DisplayName = "web2"
	nsx.set(web)
	l.eventually("one renamed, one gone", func() bool { return fmt.Sprint(l.nsxGroups()) == "map[u-web:web2]" })
	vm := l.vm("v", l.card(l.portGroup("web2"), 1184))
	l.eventually("the card is told", func() bool { _, v := nsx.vif("v"); return v.Segment != nil && *v.Segment == "u-web" })
	l.wait(vm.PowerOn(l.ctx))
	l.eventually("it runs", func() bool { v, _ := nsx.vif("v"); return v.PowerState == "VM_RUNNING" })
	nsx.set()
	l.eventually("NSX was read", func() bool { nsx.mu.Lock(); defer nsx.mu.Unlock(); return nsx.version == 3 })
	if len(l.nsxGroups()) != 1 {
		t.Error("a group in use was removed")
	}
	l.wait(vm.PowerOff(l.ctx))
	l.wait(vm.Destroy(l.ctx))
	l.eventually("the group goes with its last user", func() bool { return len(l.nsxGroups()) == 0 })
	l.eventually("the machine is gone from NSX", func() bool { v, _ := nsx.vif("v"); return v.DisplayName == "" })
}

func TestAddressesReachNSXAndRestDoesNotTalk(t *testing.T) {
	l, nsx := newAdapterLab(t)
	nsx.set(nsxSegment{Path: "/infra/segments/web", DisplayName: "web", RealizationID: "u-web"})
	l.eventually("the group", func() bool { return len(l.nsxGroups()) == 1 })
	vm := l.vm("c", l.card(l.portGroup("web"), 1184))
	l.sim.guests.setContainer(vm.Reference(), containerNIC{key: nicsOf(l.machine("c"))[0].key, ip: "10.30.0.11"})
	l.wait(vm.PowerOn(l.ctx))
	l.eventually("the address", func() bool { _, v := nsx.vif("c"); return len(v.IPs) == 1 && v.IPs[0] == "10.30.0.11" })
	nsx.mu.Lock()
	before := nsx.puts
	nsx.mu.Unlock()
	l.group("elsewhere", 5) // changes nothing that NSX is told
	l.group("elsewhere2", 5)
	nsx.mu.Lock()
	defer nsx.mu.Unlock()
	if nsx.puts != before {
		t.Errorf("%d snapshots without a change", nsx.puts-before)
	}
}

func TestTheAdapterOutlivesItsPeer(t *testing.T) {
	l, nsx := newAdapterLab(t)
	nsx.mu.Lock()
	nsx.down = true
	nsx.mu.Unlock()
	vm := l.vm("v", l.card(l.group("pg", 3), 1184))
	_ = vm
	nsx.mu.Lock()
	nsx.down = false
	nsx.mu.Unlock()
	nsx.set(nsxSegment{Path: "/infra/segments/web", DisplayName: "web", RealizationID: "u-web"})
	l.eventually("the group", func() bool { return len(l.nsxGroups()) == 1 })
	l.eventually("the machine", func() bool { v, vif := nsx.vif("v"); return v.DisplayName == "v" && vif.Segment == nil })
}
