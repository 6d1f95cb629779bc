package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"golang.org/x/crypto/nacl/secretbox"
)

// golden is one container host as the original tool made it.
type golden struct {
	ExtraConfig map[string]string `json:"extraConfig"`
	Token       string            `json:"token"`
}

func loadGolden(t *testing.T) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/vch.json")
	must(t, err)
	var g golden
	must(t, json.Unmarshal(b, &g))
	return g
}

func TestTheOriginalsSecretsOpen(t *testing.T) {
	g := loadGolden(t)
	c := newGuestConfig(g.ExtraConfig, g.ExtraConfig[secretKey])
	if v, err := c.opened("connect/token"); err != nil || v != g.Token {
		t.Errorf("%q %v", v, err)
	}
	text, err := c.opened("cert/HostCertificate/Key")
	must(t, err)
	key, err := base64.StdEncoding.DecodeString(text)
	must(t, err)
	cert, err := c.bytes("cert/HostCertificate/Cert")
	must(t, err)
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		t.Error(err)
	}
	c.secret = base64.StdEncoding.EncodeToString(make([]byte, 32))
	if _, err := c.opened("connect/token"); err == nil {
		t.Error("opened with a wrong key")
	}
}

func TestTheKnownVectorOpens(t *testing.T) {
	c := newGuestConfig(map[string]string{
		readOnly + "s@secret": "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXmiyvUci23Cri05zfReebpDlyNgtfJctd",
	}, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if v, err := c.opened("s"); err != nil || v != "secretpw" {
		t.Errorf("%q %v", v, err)
	}
}

// host is a container host in the lab: its machine and the configuration it should have.
type host struct {
	*lab
	vm     *object.VirtualMachine
	config map[string]string
	cert   []byte
	client string
}

func seal(t *testing.T, key, text string) string {
	t.Helper()
	k, err := base64.StdEncoding.DecodeString(key)
	must(t, err)
	var nonce [24]byte
	_, _ = rand.Read(nonce[:])
	return base64.StdEncoding.EncodeToString(secretbox.Seal(nonce[:], []byte(text), &nonce, (*[32]byte)(k)))
}

func (l *lab) upload(path, content string) {
	l.t.Helper()
	ds, err := l.finder.Datastore(l.ctx, "LocalDS_0")
	must(l.t, err)
	p := soap.DefaultUpload
	p.ContentLength = int64(len(content))
	must(l.t, ds.Upload(l.ctx, strings.NewReader(content), path, &p))
}

func (l *lab) mkdir(path string) {
	l.t.Helper()
	dc, err := l.finder.Datacenter(l.ctx, "DC0")
	must(l.t, err)
	must(l.t, object.NewFileManager(l.client.Client).MakeDirectory(l.ctx, path, dc, true))
}

// newHost makes a machine as the original does, with the golden configuration moved to this lab.
func newHost(t *testing.T) *host {
	l := newLab(t)
	h := &host{lab: l, client: "127.77.1.50"}
	bridge, public, app := l.group("vic-bridge", 10), l.group("vic-public", 11), l.group("vic-app", 12)
	pool, err := l.pool().Create(l.ctx, "vch1", types.DefaultResourceConfigSpec())
	must(t, err)
	folder, err := l.vmFolder().CreateFolder(l.ctx, "vch1")
	must(t, err)
	info := l.wait(folder.CreateVM(l.ctx, types.VirtualMachineConfigSpec{
		Name: "vch1", GuestId: "otherGuest64", NumCPUs: 1, MemoryMB: 2048,
		Files:        &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{l.card(bridge, 1184), l.card(public, 1216)},
	}, pool, nil))
	ref, _ := info.Result.(types.ManagedObjectReference)
	h.vm = object.NewVirtualMachine(l.client.Client, ref)
	l.mkdir("[LocalDS_0] vch1-volumes")
	l.upload("vch1/V1.5.8-21000-2C978FE-appliance.iso", iso("VMWARE INC. V1.5.8-21000-2C978FE"))
	l.upload("vch1/V1.5.8-21000-2C978FE-bootstrap.iso", "boot")
	h.config = h.adapt(bridge, public, app, pool.Reference(), ref)
	h.reconfigure(h.config, cdrom("[LocalDS_0] vch1/V1.5.8-21000-2C978FE-appliance.iso"))
	return h
}

// iso is an image with a publisher id.
func iso(publisher string) string {
	b := []byte(strings.Repeat("\x00", 0x8000+2048))
	copy(b[0x8000+318:], fmt.Sprintf("%-128s", publisher))
	return string(b)
}

func cdrom(path string) types.BaseVirtualDeviceConfigSpec {
	cd := &types.VirtualCdrom{}
	cd.Key, cd.ControllerKey, cd.UnitNumber = -1, 200, types.NewInt32(0)
	cd.Backing = &types.VirtualCdromIsoBackingInfo{VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: path}}
	cd.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true, AllowGuestControl: true}
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: cd}
}

func (h *host) adapt(bridge, public, app *simulator.DistributedVirtualPortgroup, pool, vm moref) map[string]string {
	g := loadGolden(h.t)
	out := map[string]string{}
	swap := strings.NewReplacer(
		"dvportgroup-49", bridge.Self.Value, "dvportgroup-51", public.Self.Value, "dvportgroup-53", app.Self.Value,
		"vm-63", vm.Value, "resgroup-60", pool.Value, "https://10.66.0.10", h.sim.URL(),
	)
	for k, v := range g.ExtraConfig {
		out[k] = swap.Replace(v)
	}
	for _, role := range []string{"client", "management", "public"} {
		out[readOnly+"init/networks|"+role+"/ip/IP"] = encodeAddr(netip.MustParseAddr(h.client))
		out[readOnly+"init/networks|"+role+"/network/gateway/IP"] = encodeAddr(netip.MustParseAddr("127.77.1.1"))
	}
	cert, key := certificate(h.t, "vch1", h.client)
	h.cert = cert
	b64 := base64.StdEncoding.EncodeToString
	out[readOnly+"cert/HostCertificate/Cert"] = b64(cert)
	out[readOnly+"cert/HostCertificate/Key@secret"] = seal(h.t, out[secretKey], b64(key))
	out[readOnly+"connect/username"] = endpointUser
	out[readOnly+"connect/token@secret"] = seal(h.t, out[secretKey], endpointPassword)
	out[readOnly+"connect/target_thumbprint"] = h.sim.thumbprint()
	return out
}

func (h *host) reconfigure(config map[string]string, devices ...types.BaseVirtualDeviceConfigSpec) {
	h.t.Helper()
	spec := types.VirtualMachineConfigSpec{DeviceChange: devices}
	for k, v := range config {
		spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: k, Value: v})
	}
	h.wait(h.vm.Reconfigure(h.ctx, spec))
}

// booted powers on and waits until the guest has come to a state.
func (h *host) booted() string {
	h.t.Helper()
	h.wait(h.vm.PowerOn(h.ctx))
	h.eventually("the guest settles", func() bool { s := h.sim.guests.state(h.vm.Reference()); return s != "" && s != "booting" })
	return h.sim.guests.state(h.vm.Reference())
}

func (h *host) off() {
	h.t.Helper()
	h.wait(h.vm.PowerOff(h.ctx))
	h.eventually("the guest stops", func() bool { return h.sim.guests.state(h.vm.Reference()) == "" })
}

// seen is what the API tells of the machine.
func (h *host) seen() (map[string]string, mo.VirtualMachine) {
	h.t.Helper()
	var vm mo.VirtualMachine
	must(h.t, h.vm.Properties(h.ctx, h.vm.Reference(), []string{"config.extraConfig", "guest", "runtime.powerState"}, &vm))
	keys := map[string]string{}
	for _, v := range vm.Config.ExtraConfig {
		keys[v.GetOptionValue().Key], _ = v.GetOptionValue().Value.(string)
	}
	return keys, vm
}

func (h *host) docker(path string, certs ...tls.Certificate) (string, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(h.cert)
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+h.client+":2376"+path, nil)
	must(h.t, err)
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestTheGoldenConfigurationComesUp(t *testing.T) {
	h := newHost(t)
	if s := h.booted(); s != "up 127.77.1.50" {
		t.Fatal(s)
	}
	keys, vm := h.seen()
	for _, s := range []string{"docker-personality", "port-layer", "vicadmin"} {
		if v := keys["guestinfo.vice..init.sessions|"+s+".started"]; v != "true" {
			t.Errorf("%s started=%q", s, v)
		}
	}
	if v := keys["guestinfo.vice..init.networks|client.assigned.IP"]; v != encodeAddr(netip.MustParseAddr(h.client)) {
		t.Errorf("assigned %q", v)
	}
	if vm.Guest.IpAddress != h.client || vm.Guest.ToolsRunningStatus != "guestToolsRunning" {
		t.Errorf("%s %s", vm.Guest.IpAddress, vm.Guest.ToolsRunningStatus)
	}
	if _, shown := keys[secretKey]; shown {
		t.Error("guestinfo.ovfEnv is readable through the API")
	}
	var info struct {
		Name, Driver                  string
		SystemStatus                  [][2]string
		Containers, ContainersRunning int
	}
	body, err := h.docker("/v1.25/info")
	must(t, err)
	must(t, json.Unmarshal([]byte(body), &info))
	status := map[string]string{}
	for _, s := range info.SystemStatus {
		status[s[0]] = s[1]
	}
	if info.Name != "vch1" || status[info.Driver] != "RUNNING" || status["VolumeStores"] != "default" {
		t.Errorf("%+v", info)
	}
	h.off()
	if _, err := h.docker("/_ping"); err == nil {
		t.Error("the endpoint still answers")
	}
	_, vm = h.seen()
	if vm.Guest.IpAddress != "" || vm.Guest.ToolsRunningStatus != "guestToolsNotRunning" {
		t.Errorf("off, yet %q %s", vm.Guest.IpAddress, vm.Guest.ToolsRunningStatus)
	}
	if s := h.booted(); s != "up 127.77.1.50" {
		t.Errorf("second boot: %s", s)
	}
}

func TestClientsNeedACertificateWhenAuthoritiesAreGiven(t *testing.T) {
	h := newHost(t)
	ca, key := certificate(t, "client")
	h.reconfigure(map[string]string{readOnly + "cert/CertificateAuthorities": base64.StdEncoding.EncodeToString(ca)})
	h.booted()
	if _, err := h.docker("/_ping"); err == nil {
		t.Error("no certificate, yet an answer")
	}
	pair, err := tls.X509KeyPair(ca, key)
	must(t, err)
	if body, err := h.docker("/_ping", pair); err != nil || body != "OK" {
		t.Errorf("%q %v", body, err)
	}
}

func TestDHCPHandsOutTheLaboratorysAddresses(t *testing.T) {
	h := newHost(t)
	change := map[string]string{}
	for _, role := range []string{"client", "management", "public"} {
		at := readOnly + "init/networks|" + role
		change[at+"/static"] = "false"
		for _, k := range []string{"/ip/IP", "/ip/Mask", "/network/gateway/IP", "/network/gateway/Mask"} {
			change[at+k] = ""
		}
	}
	h.reconfigure(change)
	if s := h.booted(); s != "up 127.77.1.100" {
		t.Fatal(s)
	}
	keys, _ := h.seen()
	if keys["guestinfo.vice..init.networks|public.assigned.Mask"] != "////AA==" {
		t.Error("mask of the lease")
	}
}

// mutation breaks the configuration in one place; the reason must name it.
type mutation struct {
	name   string
	change map[string]string // "" deletes
	reason string
}

func ro(k, v string) map[string]string { return map[string]string{readOnly + k: v} }

func ro2(k, v, k2, v2 string) map[string]string {
	return map[string]string{readOnly + k: v, readOnly + k2: v2}
}

var mutations = []mutation{
	{"id of another machine", ro("init/common/id", "VirtualMachine:vm-1"), "init/common/id"},
	{"id still CreatingVCH", ro("init/common/id", "CreatingVCH"), "init/common/id"},
	{"id hidden", map[string]string{readOnly + "init/common/id": "", "init/common/id": "VirtualMachine:vm-1"}, "init/common/id"},
	{"no version", ro("init/version/Version", ""), "init/version/Version"},
	{"another release than the ISO", ro("init/version/BuildNumber", "1"), "appliance ISO"},
	{"schema of the future", ro("init/version/PluginVersion", "11"), "PluginVersion"},
	{"readable name", ro("init/common/name", "vch1"), "readable"},
	{"readable password", ro("connect/token", "x"), "readable"},
	{"another vCenter", ro("connect/target", "https://127.0.0.1:1"), "connect/target"},
	{"wrong thumbprint", ro("connect/target_thumbprint", "AA:BB"), "thumbprint"},
	{"the operator's own user", ro("connect/username", operatorUser), "operator's own"},
	{"a stranger", ro("connect/username", "root"), "InvalidLogin"},
	{"garbled secret", ro("connect/token@secret", "QUJD"), "too short"},
	{"no key for the secrets", map[string]string{secretKey: ""}, "ovfEnv"},
	{"another key", map[string]string{secretKey: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}, "cannot be opened"},
	{"certificate of another key", nil, "HostCertificate"},
	{"certificate authority that does not parse", ro("cert/CertificateAuthorities", "QUJD"), "CertificateAuthorities"},
	{"three networks", ro("init/networks", "bridge|client|public"), "init/networks"},
	{"slot without a card", ro("init/networks|public/Common/id", "1248"), "PCI slot 1248"},
	{"slot of another network", ro("init/networks|public/Common/id", "1184"), "init/networks|public/network/Common/id"},
	{"public on the bridge's card", ro2("init/networks|public/Common/id", "1184", "init/networks|public/network/Common/id", "BRIDGE"), "share a card"},
	{"network of another card", ro("init/networks|client/network/Common/id", "DistributedVirtualPortgroup:dvportgroup-1"), "init/networks|client"},
	{"management with a name", ro("init/networks|management/Common/name", "management"), "management/Common/name"},
	{"two default routes", ro("init/networks|client/network/default", "true"), "default"},
	{"bridge with a mask", ro("init/networks|bridge/ip/Mask", "////AA=="), "bridge"},
	{"type in the wrong scope", map[string]string{"guestinfo.vice..init.networks|bridge.network.type": "", readOnly + "init/networks|bridge/network/type": "bridge"}, "network.type"},
	{"gateway elsewhere", ro("init/networks|public/network/gateway/IP", "AAAAAAAAAAAAAP//CgAAAQ=="), "gateway"},
	{"address of five bytes", ro("init/networks|client/ip/IP", "AQIDBAU="), "no address"},
	{"mask with holes", ro("init/networks|client/ip/Mask", "/wD/AA=="), "holes"},
	{"range narrower than a network", ro("network/bridge-net-width", "/wAAAA=="), "width"},
	{"no bridge network", ro("network/bridge_network", "br"), "bridge_network"},
	{"container network that is not there", ro("network/container_networks|app/Common/id", "DistributedVirtualPortgroup:dvportgroup-999"), "no network"},
	{"unsorted aliases", ro("network/container_networks", "bridge|app"), "sorted"},
	{"trust level", ro("network/container_networks|app/TrustLevel", "9"), "TrustLevel"},
	{"range outside the subnet", ro("network/container_networks|app/pools|0/last", "AAAAAAAAAAAAAP//CgAAAQ=="), "pools|0"},
	{"image store nowhere", ro("storage/image_stores|0/Host", "ds9"), "ds9"},
	{"volume directory missing", ro("storage/VolumeLocations|default/Path", "[LocalDS_0] nowhere"), "no directory"},
	{"volume path without datastore", ro("storage/VolumeLocations|default/Path", "vch1-volumes"), "no path"},
	{"pool of someone else", ro("container/ComputeResources|0/Value", "resgroup-1"), "ComputeResources"},
	{"no bootstrap image", ro("container/bootstrap_image_path", "[LocalDS_0] vch1/none.iso"), "bootstrap_image_path"},
	{"a session too few", ro("init/sessions", "docker-personality|vicadmin"), "init/sessions"},
	{"docker on the wrong port", ro("init/sessions|docker-personality/cmd/Args~", "/sbin/docker-engine-server|-port=2375|-port-layer-port=2377"), "-port=2376"},
	{"length of the arguments", ro("init/sessions|port-layer/cmd/Args", "1"), "elements"},
	{"admin's user", ro("init/sessions|vicadmin/User", nilText), "vicadmin/User"},
	{"path that is not there", ro("init/sessions|vicadmin/cmd/Args~", "/sbin/vicadmin|--dc=DC0|--pool=/DC0/host/X|--cluster=/DC0/host/DC0_C0"), "--pool"},
	{"environment without the datastore", ro("init/sessions|port-layer/cmd/Env~", "VC_URL=x|DC_PATH=DC0|CS_PATH=x|POOL_PATH=x|DS_PATH=y"), "cmd/Env"},
	{"started in the wrong scope", map[string]string{"guestinfo.vice..init.sessions|vicadmin.started": "", readOnly + "init/sessions|vicadmin/started": nilText}, "started"},
}

func TestABrokenConfigurationDoesNotComeUp(t *testing.T) {
	h := newHost(t)
	other, _ := certificate(t, "other")
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			h.lab.t = t
			change := m.change
			if change == nil {
				change = ro("cert/HostCertificate/Cert", base64.StdEncoding.EncodeToString(other))
			}
			change = maps.Clone(change)
			for k, v := range change {
				if v == "BRIDGE" {
					change[k] = h.config[readOnly+"init/networks|bridge/network/Common/id"]
				}
			}
			h.reconfigure(change)
			defer func() {
				restore := maps.Clone(h.config)
				for k := range change {
					if _, ok := restore[k]; !ok {
						restore[k] = ""
					}
				}
				h.reconfigure(restore)
			}()
			state := h.booted()
			if !strings.HasPrefix(state, "failed: ") || !strings.Contains(state, m.reason) {
				t.Errorf("state %q, expected a failure about %q", state, m.reason)
			}
			keys, vm := h.seen()
			if _, ok := keys["guestinfo.vice..init.networks|client.assigned.IP"]; ok || vm.Guest.IpAddress != "" {
				t.Error("an address was assigned")
			}
			if v := keys["guestinfo.vice..init.sessions|docker-personality.started"]; v == "true" || v == nilText {
				t.Errorf("started=%q", v)
			}
			h.off()
		})
	}
}
