package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second
	settle     = 10 * time.Millisecond // changes of one act go into one snapshot
)

// Adapter plays the compute manager between vCenter and the NSX simulator: a
// realized segment appears as an NSX-backed port group, and the machines with
// their cards are told to NSX as a snapshot whenever they change.
type Adapter struct {
	sim    *Simulator
	client *http.Client
}

// nsxSegment is one entry of GET /switches.
type nsxSegment struct {
	Path          string `json:"path"`
	DisplayName   string `json:"display_name"`
	RealizationID string `json:"realization_id"`
}

type nsxSwitches struct {
	Version  json.Number  `json:"version"`
	Segments []nsxSegment `json:"segments"`
}

// nsxVM and nsxVIF are the body of PUT /inventory.
type nsxVM struct {
	ExternalID  string   `json:"external_id"`
	DisplayName string   `json:"display_name"`
	Moref       string   `json:"moref"`
	PowerState  string   `json:"power_state"`
	VIFs        []nsxVIF `json:"vifs"`
}

type nsxVIF struct {
	ExternalID string   `json:"external_id"`
	MAC        string   `json:"mac"`
	Segment    *string  `json:"segment"`
	IPs        []string `json:"ips"`
}

func newAdapter(s *Simulator) *Adapter {
	return &Adapter{sim: s, client: &http.Client{Transport: &http.Transport{Proxy: nil}}}
}

func (a *Adapter) run() {
	if a.sim.opts.NSXControl == "" {
		return
	}
	a.sim.spawn(a.followSwitches)
	a.sim.spawn(a.followMachines)
}

// exchange makes one call; out may be nil.
func (a *Adapter) exchange(ctx context.Context, method, path string, body, out any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.sim.opts.NSXControl, "/")+path, r)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: status %d", method, path, resp.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// followSwitches waits for NSX to tell of segments. Groups that are still in use
// are removed when their machines let go, so changes of groups wake it too.
func (a *Adapter) followSwitches() {
	l := a.sim.hub.listen()
	defer l.close()
	answers := make(chan nsxSwitches)
	a.sim.spawn(func() { a.poll(answers) })
	var wanted []nsxSegment
	known, pending := false, false
	for {
		select {
		case <-a.sim.ctx.Done():
			return
		case s := <-answers:
			wanted, known = s.Segments, true
		case <-l.wake:
			released := false
			for ref := range l.drain() {
				released = released || ref.Type == "DistributedVirtualPortgroup"
			}
			if !pending || !released {
				continue
			}
		}
		if known {
			pending = a.reconcile(wanted)
		}
	}
}

// poll keeps one long poll open and passes on what it brings.
func (a *Adapter) poll(out chan<- nsxSwitches) {
	version, retry, first := json.Number("0"), firstRetry, true
	for a.sim.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(a.sim.ctx, time.Minute)
		var s nsxSwitches
		err := a.exchange(ctx, http.MethodGet, "/switches?since="+version.String(), nil, &s)
		cancel()
		if err != nil {
			version, first = "0", true // the peer may be another one when it is back
			if !a.sim.sleep(retry) {
				return
			}
			retry = min(retry*2, lastRetry)
			continue
		}
		retry = firstRetry
		if !first && s.Version == version {
			continue
		}
		version, first = s.Version, false
		select {
		case out <- s:
		case <-a.sim.ctx.Done():
			return
		}
	}
}

// reconcile makes the NSX-backed groups match; true when one could not go yet.
func (a *Adapter) reconcile(wanted []nsxSegment) bool {
	ctx := a.sim.newContext()
	have, names := map[string]*simulator.DistributedVirtualPortgroup{}, map[string]string{}
	for _, e := range a.sim.registry().All("DistributedVirtualPortgroup") {
		if pg, ok := e.(*simulator.DistributedVirtualPortgroup); ok && isNSX(pg) {
			id := pg.Config.LogicalSwitchUuid
			have[id] = pg
			ctx.WithLock(pg, func() { names[id] = pg.Name })
		}
	}
	pending := false
	for _, s := range wanted {
		pg := have[s.RealizationID]
		delete(have, s.RealizationID)
		var err error
		switch {
		case s.RealizationID == "":
		case pg == nil:
			err = a.add(s)
		case names[s.RealizationID] != escapeName(s.DisplayName):
			err = a.sim.editRename(&editRequest{Type: pg.Self.Type, Name: pg.Self.Value, To: s.DisplayName})
		}
		if err != nil {
			log.Printf("adapter: segment %s: %v", s.DisplayName, err)
		}
	}
	for id, pg := range have {
		if len(a.sim.over.usage.users(pg.Self)) > 0 {
			pending = true
			continue
		}
		if err := a.sim.editDestroy(&editRequest{Type: pg.Self.Type, Name: pg.Self.Value}); err != nil {
			log.Printf("adapter: port group %s: %v", names[id], err)
			pending = true
		}
	}
	return pending
}

func (a *Adapter) add(s nsxSegment) error {
	e, err := a.sim.find("DistributedVirtualSwitch", "DVS0")
	if err != nil {
		return err
	}
	_, err = a.sim.act(func(ctx *simulator.Context) moref {
		return taskOf(a.sim.over.AddDVPortgroupTask(ctx, &types.AddDVPortgroup_Task{This: e.Reference(), Spec: []types.DVPortgroupConfigSpec{{
			Name: s.DisplayName, Type: "ephemeral", BackingType: backingNSX, LogicalSwitchUuid: s.RealizationID, SegmentId: s.Path,
		}}}))
	})
	return err
}

// followMachines tells NSX of the machines whenever the snapshot is another one.
func (a *Adapter) followMachines() {
	l := a.sim.hub.listen()
	defer l.close()
	var told []nsxVM
	sent := false
	retry := firstRetry
	for {
		now := a.snapshot()
		if !sent || !reflect.DeepEqual(now, told) {
			err := a.exchange(a.sim.ctx, http.MethodPut, "/inventory", map[string]any{"vms": now}, nil)
			if err != nil {
				if !a.sim.sleep(retry) {
					return
				}
				retry = min(retry*2, lastRetry)
				continue
			}
			told, sent, retry = now, true, firstRetry
		}
		if !a.awaitMachines(l) || !a.sim.sleep(settle) {
			return
		}
	}
}

// awaitMachines returns when a machine or port group has changed; false at the end.
func (a *Adapter) awaitMachines(l *Listener) bool {
	for {
		select {
		case <-a.sim.ctx.Done():
			return false
		case <-l.wake:
		}
		for ref := range l.drain() {
			if ref.Type == "VirtualMachine" || ref.Type == "DistributedVirtualPortgroup" {
				return true
			}
		}
	}
}

func (a *Adapter) snapshot() []nsxVM {
	ctx := a.sim.newContext()
	out := []nsxVM{}
	a.sim.eachVM(ctx, func(vm *simulator.VirtualMachine) {
		if vm.Config.InstanceUuid != "" {
			out = append(out, a.describe(ctx, vm))
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Moref < out[j].Moref })
	return out
}

func (a *Adapter) describe(ctx *simulator.Context, vm *simulator.VirtualMachine) nsxVM {
	out := nsxVM{ExternalID: vm.Config.InstanceUuid, DisplayName: vm.Name, Moref: vm.Self.Value, PowerState: "VM_STOPPED", VIFs: []nsxVIF{}}
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		out.PowerState = "VM_RUNNING"
	}
	ips := map[int32][]string{}
	if vm.Guest != nil {
		for _, n := range vm.Guest.Net {
			ips[n.DeviceConfigId] = append(ips[n.DeviceConfigId], n.IpAddress...)
		}
	}
	for _, n := range nicsOf(vm) {
		id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "%s/%d", vm.Config.InstanceUuid, n.key))
		v := nsxVIF{ExternalID: id.String(), MAC: n.card.MacAddress, IPs: append([]string{}, ips[n.key]...)}
		if ref, ok := n.network(ctx); ok {
			if pg, ok := ctx.Map.Get(ref).(*simulator.DistributedVirtualPortgroup); ok && isNSX(pg) {
				v.Segment = &pg.Config.LogicalSwitchUuid
			}
		}
		out.VIFs = append(out.VIFs, v)
	}
	return out
}
