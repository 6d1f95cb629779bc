package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
)

// appliance is a container host's guest while it reads its configuration.
type appliance struct {
	sim *Simulator
	ctx *simulator.Context
	vm  *simulator.VirtualMachine
	cfg *guestConfig

	target    string
	datastore string
	tls       *tls.Certificate
	clientCAs *x509.CertPool
	port      int
	static    map[string]netip.Prefix // by role; absent with DHCP
	nic       map[string]nic          // by role
	bridge    netip.Prefix            // range of the bridge network
	version   string
	volumes   []string // labels
}

var roles = []string{"bridge", "client", "management", "public"}

// check reads everything; the error says what keeps the appliance from coming up.
func (a *appliance) check() error {
	for _, f := range []func() error{
		a.checkIdentity, a.checkHidden, a.checkConnection, a.checkCertificates, a.checkNetworks, a.checkContainerNetworks,
		a.checkStorage, a.checkContainer, a.checkSessions,
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (a *appliance) checkIdentity() error {
	c := a.cfg
	if err := c.is("init/common/id", "VirtualMachine:"+a.vm.Self.Value); err != nil {
		return err
	}
	var parts []string
	for _, k := range []string{"Version", "BuildNumber", "GitCommit"} {
		v, err := c.ro("init/version/" + k)
		if err != nil {
			return err
		}
		if v == "" {
			return fmt.Errorf("init/version/%s is empty", k)
		}
		parts = append(parts, v)
	}
	a.version = parts[0]
	plugin, err := c.integer("init/version/PluginVersion")
	if err == nil && plugin != 10 {
		err = fmt.Errorf("init/version/PluginVersion is %d, this appliance knows 10", plugin)
	}
	if err != nil {
		return err
	}
	if published := a.publishedVersion(); published != "" && !strings.EqualFold(published, strings.Join(parts, "-")) {
		return fmt.Errorf("init/version is %s, the appliance ISO is %s", strings.Join(parts, "-"), published)
	}
	_, err = c.integer("init/diagnostics/debug")
	return err
}

// publishedVersion is the version in the publisher id of the ISO that was booted.
func (a *appliance) publishedVersion() string {
	for _, iso := range isosOf(a.vm) {
		_, local, f := a.sim.datastorePath(iso)
		if f != nil {
			continue
		}
		file, err := os.Open(local)
		if err != nil {
			continue
		}
		id := make([]byte, 128)
		_, err = file.ReadAt(id, 0x8000+318)
		_ = file.Close()
		words := strings.Fields(strings.ReplaceAll(string(id), "\x00", " "))
		if err == nil && len(words) > 1 && strings.HasPrefix(strings.ToUpper(words[0]), "VMWARE") {
			return words[len(words)-1]
		}
	}
	return ""
}

// checkHidden refuses what the guest must not be able to read.
func (a *appliance) checkHidden() error {
	for _, path := range []string{
		"init/common/name", "init/common/notes", "connect/token", "cert/HostCertificate/Key",
	} {
		if a.cfg.hasRO(path) {
			return fmt.Errorf("%s%s is readable, it should be hidden or sealed", readOnly, path)
		}
	}
	return nil
}

func (a *appliance) checkConnection() error {
	c := a.cfg
	target, err := c.ro("connect/target")
	if err != nil {
		return err
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" || u.Host != a.sim.front.Addr().String() || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return fmt.Errorf("connect/target %q is not this vCenter, %s", target, a.sim.URL())
	}
	a.target = target
	user, err := c.ro("connect/username")
	if err != nil {
		return err
	}
	if user == a.sim.opts.Username {
		return fmt.Errorf("connect/username is the operator's own user")
	}
	password, err := c.opened("connect/token")
	if err != nil {
		return err
	}
	if !a.sim.isEndpoint(user, password) {
		return fmt.Errorf("login as %q failed: InvalidLogin", user)
	}
	thumb, err := c.ro("connect/target_thumbprint")
	if err == nil && thumb != a.sim.thumbprint() {
		err = fmt.Errorf("connect/target_thumbprint %q is not that of the vCenter's certificate, %s", thumb, a.sim.thumbprint())
	}
	if err == nil {
		_, err = c.integer("connect/keepalive")
	}
	return err
}

func (a *appliance) checkCertificates() error {
	c := a.cfg
	a.port = 2375
	if !c.hasRO("cert/HostCertificate/Cert") && !c.hasRO("cert/HostCertificate/Key@secret") {
		if c.hasRO("cert/CertificateAuthorities") {
			return fmt.Errorf("cert/CertificateAuthorities without a host certificate")
		}
		return nil
	}
	a.port = 2376
	cert, err := c.bytes("cert/HostCertificate/Cert")
	if err != nil {
		return err
	}
	text, err := c.opened("cert/HostCertificate/Key")
	if err != nil {
		return err
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("cert/HostCertificate/Key is not base64 inside: %v", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("cert/HostCertificate: %v", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return fmt.Errorf("cert/HostCertificate: %v", err)
	}
	if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("cert/HostCertificate is not valid now")
	}
	a.tls = &pair
	for _, path := range []string{"cert/CertificateAuthorities", "cert/RegistryCertificateAuthorities"} {
		if !c.hasRO(path) {
			continue
		}
		bundle, err := c.bytes(path)
		if err != nil {
			return err
		}
		pool, err := parseBundle(bundle)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if path == "cert/CertificateAuthorities" {
			a.clientCAs = pool
		}
	}
	return nil
}

func parseBundle(bundle []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for rest := bundle; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(cert)
	}
	if n == 0 {
		return nil, fmt.Errorf("no certificate in it")
	}
	return pool, nil
}

func (a *appliance) checkStorage() error {
	c := a.cfg
	if n, err := c.integer("storage/image_stores"); err != nil || n != 0 {
		return fmt.Errorf("storage/image_stores must have one entry (%d, %v)", n+1, err)
	}
	if err := c.is("storage/image_stores|0/Scheme", "ds"); err != nil {
		return err
	}
	host, err := c.ro("storage/image_stores|0/Host")
	if err != nil {
		return err
	}
	if a.sim.datastore(host) == nil {
		return fmt.Errorf("image store: no datastore %q", host)
	}
	a.datastore = host
	if p, err := c.ro("storage/image_stores|0/Path"); err != nil || p == "" {
		return fmt.Errorf("storage/image_stores|0/Path is missing")
	}
	if _, err := c.integer("storage/scratch_size"); err != nil {
		return err
	}
	if !c.hasRO("storage/VolumeLocations") {
		return nil
	}
	if a.volumes, err = c.mapKeys("storage/VolumeLocations"); err != nil {
		return err
	}
	for _, label := range a.volumes {
		if err := a.checkVolume("storage/VolumeLocations|" + label); err != nil {
			return err
		}
	}
	return nil
}

func (a *appliance) checkVolume(path string) error {
	scheme, err := a.cfg.ro(path + "/Scheme")
	if err != nil {
		return err
	}
	host, err := a.cfg.ro(path + "/Host")
	if err != nil {
		return err
	}
	dir, err := a.cfg.ro(path + "/Path")
	if err != nil {
		return err
	}
	switch scheme {
	case "nfs":
		if host == "" || !strings.HasPrefix(dir, "/") {
			return fmt.Errorf("%s: nfs needs a host and an absolute path", path)
		}
		return nil
	case "ds":
	default:
		return fmt.Errorf("%s: scheme %q", path, scheme)
	}
	ds, local, f := a.sim.datastorePath(dir)
	if f != nil || ds.Name != host {
		return fmt.Errorf("%s: %q is no path on datastore %q", path, dir, host)
	}
	if st, err := os.Stat(local); err != nil || !st.IsDir() {
		return fmt.Errorf("%s: there is no directory %s", path, dir)
	}
	return nil
}

func (a *appliance) checkContainer() error {
	c := a.cfg
	n, err := c.integer("container/ComputeResources")
	if err != nil {
		return err
	}
	last := fmt.Sprintf("container/ComputeResources|%d", n)
	kind, err := c.ro(last + "/Type")
	if err != nil {
		return err
	}
	value, err := c.ro(last + "/Value")
	if err != nil {
		return err
	}
	if a.vm.ResourcePool == nil || *a.vm.ResourcePool != (moref{Type: kind, Value: value}) {
		return fmt.Errorf("%s is %s:%s, the machine's pool is %v", last, kind, value, a.vm.ResourcePool)
	}
	boot, err := c.ro("container/bootstrap_image_path")
	if err != nil {
		return err
	}
	_, local, f := a.sim.datastorePath(boot)
	if f != nil {
		return fmt.Errorf("container/bootstrap_image_path %q is no datastore path", boot)
	}
	if st, err := os.Stat(local); err != nil || st.IsDir() || st.Size() == 0 {
		return fmt.Errorf("container/bootstrap_image_path: there is no file %s", boot)
	}
	return nil
}

func (a *appliance) checkSessions() error {
	keys, err := a.cfg.mapKeys("init/sessions")
	if err != nil {
		return err
	}
	if want := []string{"docker-personality", "port-layer", "vicadmin"}; !slices.Equal(keys, want) {
		return fmt.Errorf("init/sessions is %v, not %v", keys, want)
	}
	for _, s := range []struct {
		name, path, dir, user string
		args, env             []string
	}{
		{"docker-personality", "/sbin/docker-engine-server", "", "", []string{fmt.Sprintf("-port=%d", a.port), "-port-layer-port=2377"}, []string{"PATH=/sbin", "GOTRACEBACK=all"}},
		{"port-layer", "/sbin/port-layer-server", "", "", []string{"--host=localhost", "--port=2377"}, []string{"VC_URL=" + a.target, "DC_PATH=", "CS_PATH=", "POOL_PATH=", "DS_PATH=" + a.datastore}},
		{"vicadmin", "/sbin/vicadmin", "/home/vicadmin", "vicadmin", []string{"--dc=", "--pool=", "--cluster="}, []string{"PATH=/sbin:/bin", "GOTRACEBACK=all"}},
	} {
		if err := a.checkSession("init/sessions|"+s.name, s.name, s.path, s.dir, s.user, s.args, s.env); err != nil {
			return err
		}
	}
	return nil
}

func (a *appliance) checkSession(at, name, path, dir, user string, wantArgs, wantEnv []string) error {
	c := a.cfg
	for k, v := range map[string]string{
		"/common/id": name, "/common/name": name, "/cmd/Path": path, "/cmd/Dir": dir, "/User": user, "/Group": user,
		"/active": "true", "/restart": "true", "/attach": "false", "/openstdin": "false", "/tty": "false", "/stopSignal": "",
	} {
		if err := c.is(at+k, v); err != nil {
			return err
		}
	}
	for _, k := range []string{"/started", "/runblock", "/status", "/detail/createtime", "/detail/starttime", "/detail/stoptime", "/diagnostics/resurrections"} {
		if _, err := c.rw(at + k); err != nil {
			return err
		}
	}
	args, err := c.list(at + "/cmd/Args")
	if err != nil {
		return err
	}
	if args[0] != path || len(args) != len(wantArgs)+1 {
		return fmt.Errorf("%s/cmd/Args is %v, not %s %v", at, args, path, wantArgs)
	}
	if err := a.assignments(at+"/cmd/Args", args[1:], wantArgs); err != nil {
		return err
	}
	env, err := c.list(at + "/cmd/Env")
	if err != nil {
		return err
	}
	return a.assignments(at+"/cmd/Env", env, wantEnv)
}

// assignments checks a list of name=value. A wanted "name=" takes any value that
// names something of the inventory; the order is free.
func (a *appliance) assignments(at string, have, want []string) error {
	for _, w := range want {
		i := slices.IndexFunc(have, func(h string) bool { return h == w || strings.HasSuffix(w, "=") && strings.HasPrefix(h, w) })
		if i < 0 {
			return fmt.Errorf("%s has no %s: %v", at, w, have)
		}
		if name, value, _ := strings.Cut(have[i], "="); strings.HasSuffix(w, "=") {
			if err := a.resolves(name, value); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
	}
	return nil
}

func (a *appliance) resolves(name, value string) error {
	kinds := map[string][]string{
		"--dc": {"Datacenter"}, "DC_PATH": {"Datacenter"}, "--pool": {"ResourcePool", "VirtualApp"}, "POOL_PATH": {"ResourcePool", "VirtualApp"},
		"--cluster": {"ClusterComputeResource", "ComputeResource"}, "CS_PATH": {"ClusterComputeResource", "ComputeResource"},
	}[name]
	for _, kind := range kinds {
		for _, e := range a.ctx.Map.All(kind) {
			if value == pathOf(a.ctx, e.Reference()) || kind == "Datacenter" && value == entityName(e) {
				return nil
			}
		}
	}
	return fmt.Errorf("%s=%q is nothing in the inventory", name, value)
}

// exists tells whether a reference written as Type:value is in the inventory.
func (a *appliance) exists(text string) (mo.Entity, bool) {
	kind, value, _ := strings.Cut(text, ":")
	e, ok := a.ctx.Map.Get(moref{Type: kind, Value: value}).(mo.Entity)
	return e, ok
}
