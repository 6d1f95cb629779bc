package main

import (
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// overrides carries every method that behaves otherwise here than in govmomi's
// simulator. It is an object of the registry: dispatch points calls at it, and
// the request's own _this still says which object is meant. It does no locking
// of its own (Lock and Unlock are empty); its methods lock what they touch.
type overrides struct {
	Self  moref
	sim   *Simulator
	usage *Usage

	protection *Protection

	mu       sync.Mutex
	finished []moref // tasks, oldest first
}

func newOverrides(s *Simulator) *overrides {
	return &overrides{Self: moref{Type: "LabOverrides", Value: "LabOverrides"}, sim: s, usage: newUsage(), protection: newProtection()}
}

// Reference makes overrides a managed object.
func (o *overrides) Reference() moref { return o.Self }

// Lock does nothing: see overrides.
func (o *overrides) Lock() {}

// Unlock does nothing: see overrides.
func (o *overrides) Unlock() {}

// open are the methods that need no session.
var open = map[string]bool{
	"RetrieveServiceContent": true, "Login": true, "LoginByToken": true,
	"LoginExtensionByCertificate": true, "CloneSession": true,
}

// dispatch is the registry's handler: it sees every call before it is made.
func (o *overrides) dispatch(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil {
		if !open[m.Name] {
			return nil, notAuthenticated(m.This)
		}
		return nil, nil
	}
	o.sim.sessions.note(ctx.Session)
	if m.Name == "Login" || ctx.Session.Get(m.This) == nil {
		return nil, nil
	}
	name := strings.ToUpper(m.Name[:1]) + m.Name[1:]
	if strings.HasSuffix(name, "_Task") {
		name = strings.TrimSuffix(name, "_Task") + "Task"
	}
	if reflect.ValueOf(o).MethodByName(name).IsValid() {
		m.This = o.Self
	}
	return nil, nil
}

func notAuthenticated(obj moref) *types.NotAuthenticated {
	return &types.NotAuthenticated{NoPermission: types.NoPermission{Object: &obj, PrivilegeId: "System.View"}}
}

// simOf finds the simulator that a context belongs to.
func simOf(ctx *simulator.Context) *Simulator {
	o, _ := ctx.Map.Get(moref{Type: "LabOverrides", Value: "LabOverrides"}).(*overrides)
	return o.sim
}

// own tells whether a call comes from the simulator itself, not over the wire.
func own(ctx *simulator.Context) bool {
	return ctx.Session == nil || ctx.Session.UserName == ""
}

func fault(f types.BaseMethodFault) *soap.Fault { return simulator.Fault("", f) }

// notSupported is what a method answers for an object that does not have it.
func notSupported(ref moref, method string) *soap.Fault {
	return fault(&types.MethodNotFound{Receiver: ref, Method: method})
}

// escapeName encodes the characters that vCenter does not keep in names.
func escapeName(name string) string {
	return strings.NewReplacer("%", "%25", "/", "%2f", `\`, "%5c").Replace(name)
}

// set changes properties under the object's lock and tells everyone.
func set(ctx *simulator.Context, obj mo.Reference, changes ...types.PropertyChange) {
	ctx.WithLock(obj, func() { ctx.Update(obj, changes) })
}

func without(refs []moref, gone moref) []moref {
	out := make([]moref, 0, len(refs))
	for _, r := range refs {
		if r != gone {
			out = append(out, r)
		}
	}
	return out
}

func with(refs []moref, more ...moref) []moref {
	out := append(make([]moref, 0, len(refs)+len(more)), refs...)
	for _, m := range more {
		if simulator.FindReference(out, m) == nil {
			out = append(out, m)
		}
	}
	return out
}

func typeNameOf(v any) string {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}
