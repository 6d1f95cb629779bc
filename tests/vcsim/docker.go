package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// endpoint is one listening server of a guest.
type endpoint struct{ server *http.Server }

func (e *endpoint) close() {
	if e != nil {
		_ = e.server.Close()
	}
}

const (
	dockerAPI = "1.25"
	adminPort = 2378
)

func (n *guest) serve(port int, cfg *tls.Config, h http.Handler) (*endpoint, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(n.client.Addr().String(), strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	e := &endpoint{server: &http.Server{Handler: h, ErrorLog: log.New(quiet{}, "", 0)}}
	n.sim.spawn(func() { _ = e.server.Serve(l) })
	return e, nil
}

// serveDocker opens the Docker endpoint: with TLS if the configuration has a
// certificate, with client certificates if it has authorities for them.
func (n *guest) serveDocker() (*endpoint, error) {
	var cfg *tls.Config
	if n.app.tls != nil {
		cfg = &tls.Config{Certificates: []tls.Certificate{*n.app.tls}, MinVersion: tls.VersionTLS12}
		if n.app.clientCAs != nil {
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, n.app.clientCAs
		}
	}
	return n.serve(n.app.port, cfg, n.dockerHandler())
}

func (n *guest) serveAdmin() (*endpoint, error) {
	var cfg *tls.Config
	if n.app.tls != nil {
		cfg = &tls.Config{Certificates: []tls.Certificate{*n.app.tls}, MinVersion: tls.VersionTLS12}
	}
	return n.serve(adminPort, cfg, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<html><title>VIC: %s</title><body>%s</body></html>\n", n.vm.Name, n.app.version)
	}))
}

var versionPrefix = regexp.MustCompile(`^/v\d+\.\d+/`)

func (n *guest) dockerHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("OK"))
	})
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.info()) })
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.versionReply()) })
	mux.HandleFunc("GET /containers/json", func(w http.ResponseWriter, r *http.Request) {
		all, _ := strconv.ParseBool(r.URL.Query().Get("all"))
		reply(w, n.list(all))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": "page not found"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := versionPrefix.FindString(r.URL.Path); p != "" {
			r.URL.Path = r.URL.Path[len(p)-1:]
		}
		w.Header().Set("Api-Version", dockerAPI)
		w.Header().Set("Server", "Docker/"+n.app.version+" (linux)")
		w.Header().Set("Docker-Experimental", "false")
		mux.ServeHTTP(w, r)
	})
}

// containerVM is a container machine as the Docker endpoint lists it.
type containerVM struct {
	id, name, image, network, ip string
	running                      bool
	created                      int64
}

// containers finds the machines of this host's pool that carry a container's configuration.
func (n *guest) containers() []containerVM {
	ctx := n.sim.newContext()
	var out []containerVM
	pool := n.vm.ResourcePool
	n.sim.eachVM(ctx, func(vm *simulator.VirtualMachine) {
		keys := extraConfig(vm)
		id := keys[readOnly+"common/id"]
		if vm.Self == n.vm.Self || id == "" || vm.ResourcePool == nil || pool == nil || *vm.ResourcePool != *pool {
			return
		}
		c := containerVM{
			id: id, name: keys["common/name"], image: keys[readOnly+"repo"], network: keys[readOnly+"networks"],
			running: vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn, ip: vm.Guest.IpAddress,
		}
		if vm.Config.CreateDate != nil {
			c.created = vm.Config.CreateDate.Unix()
		}
		out = append(out, c)
	})
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

func (n *guest) list(all bool) []map[string]any {
	out := []map[string]any{}
	for _, c := range n.containers() {
		if !c.running && !all {
			continue
		}
		state, status := "exited", "Exited (0)"
		if c.running {
			state, status = "running", "Up"
		}
		out = append(out, map[string]any{
			"Id": c.id, "Names": []string{"/" + c.name}, "Image": c.image, "ImageID": "", "Command": "", "Created": c.created,
			"Ports": []any{}, "Labels": map[string]string{}, "State": state, "Status": status, "Mounts": []any{},
			"HostConfig":      map[string]string{"NetworkMode": c.network},
			"NetworkSettings": map[string]any{"Networks": map[string]any{c.network: map[string]any{"IPAddress": c.ip}}},
		})
	}
	return out
}

func (n *guest) info() map[string]any {
	all := n.containers()
	running := 0
	for _, c := range all {
		if c.running {
			running++
		}
	}
	driver := "vSphere Integrated Containers " + n.app.version + " Backend Engine"
	status := [][2]string{{driver, "RUNNING"}}
	if len(n.app.volumes) > 0 {
		status = append([][2]string{{"VolumeStores", strings.Join(n.app.volumes, " ")}}, status...)
	}
	return map[string]any{
		"ID": "vSphere Integrated Containers", "Name": n.vm.Name, "Driver": driver, "SystemStatus": status, "DriverStatus": status,
		"ServerVersion": n.app.version, "Containers": len(all), "ContainersRunning": running, "ContainersPaused": 0,
		"ContainersStopped": len(all) - running, "Images": 0, "OperatingSystem": "linux", "OSType": "linux", "Architecture": "x86_64",
		"NCPU": 1, "MemTotal": int64(n.vm.Config.Hardware.MemoryMB) << 20, "IndexServerAddress": "https://index.docker.io/v1/",
		"Plugins": map[string]any{"Volume": []string{"vsphere"}, "Network": []string{"bridge"}, "Authorization": []string{}, "Log": []string{}},
		"Debug":   false, "ExperimentalBuild": false, "Labels": []string{},
	}
}

func (n *guest) versionReply() map[string]any {
	return map[string]any{
		"Version": n.app.version, "ApiVersion": dockerAPI, "MinAPIVersion": dockerAPI, "Os": "linux", "Arch": "amd64",
		"GitCommit": n.app.cfg.keys[readOnly+"init/version/GitCommit"], "GoVersion": "go1.8", "KernelVersion": "4.4",
		"BuildTime": n.app.cfg.keys[readOnly+"init/version/BuildDate"], "Experimental": false,
	}
}
