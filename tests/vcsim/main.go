// Command vcsim is a vCenter for the laboratory: govmomi's simulator behind a
// front that closes its gaps, with a guest that brings container hosts to life,
// an adapter to the NSX simulator and a control port for faults and figures.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// apiVersion is what ServiceContent announces; elements that came later are refused.
const apiVersion = "8.0.3.0"

// Options are the command line.
type Options struct {
	Cert, Key        string
	Listen, Control  string
	Username         string
	Password         string
	EndpointUser     string
	EndpointPassword string
	NSXControl       string
	VCHNetwork       string
}

func flags() Options {
	var o Options
	flag.StringVar(&o.Cert, "cert", "", "server certificate, PEM file")
	flag.StringVar(&o.Key, "key", "", "its private key, PEM file")
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:0", "address of the vCenter API")
	flag.StringVar(&o.Control, "control", "127.0.0.1:0", "address of the control port")
	flag.StringVar(&o.Username, "username", "administrator@vsphere.local", "the operator's user")
	flag.StringVar(&o.Password, "password", "VMware1!", "its password")
	flag.StringVar(&o.EndpointUser, "endpoint-username", "vch-endpoint@vsphere.local", "the user that container hosts carry")
	flag.StringVar(&o.EndpointPassword, "endpoint-password", "Endpoint1!", "its password")
	flag.StringVar(&o.NSXControl, "nsx-control", "", "control URL of the NSX simulator")
	flag.StringVar(&o.VCHNetwork, "vch-network", "127.0.0.0/24", "network whose .100-.199 DHCP hands out")
	flag.Parse()
	return o
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	log.SetOutput(os.Stderr)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	if err := run(ctx, flags()); err != nil {
		log.Printf("vcsim: %v", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, o Options) error {
	dir, err := scratch(os.TempDir())
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// govmomi's model makes the datastores' directories below TMPDIR.
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return err
	}
	sim, err := Start(o)
	if err != nil {
		return err
	}
	defer sim.Close()

	line, err := json.Marshal(map[string]string{"url": sim.URL(), "control": sim.ControlURL()})
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	<-ctx.Done()
	return nil
}
