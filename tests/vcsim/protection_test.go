package main

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func TestADisabledMethodIsRefusedUntilItsSourceEnablesIt(t *testing.T) {
	l := newLab(t)
	vm := l.vm("v")
	refs := []types.ManagedObjectReference{vm.Reference()}
	m := object.NewAuthorizationManager(l.client.Client)
	destroy := []object.DisabledMethodRequest{{Method: "Destroy_Task", Reason: "Managed by VIC Engine"}}
	must(t, m.DisableMethods(l.ctx, refs, destroy, "VIC"))
	must(t, m.DisableMethods(l.ctx, refs, destroy, "VIC")) // again: the same
	var seen mo.VirtualMachine
	must(t, l.client.RetrieveOne(l.ctx, vm.Reference(), []string{"disabledMethod"}, &seen))
	if len(seen.DisabledMethod) != 1 || seen.DisabledMethod[0] != "Destroy_Task" {
		t.Errorf("%v", seen.DisabledMethod)
	}
	_, err := vm.Destroy(l.ctx)
	wantSoap[types.MethodDisabled](t, err)
	must(t, m.EnableMethods(l.ctx, refs, []string{"Destroy_Task"}, "another"))
	_, err = vm.Destroy(l.ctx)
	wantSoap[types.MethodDisabled](t, err)
	must(t, m.EnableMethods(l.ctx, refs, []string{"Destroy_Task"}, "VIC"))
	l.wait(vm.Destroy(l.ctx))
	wantSoap[types.ManagedObjectNotFound](t, m.EnableMethods(l.ctx, refs, []string{"Destroy_Task"}, "VIC"))
}
