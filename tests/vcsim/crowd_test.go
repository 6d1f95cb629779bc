package main

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// life takes one machine with its own pool, folder and port group from birth to end.
func (l *lab) life(name string) error {
	step := func(t *object.Task, err error) (*types.TaskInfo, error) {
		if err != nil {
			return nil, err
		}
		return t.WaitForResult(l.ctx)
	}
	pool, err := object.NewResourcePool(l.client.Client, l.pool().Reference()).Create(l.ctx, name, types.DefaultResourceConfigSpec())
	if err != nil {
		return err
	}
	folder, err := l.vmFolder().CreateFolder(l.ctx, name)
	if err != nil {
		return err
	}
	if _, err = step(l.dvs().AddPortgroup(l.ctx, []types.DVPortgroupConfigSpec{groupSpec(name, 5)})); err != nil {
		return err
	}
	pg := l.portGroup(name)
	info, err := step(folder.CreateVM(l.ctx, types.VirtualMachineConfigSpec{
		Name: name, Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{l.card(pg, 1184)}}, pool, nil))
	if err != nil {
		return err
	}
	ref, _ := info.Result.(types.ManagedObjectReference)
	vm := object.NewVirtualMachine(l.client.Client, ref)
	for _, f := range []func() (*object.Task, error){
		func() (*object.Task, error) {
			return vm.Reconfigure(l.ctx, types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "k", Value: name}}})
		},
		func() (*object.Task, error) { return vm.PowerOn(l.ctx) },
		func() (*object.Task, error) { return vm.PowerOff(l.ctx) },
		func() (*object.Task, error) { return vm.Rename(l.ctx, name+"x") },
		func() (*object.Task, error) { return vm.Destroy(l.ctx) },
		func() (*object.Task, error) { return folder.Destroy(l.ctx) },
		func() (*object.Task, error) { return pool.Destroy(l.ctx) },
		func() (*object.Task, error) { return l.pg(pg).Destroy(l.ctx) },
	} {
		if _, err := step(f()); err != nil {
			return err
		}
	}
	return nil
}

func TestManyAtOnceLeaveNothingBehind(t *testing.T) {
	l := newLab(t)
	before := l.sim.dump()
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Add(1)
		go func() {
			defer all.Done()
			errs[i] = l.life(fmt.Sprint("m", i))
		}()
	}
	for range 20 {
		l.sim.dump() // readers are in the crowd too
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("m%d: %v", i, err)
		}
	}
	after := l.sim.dump()
	if len(after.VMs) != 0 || len(after.Pools) != len(before.Pools) || len(after.Folders) != len(before.Folders) ||
		len(after.PortGroups) != len(before.PortGroups) || len(after.Files) != len(before.Files) {
		t.Errorf("left behind: %+v", after)
	}
	var c mo.ClusterComputeResource
	cluster, err := l.finder.ClusterComputeResource(l.ctx, "DC0_C0")
	must(t, err)
	must(t, cluster.Properties(l.ctx, cluster.Reference(), []string{"network"}, &c))
	for _, n := range c.Network {
		if l.sim.registry().Get(n) == nil {
			t.Errorf("the cluster still lists %s", n)
		}
	}
}

func TestAHostWithoutTLSAnswersOn2375(t *testing.T) {
	h := newHost(t)
	args := strings.Replace(h.config[readOnly+"init/sessions|docker-personality/cmd/Args~"], "2376", "2375", 1)
	h.reconfigure(map[string]string{
		readOnly + "cert/HostCertificate/Cert": "", readOnly + "cert/HostCertificate/Key@secret": "",
		readOnly + "init/sessions|docker-personality/cmd/Args~": args,
	})
	if s := h.booted(); s != "up 127.77.1.50" {
		t.Fatal(s)
	}
	for port, path := range map[string]string{"2375": "/_ping", "2378": "/"} {
		resp, err := http.Get("http://" + h.client + ":" + port + path)
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("port %s: status %d", port, resp.StatusCode)
		}
	}
}

func TestAnAddressThatIsTakenIsALaunchError(t *testing.T) {
	h := newHost(t)
	other := &guest{sim: h.sim, client: netip.MustParsePrefix(h.client + "/24")}
	e, err := other.serve(2376, nil, http.NotFoundHandler())
	must(t, err)
	defer e.close()
	if s := h.booted(); !strings.Contains(s, "in use") {
		t.Errorf("state %q", s)
	}
	keys, _ := h.seen()
	if v := keys["guestinfo.vice..init.sessions|docker-personality.started"]; !strings.Contains(v, "in use") {
		t.Errorf("started=%q", v)
	}
}

func TestTheConfigurationFileHoldsTheSecret(t *testing.T) {
	h := newHost(t)
	resp := h.folder("GET", "vch1/vch1.vmx", h.key(), nil, 0)
	if resp == nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp)
	}
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if !strings.Contains(string(b), secretKey+` = "`+h.config[secretKey]+`"`) {
		t.Error("no key in the .vmx file")
	}
}
