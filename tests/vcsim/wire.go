package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	vimxml "github.com/vmware/govmomi/vim25/xml"
)

// What was on the wire, for whoever compares it with what another client sent:
// elements by name, values as their texts, xsi:type as _type, repeated elements
// as lists, references as Type:value.

// tree is an element as JSON.
func (n *node) tree() any {
	if len(n.children) == 0 {
		for _, a := range n.attrs {
			if a.Name.Space == "" && a.Name.Local == "type" {
				return a.Value + ":" + strings.TrimSpace(n.text)
			}
		}
		return n.text
	}
	out := map[string]any{}
	if t := n.xsiType(); t != "" {
		out["_type"] = t
	}
	for _, c := range n.children {
		name, value := c.name.Local, c.tree()
		switch before := out[name].(type) {
		case nil:
			out[name] = value
		case []any:
			out[name] = append(before, value)
		default:
			out[name] = []any{before, value}
		}
	}
	return out
}

// wire is a value as it would be sent.
func wire(name string, v any) (any, error) {
	var buf bytes.Buffer
	if err := vimxml.NewEncoder(&buf).EncodeElement(v, vimxml.StartElement{Name: vimxml.Name{Local: name}}); err != nil {
		return nil, err
	}
	n, err := parseXML(buf.Bytes())
	if err != nil {
		return nil, err
	}
	return n.tree(), nil
}

// Sent is the body of a request that makes or changes something.
type Sent struct {
	Client string `json:"client"`
	Method string `json:"method"`
	Object string `json:"object"`
	Body   any    `json:"body"`
}

// sentLog keeps the newest such requests.
type sentLog struct {
	mu  sync.Mutex
	log []Sent
}

// keptSent bounds the log: a container host's configuration has some 30 kB.
const keptSent = 500

// sentMethods are those whose bodies are specifications.
var sentMethods = []string{"CreateVM_Task", "ReconfigVM_Task", "CreateResourcePool", "UpdateConfig"}

func (l *sentLog) note(client string, r *soapRequest) {
	if !slices.Contains(sentMethods, r.method) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, Sent{client, r.method, r.object, r.params.tree()})
	if len(l.log) > keptSent {
		l.log = slices.Delete(l.log, 0, len(l.log)-keptSent)
	}
}

func (l *sentLog) list() []Sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Sent{}, l.log...)
}

// machine is a virtual machine as a client reads it.
type machine struct {
	Moref          string   `json:"moref"`
	Name           string   `json:"name"`
	Parent         string   `json:"parent"`
	ResourcePool   string   `json:"resourcePool"`
	DisabledMethod []string `json:"disabledMethod"`
	Network        []string `json:"network"`
	Datastore      []string `json:"datastore"`
	Power          string   `json:"powerState"`
	Connection     string   `json:"connectionState"`
	Config         any      `json:"config"`
}

func (s *Simulator) getMachine(w http.ResponseWriter, r *http.Request) {
	kind, value, _ := strings.Cut(r.PathValue("moref"), ":")
	ctx := s.newContext()
	vm, ok := ctx.Map.Get(moref{Type: kind, Value: value}).(*simulator.VirtualMachine)
	if !ok || vm.Config == nil {
		w.WriteHeader(http.StatusNotFound)
		reply(w, map[string]string{"error": unknown("machine", r.PathValue("moref")).Error()})
		return
	}
	var out machine
	var err error
	ctx.WithLock(vm, func() { out, err = readMachine(vm) })
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		reply(w, map[string]string{"error": err.Error()})
		return
	}
	reply(w, out)
}

func readMachine(vm *simulator.VirtualMachine) (machine, error) {
	ref := func(r *moref) string {
		if r == nil {
			return ""
		}
		return r.Type + ":" + r.Value
	}
	// The map of keys is in the dump, with the one that the API hides.
	config := *vm.Config
	config.ExtraConfig = nil
	tree, err := wire("config", &config)
	if err != nil {
		return machine{}, fmt.Errorf("config of %s: %w", vm.Name, err)
	}
	return machine{
		Moref: vm.Self.Type + ":" + vm.Self.Value, Name: vm.Name, Parent: ref(vm.Parent), ResourcePool: ref(vm.ResourcePool),
		DisabledMethod: append([]string{}, vm.DisabledMethod...), Network: texts(vm.Network), Datastore: texts(vm.Datastore),
		Power: string(vm.Runtime.PowerState), Connection: string(vm.Runtime.ConnectionState), Config: tree,
	}, nil
}
