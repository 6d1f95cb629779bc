package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	operatorUser     = "administrator@vsphere.local"
	operatorPassword = "VMware1!"
	endpointUser     = "vch-endpoint@vsphere.local"
	endpointPassword = "Endpoint1!"
)

// lab is a simulator with a client logged in as the operator.
type lab struct {
	t      *testing.T
	ctx    context.Context
	sim    *Simulator
	client *govmomi.Client
	finder *find.Finder
}

// certificate makes a self-signed pair, as PEM.
func certificate(t *testing.T, cn string, hosts ...string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(h))
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	must(t, err)
	kd, err := x509.MarshalPKCS8PrivateKey(k)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kd})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newLab starts a simulator; change adjusts its options.
func newLab(t *testing.T, change ...func(*Options)) *lab {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	cert, key := certificate(t, "vcsim", "127.0.0.1")
	o := Options{
		Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem"), Listen: "127.0.0.1:0", Control: "127.0.0.1:0",
		Username: operatorUser, Password: operatorPassword, EndpointUser: endpointUser, EndpointPassword: endpointPassword,
		VCHNetwork: "127.77.1.0/24",
	}
	must(t, os.WriteFile(o.Cert, cert, 0o600))
	must(t, os.WriteFile(o.Key, key, 0o600))
	for _, c := range change {
		c(&o)
	}
	sim, err := Start(o)
	must(t, err)
	boot := 1
	must(t, sim.tune.apply(Tuning{GuestBootMS: &boot}))
	l := &lab{t: t, ctx: context.Background(), sim: sim}
	l.client = l.login(operatorUser, operatorPassword)
	l.finder = find.NewFinder(l.client.Client)
	dc, err := l.finder.Datacenter(l.ctx, "DC0")
	must(t, err)
	l.finder.SetDatacenter(dc)
	t.Cleanup(sim.Close)
	return l
}

func (l *lab) login(user, password string) *govmomi.Client {
	l.t.Helper()
	c, err := l.tryLogin(user, password)
	must(l.t, err)
	return c
}

func (l *lab) tryLogin(user, password string) (*govmomi.Client, error) {
	u, err := url.Parse(l.sim.URL() + "/sdk")
	if err != nil {
		return nil, err
	}
	u.User = url.UserPassword(user, password)
	return govmomi.NewClient(l.ctx, u, true)
}

func (l *lab) wait(t *object.Task, err error) *types.TaskInfo {
	l.t.Helper()
	must(l.t, err)
	info, err := t.WaitForResult(l.ctx)
	must(l.t, err)
	return info
}

// failing waits for a task that must fail and returns its fault.
func (l *lab) failing(t *object.Task, err error) types.BaseMethodFault {
	l.t.Helper()
	must(l.t, err)
	_, err = t.WaitForResult(l.ctx)
	te, ok := err.(task.Error)
	if !ok {
		l.t.Fatalf("the task should fail, got %v", err)
	}
	return te.Fault()
}

func want[F types.BaseMethodFault](t *testing.T, f types.BaseMethodFault) {
	t.Helper()
	if _, ok := f.(F); !ok {
		t.Fatalf("fault %T, not %T", f, *new(F))
	}
}

// wantSoap expects an error that is a SOAP fault of the given type.
func wantSoap[F any](t *testing.T, err error) {
	t.Helper()
	if err == nil || !soap.IsSoapFault(err) {
		t.Fatalf("a SOAP fault is due, got %v", err)
	}
	if _, ok := soap.ToSoapFault(err).VimFault().(F); !ok {
		t.Fatalf("fault %T, not %T", soap.ToSoapFault(err).VimFault(), *new(F))
	}
}

func (l *lab) dvs() *object.DistributedVirtualSwitch {
	l.t.Helper()
	n, err := l.finder.Network(l.ctx, "DVS0")
	must(l.t, err)
	d, ok := n.(*object.DistributedVirtualSwitch)
	if !ok {
		l.t.Fatalf("DVS0 is a %T", n)
	}
	return d
}

func groupSpec(name string, vlan int32) types.DVPortgroupConfigSpec {
	return types.DVPortgroupConfigSpec{
		Name: name, NumPorts: 8, Description: "made by a test", Type: "earlyBinding",
		DefaultPortConfig: &types.VMwareDVSPortSetting{
			Vlan: &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: vlan},
		},
	}
}

// group makes a port group and returns the simulator's object.
func (l *lab) group(name string, vlan int32) *simulator.DistributedVirtualPortgroup {
	l.t.Helper()
	l.wait(l.dvs().AddPortgroup(l.ctx, []types.DVPortgroupConfigSpec{groupSpec(name, vlan)}))
	return l.portGroup(name)
}

func (l *lab) portGroup(name string) *simulator.DistributedVirtualPortgroup {
	l.t.Helper()
	for _, e := range l.sim.registry().All("DistributedVirtualPortgroup") {
		if pg, ok := e.(*simulator.DistributedVirtualPortgroup); ok && pg.Name == name {
			return pg
		}
	}
	l.t.Fatalf("no port group %s", name)
	return nil
}

func (l *lab) pool() *object.ResourcePool {
	l.t.Helper()
	p, err := l.finder.ResourcePool(l.ctx, "DC0_C0/Resources/Containers")
	must(l.t, err)
	return p
}

// vmFolder is found without a call, so that it also serves clients without a session.
func (l *lab) vmFolder() *object.Folder {
	l.t.Helper()
	for _, e := range l.sim.registry().All("Folder") {
		if f, ok := e.(*simulator.Folder); ok && f.Name == "vm" {
			return object.NewFolder(l.client.Client, f.Self)
		}
	}
	l.t.Fatal("no vm folder")
	return nil
}

func (l *lab) backing(pg *simulator.DistributedVirtualPortgroup) types.BaseVirtualDeviceBackingInfo {
	l.t.Helper()
	b, err := object.NewDistributedVirtualPortgroup(l.client.Client, pg.Self).EthernetCardBackingInfo(l.ctx)
	must(l.t, err)
	return b
}

// card is a new network card on a port group, with a PCI slot.
func (l *lab) card(pg *simulator.DistributedVirtualPortgroup, slot int32) types.BaseVirtualDeviceConfigSpec {
	c := &types.VirtualVmxnet3{}
	c.Key = -1
	c.Backing = l.backing(pg)
	c.SlotInfo = &types.VirtualDevicePciBusSlotInfo{PciSlotNumber: slot}
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: c}
}

// vm makes a machine without a guest.
func (l *lab) vm(name string, devices ...types.BaseVirtualDeviceConfigSpec) *object.VirtualMachine {
	l.t.Helper()
	info := l.wait(l.vmFolder().CreateVM(l.ctx, types.VirtualMachineConfigSpec{
		Name: name, GuestId: "otherGuest64", NumCPUs: 1, MemoryMB: 64,
		Files:        &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
		DeviceChange: devices,
	}, l.pool(), nil))
	ref, _ := info.Result.(types.ManagedObjectReference)
	return object.NewVirtualMachine(l.client.Client, ref)
}

// post calls the control port and decodes the answer; it returns the status.
func (l *lab) post(method, path string, body, out any) int {
	l.t.Helper()
	b, err := json.Marshal(body)
	must(l.t, err)
	req, err := http.NewRequest(method, l.sim.ControlURL()+path, bytes.NewReader(b))
	must(l.t, err)
	resp, err := http.DefaultClient.Do(req)
	must(l.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(l.t, err)
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			l.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return resp.StatusCode
}

// eventually waits for a state that comes by itself; it fails after a generous while.
func (l *lab) eventually(what string, ok func() bool) {
	l.t.Helper()
	listener := l.sim.hub.listen()
	defer listener.close()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-listener.wake:
		case <-time.After(50 * time.Millisecond): // states outside the registry
		case <-deadline.C:
			l.t.Fatalf("never: %s", what)
		}
	}
}
