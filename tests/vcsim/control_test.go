package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func (l *lab) calls() CallReport {
	l.t.Helper()
	var r CallReport
	l.post("GET", "/calls", nil, &r)
	return r
}

func (l *lab) fault(body string) int {
	l.t.Helper()
	return l.post("POST", "/faults", json.RawMessage(body), nil)
}

func TestCallsAreCountedByUser(t *testing.T) {
	l := newLab(t)
	l.post("DELETE", "/calls", nil, nil)
	other := l.login(endpointUser, endpointPassword)
	pg := l.group("pg", 20)
	l.mkdir("[LocalDS_0] d")
	l.upload("d/f", "1234")
	vlan := int32(7)
	l.post("POST", "/edit", editRequest{What: "vlan", PortGroup: "pg", VLAN: &vlan}, nil)
	_, err := methods.CreateFolder(l.ctx, other.Client, &types.CreateFolder{This: l.vmFolder().Reference(), Name: "f"})
	must(t, err)
	r := l.calls()
	mine, theirs := r.Counts[operatorUser], r.Counts[endpointUser]
	if mine["AddDVPortgroup_Task"] != 1 || mine["PUT /folder"] != 1 || mine["CreateFolder"] != 0 || theirs["CreateFolder"] != 1 || theirs["Login"] != 1 {
		t.Errorf("%v %v", mine, theirs)
	}
	if mine["ReconfigureDVPortgroup_Task"] != 0 {
		t.Error("an edit through the control port counts as the operator's")
	}
	var put *Call
	for i, c := range r.Log {
		if c.Method == "PUT /folder" {
			put = &r.Log[i]
		}
	}
	if put == nil || put.Object != "[LocalDS_0] d/f" || put.Status != 201 || put.Client != operatorUser || put.Time.IsZero() {
		t.Errorf("%+v", put)
	}
	l.post("DELETE", "/calls", nil, nil)
	if r := l.calls(); len(r.Log) != 0 || len(r.Counts) != 0 {
		t.Errorf("%+v", r)
	}
	_ = pg
}

func TestFaultsStrikeAsTheyAreTold(t *testing.T) {
	l := newLab(t)
	create := func(name string) error { _, err := l.vmFolder().CreateFolder(l.ctx, name); return err }
	have := func(name string) bool {
		return l.sim.registry().FindByName(name, l.vmChildren()) != nil
	}
	for _, c := range []struct {
		name, rule string
		fails      bool
		committed  bool
	}{
		{"status", `{"match":{"method":"CreateFolder"},"action":"status","status":503}`, true, false},
		{"fault", `{"match":{"method":"CreateFolder"},"action":"fault","fault":"NoPermission"}`, true, false},
		{"object form", `{"match":{"method":"Create*"},"action":{"type":"fault","fault":"InvalidState"}}`, true, false},
		{"drop-before", `{"match":{"method":"CreateFolder"},"action":"drop-before"}`, true, false},
		{"drop-after-commit", `{"match":{"method":"CreateFolder"},"action":"drop-after-commit"}`, true, true},
		{"truncate", `{"match":{"method":"CreateFolder"},"action":"truncate"}`, true, true},
		{"delay", `{"match":{"method":"CreateFolder"},"action":"delay","delay_ms":5}`, false, true},
		{"another user", `{"match":{"method":"CreateFolder","user":"x"},"action":"fault"}`, false, true},
		{"another object", `{"match":{"method":"CreateFolder","object":"VirtualMachine"},"action":"fault"}`, false, true},
		{"this kind of object", `{"match":{"method":"CreateFolder","object":"Folder"},"action":"fault"}`, true, false},
	} {
		if s := l.fault(c.rule); s != http.StatusOK {
			t.Fatalf("%s: status %d", c.name, s)
		}
		name := strings.ReplaceAll(c.name, " ", "_")
		if err := create(name); (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		if have(name) != c.committed {
			t.Errorf("%s: committed=%v", c.name, !c.committed)
		}
		if err := create(name + "-2"); err != nil {
			t.Errorf("%s strikes twice: %v", c.name, err)
		}
		l.post("DELETE", "/faults", nil, nil)
	}
	l.fault(`{"match":{"method":"CreateFolder"},"action":"fault","times":2,"after":1}`)
	for i, fails := range []bool{false, true, true, false} {
		if err := create("n" + string(rune('a'+i))); (err != nil) != fails {
			t.Errorf("call %d: %v", i, err)
		}
	}
	var rules []Rule
	l.post("GET", "/faults", nil, &rules)
	if len(rules) != 1 || rules[0].Hits != 2 || rules[0].Seen != 4 {
		t.Errorf("%+v", rules)
	}
	for _, bad := range []string{`{"action":"explode"}`, `{"action":"fault","fault":"Nonsense"}`, `{"action":"fault","tiems":1}`, `[]`} {
		if s := l.fault(bad); s != http.StatusBadRequest {
			t.Errorf("%s: status %d", bad, s)
		}
	}
}

func (l *lab) vmChildren() []types.ManagedObjectReference {
	for _, f := range l.sim.dump().Folders {
		if f.Path == "/DC0/vm" {
			var out []types.ManagedObjectReference
			for _, c := range f.Children {
				kind, value, _ := strings.Cut(c, ":")
				out = append(out, types.ManagedObjectReference{Type: kind, Value: value})
			}
			return out
		}
	}
	return nil
}

func TestTasksFailAsTheyAreTold(t *testing.T) {
	l := newLab(t)
	pg := l.group("pg", 20)
	v := l.config(pg).ConfigVersion
	l.fault(`{"match":{"method":"ReconfigureDVPortgroup_Task"},"action":"task-fault","fault":"InvalidState"}`)
	want[*types.InvalidState](t, l.failing(l.pg(pg).Reconfigure(l.ctx, withVersion(groupSpec("", 30), v))))
	if vlanOf(l.config(pg)) != 20 {
		t.Error("the work was done")
	}
	l.fault(`{"match":{"method":"ReconfigureDVPortgroup_Task"},"action":"task-fault","fault":"InvalidState","commit":true}`)
	want[*types.InvalidState](t, l.failing(l.pg(pg).Reconfigure(l.ctx, withVersion(groupSpec("", 30), v))))
	if vlanOf(l.config(pg)) != 30 {
		t.Error("the work was not done")
	}
	l.fault(`{"match":{"method":"Destroy_Task"},"action":"task-delay","delay_ms":5}`)
	l.wait(l.pg(pg).Destroy(l.ctx))
}

func TestASessionExpiresOnDemand(t *testing.T) {
	l := newLab(t)
	l.fault(`{"match":{"method":"CreateFolder"},"action":"expire-session"}`)
	f := l.vmFolder()
	_, err := f.CreateFolder(l.ctx, "f")
	wantSoap[types.NotAuthenticated](t, err)
	if n := l.calls().Counts[operatorUser]["CreateFolder"]; n != 1 {
		t.Errorf("%d calls; one on an expired session counts for its user", n)
	}
	if len(l.sim.sessions.list()) != 0 {
		t.Error("a session is left")
	}
}

func TestTuning(t *testing.T) {
	l := newLab(t)
	var now Tuning
	l.post("POST", "/tune", json.RawMessage(`{"guest_boot_ms":7,"guests":{"vch1":"no-address"}}`), &now)
	if *now.GuestBootMS != 7 || *now.TaskMS != 0 || now.Guests["vch1"] != "no-address" {
		t.Errorf("%+v", now)
	}
	if s := l.post("POST", "/tune", json.RawMessage(`{"guests":{"vch1":"sulks"}}`), nil); s != http.StatusBadRequest {
		t.Errorf("status %d", s)
	}
	var then Tuning
	l.post("POST", "/tune", json.RawMessage(`{"guests":{"vch1":"ok"}}`), &then)
	if len(then.Guests) != 0 || *then.GuestBootMS != 7 {
		t.Errorf("%+v", then)
	}
}

func TestGuestsBehaveAsTheyAreTold(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		as, state string
		started   string
		address   bool
		api       bool
	}{
		{"component-fails", "failed: component", "exit status 1: port layer could not be launched", true, false},
		{"no-address", "no address", nilText, false, false},
		{"api-down", "up 127.77.1.50", "true", true, false},
		{"slow", "up 127.77.1.50", "true", true, true},
	} {
		must(t, h.sim.tune.apply(Tuning{Guests: map[string]string{"vch1": c.as}, SlowMS: new(int)}))
		if s := h.booted(); s != c.state {
			t.Errorf("%s: %s", c.as, s)
		}
		keys, vm := h.seen()
		if v := keys["guestinfo.vice..init.sessions|port-layer.started"]; v != c.started {
			t.Errorf("%s: started=%q", c.as, v)
		}
		if (vm.Guest.IpAddress != "") != c.address {
			t.Errorf("%s: address %q", c.as, vm.Guest.IpAddress)
		}
		if _, err := h.docker("/_ping"); (err == nil) != c.api {
			t.Errorf("%s: docker %v", c.as, err)
		}
		h.off()
		h.reconfigure(h.config)
	}
	must(t, h.sim.tune.apply(Tuning{Guests: map[string]string{"vch1": "ok"}}))
	h.booted()
	h.post("POST", "/tune", json.RawMessage(`{"guests":{"*":"api-down"}}`), nil)
	if _, err := h.docker("/_ping"); err == nil {
		t.Error("the endpoint of a running host should close")
	}
	h.post("POST", "/tune", json.RawMessage(`{"guests":{"*":"ok"}}`), nil)
	if _, err := h.docker("/_ping"); err != nil {
		t.Error(err)
	}
}

func TestContainersComeMoveAndGo(t *testing.T) {
	h := newHost(t)
	h.booted()
	var made map[string]string
	h.post("POST", "/containers", containerRequest{Action: "make", VCH: "vch1", Name: "web", Network: "app", IP: "192.168.30.11", Image: "nginx"}, &made)
	h.eventually("the container has its address", func() bool { return h.sim.dumpOf(made["moref"]).IP == "192.168.30.11" })
	d := h.sim.dumpOf(made["moref"])
	if len(d.ExtraConfig[readOnly+"common/id"]) != 64 || d.Pool != "/DC0/host/DC0_C0/Resources/Containers/vch1" || d.Folder != "/DC0/vm/vch1" {
		t.Errorf("%+v", d)
	}
	if pg := h.portGroup("vic-app"); d.Devices[len(d.Devices)-1].File == "" || len(pg.Vm) != 1 {
		t.Errorf("%+v, %v on the network", d.Devices, pg.Vm)
	}
	var list []struct {
		Names []string
		State string
	}
	body, err := h.docker("/containers/json")
	must(t, err)
	must(t, json.Unmarshal([]byte(body), &list))
	if len(list) != 1 || list[0].Names[0] != "/web" || list[0].State != "running" {
		t.Errorf("%s", body)
	}
	var auto map[string]string
	h.post("POST", "/containers", containerRequest{Action: "make", VCH: "vch1", Name: "db", Network: "app"}, &auto)
	if auto["ip"] != "192.168.30.10" {
		t.Errorf("the first free address is %q", auto["ip"])
	}
	h.post("POST", "/containers", containerRequest{Action: "move", VCH: "vch1", Name: "web", IP: "172.16.0.9", Network: "bridge"}, nil)
	h.eventually("the container has moved", func() bool { return h.sim.dumpOf(made["moref"]).IP == "172.16.0.9" })
	if pg := h.portGroup("vic-app"); len(pg.Vm) != 1 {
		t.Errorf("%v on the network it left", pg.Vm)
	}
	h.post("POST", "/containers", containerRequest{Action: "remove", VCH: "vch1", Name: "web"}, nil)
	if h.sim.dumpOf(made["moref"]).Moref != "" {
		t.Error("the container is still there")
	}
	if s := h.post("POST", "/containers", containerRequest{Action: "remove", VCH: "vch1", Name: "web"}, nil); s != http.StatusBadRequest {
		t.Errorf("status %d", s)
	}
}

func (s *Simulator) dumpOf(ref string) DumpVM {
	for _, v := range s.dump().VMs {
		if v.Moref == ref {
			return v
		}
	}
	return DumpVM{}
}

func TestEditsByAHumansHand(t *testing.T) {
	l := newLab(t)
	l.group("pg", 20)
	_, err := l.pool().Create(l.ctx, "p", types.DefaultResourceConfigSpec())
	must(t, err)
	l.vm("v")
	for _, body := range []string{
		`{"what":"vlan","portgroup":"pg","vlan":999}`,
		`{"what":"rename","type":"DistributedVirtualPortgroup","name":"pg","to":"pg2"}`,
		`{"what":"pool-limits","name":"p","cpuMHz":1000,"memoryMB":512}`,
		`{"what":"rename","type":"ResourcePool","name":"p","to":"p2"}`,
		`{"what":"extra-config","vm":"v","key":"guestinfo.a","value":"b"}`,
		`{"what":"power-on","vm":"v"}`,
	} {
		if s := l.post("POST", "/edit", json.RawMessage(body), nil); s != http.StatusOK {
			t.Errorf("%s: status %d", body, s)
		}
	}
	d := l.sim.dump()
	if g := l.portGroup("pg2"); vlanOf(g.Config) != 999 {
		t.Errorf("%+v", g.Config)
	}
	if d.VMs[0].Power != "poweredOn" || d.VMs[0].ExtraConfig["guestinfo.a"] != "b" {
		t.Errorf("%+v", d.VMs[0])
	}
	limits := int64(0)
	for _, p := range d.Pools {
		if p.Name == "p2" {
			limits = *p.Config.CpuAllocation.Limit + *p.Config.MemoryAllocation.Limit
		}
	}
	if limits != 1512 {
		t.Errorf("limits %d", limits)
	}
	if s := l.post("POST", "/edit", json.RawMessage(`{"what":"destroy","type":"VirtualMachine","name":"v"}`), nil); s != http.StatusOK || len(l.sim.dump().VMs) != 0 {
		t.Errorf("destroy: status %d", s)
	}
	if s := l.post("POST", "/edit", json.RawMessage(`{"what":"rename","type":"Folder","name":"none","to":"x"}`), nil); s != http.StatusBadRequest {
		t.Errorf("status %d", s)
	}
}
