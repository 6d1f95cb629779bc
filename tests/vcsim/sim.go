package main

import (
	"context"
	"crypto/sha1"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Simulator is one vCenter with everything around it.
type Simulator struct {
	opts     Options
	network  netip.Prefix
	model    *simulator.Model
	svc      *simulator.Service
	hub      *Hub
	calls    *CallLog
	sent     *sentLog
	faults   *Faults
	tune     *Tune
	sessions *Sessions
	guests   *Guests
	adapter  *Adapter
	secrets  *Secrets
	over     *overrides

	tlsCert tls.Certificate
	front   net.Listener
	control net.Listener
	servers []*http.Server

	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Start builds the inventory and serves; the caller closes it.
func Start(o Options) (*Simulator, error) {
	cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	network, err := netip.ParsePrefix(o.VCHNetwork)
	if err != nil {
		return nil, fmt.Errorf("--vch-network: %w", err)
	}
	// Tasks must not hold their entity's lock while they are delayed: readers would stall.
	simulator.TaskDelay.MethodDelay = map[string]int{"LockHandoff": 0}
	s := &Simulator{opts: o, network: network, tlsCert: cert}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.build(); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.serve(); err != nil {
		s.Close()
		return nil, err
	}
	s.guests.run()
	s.adapter.run()
	return s, nil
}

// build seeds the inventory: DC0, cluster DC0_C0 of three hosts, LocalDS_0, DVS0, pool Containers.
func (s *Simulator) build() error {
	m := simulator.VPX()
	m.Host, m.Machine = 0, 0
	about := &m.ServiceContent.About
	about.Version, about.Build, about.ApiVersion = "8.0.3", "24022515", apiVersion
	about.Name, about.FullName = "VMware vCenter Server", "VMware vCenter Server 8.0.3 build-24022515"
	s.model = m
	if err := m.Create(); err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	s.svc = m.Service
	s.hub = newHub()
	s.calls = newCallLog()
	s.sent = &sentLog{}
	s.faults = newFaults()
	s.tune = newTune()
	s.secrets = newSecrets()
	s.sessions = &Sessions{sim: s, known: map[string]*simulator.Session{}}
	s.guests = newGuests(s)
	s.adapter = newAdapter(s)
	s.over = newOverrides(s)

	reg := s.registry()
	reg.AddHandler(s.hub)
	reg.Put(s.over)
	collector := &Collector{}
	collector.Self = *types.NewReference(s.content().PropertyCollector)
	collector.sim = s
	reg.Put(collector)
	reg.Handler = s.over.dispatch
	s.completeSeeds()

	sm := reg.SessionManager()
	sm.ValidLogin = func(l *types.Login) bool { return s.validLogin(l.UserName, l.Password) }
	return nil
}

func (s *Simulator) completeSeeds() {
	for _, e := range s.registry().All("DistributedVirtualPortgroup") {
		if pg, ok := e.(*simulator.DistributedVirtualPortgroup); ok {
			completePortGroup(pg)
		}
	}
	root, ok := s.findPool("DC0_C0/Resources")
	if !ok {
		return
	}
	spec := types.DefaultResourceConfigSpec()
	ctx := s.newContext()
	if _, fault := s.over.newPool(ctx, root, "Containers", spec); fault != nil {
		log.Printf("pool Containers: %T", fault)
	}
}

func (s *Simulator) serve() error {
	var err error
	if s.front, err = net.Listen("tcp", s.opts.Listen); err != nil {
		return err
	}
	if s.control, err = net.Listen("tcp", s.opts.Control); err != nil {
		return err
	}
	// A user is set so that the simulator asks ValidLogin.
	s.svc.Listen = &url.URL{Scheme: "https", Host: s.front.Addr().String(), Path: "/sdk", User: url.User("x")}
	s.registry().SessionManager().ServiceHostName = s.front.Addr().String()
	s.svc.RegisterSDK(s.registry(), "/sdk/vimService")

	api := &http.Server{
		Handler: s.frontHandler(),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{s.tlsCert},
			MinVersion:   tls.VersionTLS12,
		},
		// HTTP/1.1 only: dropped connections need the socket.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:     log.New(quiet{}, "", 0),
	}
	ctl := &http.Server{Handler: s.controlHandler()}
	s.servers = []*http.Server{api, ctl}
	s.spawn(func() { _ = api.ServeTLS(s.front, "", "") })
	s.spawn(func() { _ = ctl.Serve(s.control) })
	return nil
}

// quiet swallows the HTTP server's notes on handshakes that clients gave up.
type quiet struct{}

func (quiet) Write(p []byte) (int, error) { return len(p), nil }

func (s *Simulator) spawn(f func()) {
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		f()
	}()
}

// Close stops serving and removes the datastore's files.
func (s *Simulator) Close() {
	s.cancel()
	for _, srv := range s.servers {
		_ = srv.Close()
	}
	if s.guests != nil {
		s.guests.stopAll()
	}
	s.done.Wait()
	if s.svc != nil {
		s.model.Remove()
	}
}

// URL is the base of the vCenter API.
func (s *Simulator) URL() string { return "https://" + s.front.Addr().String() }

// ControlURL is the base of the control port.
func (s *Simulator) ControlURL() string { return "http://" + s.control.Addr().String() }

func (s *Simulator) registry() *simulator.Registry { return s.svc.Context.Map }

func (s *Simulator) content() types.ServiceContent {
	si, _ := s.registry().Get(types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}).(*simulator.ServiceInstance)
	return si.Content
}

// newContext is a context of the simulator's own. Locks are shared by pointer,
// so every independent piece of work takes a new one.
func (s *Simulator) newContext() *simulator.Context {
	c := *s.svc.Context
	return &c
}

func (s *Simulator) validLogin(user, password string) bool {
	return user == s.opts.Username && password == s.opts.Password || s.isEndpoint(user, password)
}

func (s *Simulator) isEndpoint(user, password string) bool {
	return user == s.opts.EndpointUser && password == s.opts.EndpointPassword
}

// thumbprint is the SHA-1 of the server certificate as vSphere writes it.
func (s *Simulator) thumbprint() string {
	sum := sha1.Sum(s.tlsCert.Certificate[0])
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// sleep waits, or returns false when the simulator stops first.
func (s *Simulator) sleep(d time.Duration) bool {
	if d <= 0 {
		return s.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// entityName is the name wherever the type keeps it.
func entityName(e mo.Entity) string {
	switch x := e.(type) {
	case *simulator.DistributedVirtualPortgroup:
		return x.Name
	case *simulator.DistributedVirtualSwitch:
		return x.Name
	case *mo.Network:
		return x.Name
	case *mo.OpaqueNetwork:
		return x.Name
	}
	return e.Entity().Name
}
