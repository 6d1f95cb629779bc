package main

import (
	"reflect"
	"slices"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Methods can be disabled on an object by a source, in vCenter's internal
// namespace; VIC does so with Destroy_Task on all its machines. Only the same
// source enables them again, and a refused call says MethodDisabled.

// disabledMethodRequest is one method and the reason that people are told.
type disabledMethodRequest struct {
	Method string `xml:"method"`
	Reason string `xml:"reasonId"`
}

type disableMethods struct {
	This   types.ManagedObjectReference   `xml:"_this"`
	Entity []types.ManagedObjectReference `xml:"entity"`
	Method []disabledMethodRequest        `xml:"method"`
	Source string                         `xml:"sourceId"`
	Scope  *bool                          `xml:"sessionScope,omitempty"`
}

type enableMethods struct {
	This   types.ManagedObjectReference   `xml:"_this"`
	Entity []types.ManagedObjectReference `xml:"entity"`
	Method []string                       `xml:"method"`
	Source string                         `xml:"sourceId"`
}

type disableMethodsBody struct {
	Res    *struct{}   `xml:"urn:internalvim25 DisableMethodsResponse,omitempty"`
	Fault_ *soap.Fault `xml:"http://schemas.xmlsoap.org/soap/envelope/ Fault,omitempty"`
}

type enableMethodsBody struct {
	Res    *struct{}   `xml:"urn:internalvim25 EnableMethodsResponse,omitempty"`
	Fault_ *soap.Fault `xml:"http://schemas.xmlsoap.org/soap/envelope/ Fault,omitempty"`
}

// Fault is the reply's fault, if it is one.
func (b *disableMethodsBody) Fault() *soap.Fault { return b.Fault_ }

// Fault is the reply's fault, if it is one.
func (b *enableMethodsBody) Fault() *soap.Fault { return b.Fault_ }

func init() {
	types.Add("DisableMethods", reflect.TypeFor[disableMethods]())
	types.Add("EnableMethods", reflect.TypeFor[enableMethods]())
}

// Protection remembers who disabled what.
type Protection struct {
	mu      sync.Mutex
	sources map[moref]map[string][]string // by object and method
}

func newProtection() *Protection { return &Protection{sources: map[moref]map[string][]string{}} }

// change adds or removes a source and returns what is disabled then.
func (p *Protection) change(obj moref, methods []string, source string, disable bool) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.sources[obj]
	if of == nil {
		of = map[string][]string{}
		p.sources[obj] = of
	}
	for _, m := range methods {
		of[m] = slices.DeleteFunc(of[m], func(s string) bool { return s == source })
		if disable {
			of[m] = append(of[m], source)
		}
	}
	out := []string{}
	for m, sources := range of {
		if len(sources) > 0 {
			out = append(out, m)
		}
	}
	slices.Sort(out)
	return out
}

// by tells who disabled a method on an object.
func (p *Protection) by(obj moref, method string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sources[obj][method]; len(s) > 0 {
		return s[0], true
	}
	return "", false
}

func (p *Protection) forget(obj moref) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sources, obj)
}

// DisableMethods keeps everyone from calling methods on entities.
func (o *overrides) DisableMethods(ctx *simulator.Context, req *disableMethods) soap.HasFault {
	names := []string{}
	for _, m := range req.Method {
		names = append(names, m.Method)
	}
	if f := o.changeMethods(ctx, req.Entity, names, req.Source, true); f != nil {
		return &disableMethodsBody{Fault_: f}
	}
	return &disableMethodsBody{Res: &struct{}{}}
}

// EnableMethods takes back what the same source disabled.
func (o *overrides) EnableMethods(ctx *simulator.Context, req *enableMethods) soap.HasFault {
	if f := o.changeMethods(ctx, req.Entity, req.Method, req.Source, false); f != nil {
		return &enableMethodsBody{Fault_: f}
	}
	return &enableMethodsBody{Res: &struct{}{}}
}

func (o *overrides) changeMethods(ctx *simulator.Context, refs []moref, names []string, source string, disable bool) *soap.Fault {
	if source == "" || len(names) == 0 {
		return fault(&types.InvalidArgument{InvalidProperty: "sourceId"})
	}
	for _, ref := range refs {
		if _, ok := ctx.Map.Get(ref).(mo.Entity); !ok {
			return fault(&types.ManagedObjectNotFound{Obj: ref})
		}
	}
	for _, ref := range refs {
		o.disable(ctx, ref, names, source, disable)
	}
	return nil
}

func (o *overrides) disable(ctx *simulator.Context, ref moref, names []string, source string, disable bool) {
	now := o.protection.change(ref, names, source, disable)
	set(ctx, ctx.Map.Get(ref), types.PropertyChange{Name: "disabledMethod", Val: now})
}

// disabled is the fault for a method that somebody disabled. What the
// simulator does by itself, a hand in its control port too, is not held up.
func (o *overrides) disabled(ctx *simulator.Context, ref moref, method string) *soap.Fault {
	source, is := o.protection.by(ref, method)
	if !is || own(ctx) {
		return nil
	}
	return fault(&types.MethodDisabled{Source: source})
}
