package main

import (
	"testing"

	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// watcher is a collector of its own with one filter over a container view.
type watcher struct {
	*lab
	pc      types.ManagedObjectReference
	version string
	known   map[types.ManagedObjectReference]bool
}

func (l *lab) watch(kinds []string, props ...types.PropertySpec) *watcher {
	l.t.Helper()
	c := l.client.Client
	r, err := methods.CreatePropertyCollector(l.ctx, c, &types.CreatePropertyCollector{This: c.ServiceContent.PropertyCollector})
	must(l.t, err)
	v, err := view.NewManager(c).CreateContainerView(l.ctx, c.ServiceContent.RootFolder, kinds, true)
	must(l.t, err)
	w := &watcher{lab: l, pc: r.Returnval, known: map[types.ManagedObjectReference]bool{}}
	w.filter(v.Reference(), props...)
	return w
}

func (w *watcher) filter(over types.ManagedObjectReference, props ...types.PropertySpec) {
	w.t.Helper()
	yes := true
	_, err := methods.CreateFilter(w.ctx, w.client.Client, &types.CreateFilter{This: w.pc, Spec: types.PropertyFilterSpec{
		PropSet: props,
		ObjectSet: []types.ObjectSpec{{Obj: over, Skip: &yes, SelectSet: []types.BaseSelectionSpec{
			&types.TraversalSpec{Type: over.Type, Path: "view"},
		}}},
	}})
	must(w.t, err)
}

func (w *watcher) call(version string, seconds int32) (*types.UpdateSet, error) {
	r, err := methods.WaitForUpdatesEx(w.ctx, w.client.Client, &types.WaitForUpdatesEx{
		This: w.pc, Version: version, Options: &types.WaitOptions{MaxWaitSeconds: &seconds}})
	if err != nil {
		return nil, err
	}
	return r.Returnval, nil
}

// next takes one answer and returns its updates by object.
func (w *watcher) next(seconds int32) map[types.ManagedObjectReference]types.ObjectUpdate {
	w.t.Helper()
	out := map[types.ManagedObjectReference]types.ObjectUpdate{}
	for {
		set, err := w.call(w.version, seconds)
		must(w.t, err)
		if set == nil {
			return out
		}
		w.version = set.Version
		for _, f := range set.FilterSet {
			for _, o := range f.ObjectSet {
				out[o.Obj] = o
				if o.Kind == types.ObjectUpdateKindEnter && w.known[o.Obj] {
					w.t.Errorf("%s enters twice", o.Obj)
				}
				w.known[o.Obj] = o.Kind != types.ObjectUpdateKindLeave
			}
		}
		if set.Truncated == nil || !*set.Truncated {
			return out
		}
	}
}

func names(kind string) types.PropertySpec {
	return types.PropertySpec{Type: kind, PathSet: []string{"name"}}
}

func TestWaitsTellOfEveryKind(t *testing.T) {
	l := newLab(t)
	w := l.watch([]string{"ResourcePool", "Folder", "DistributedVirtualPortgroup", "VirtualMachine"}, names("ManagedEntity"),
		types.PropertySpec{Type: "Folder", PathSet: []string{"childEntity"}},
		types.PropertySpec{Type: "ResourcePool", PathSet: []string{"vm", "resourcePool", "customValue"}},
		types.PropertySpec{Type: "VirtualMachine", PathSet: []string{"config.extraConfig", "resourcePool"}})
	w.next(0)
	if !w.known[l.pool().Reference()] {
		t.Fatal("the pool is not in the first answer")
	}
	p, err := l.pool().Create(l.ctx, "p", types.DefaultResourceConfigSpec())
	must(t, err)
	if u := w.next(5)[p.Reference()]; u.Kind != types.ObjectUpdateKindEnter {
		t.Errorf("new pool: %+v", u)
	}
	f, err := l.vmFolder().CreateFolder(l.ctx, "f")
	must(t, err)
	if u := w.next(5)[f.Reference()]; u.Kind != types.ObjectUpdateKindEnter {
		t.Errorf("new folder: %+v", u)
	}
	pg := l.group("pg", 20)
	w.settle(func() bool { return w.known[pg.Self] })
	vm := l.vm("v", l.card(pg, 1184))
	w.settle(func() bool { return w.known[vm.Reference()] })
	l.wait(vm.Destroy(l.ctx))
	w.settle(func() bool { return !w.known[vm.Reference()] })
	l.wait(f.Destroy(l.ctx))
	w.settle(func() bool { return !w.known[f.Reference()] })
	l.wait(p.Destroy(l.ctx))
	w.settle(func() bool { return !w.known[p.Reference()] })
}

// settle takes answers until the watcher knows what it waits for.
func (w *watcher) settle(ok func() bool) {
	w.t.Helper()
	w.until(func(map[types.ManagedObjectReference]types.ObjectUpdate) bool { return ok() })
}

// until takes answers until one, or what came before it, is enough.
func (w *watcher) until(enough func(map[types.ManagedObjectReference]types.ObjectUpdate) bool) {
	w.t.Helper()
	var updates map[types.ManagedObjectReference]types.ObjectUpdate
	for range 20 {
		if enough(updates) {
			return
		}
		updates = w.next(5)
	}
	w.t.Error("no update says so")
}

func TestVersionsAreReal(t *testing.T) {
	l := newLab(t)
	w := l.watch([]string{"Folder"}, names("Folder"))
	first, err := w.call("", 0)
	must(t, err)
	for _, bogus := range []string{"77", "x", "-"} {
		_, err = w.call(bogus, 0)
		wantSoap[types.InvalidCollectorVersion](t, err)
	}
	if set, err := w.call(first.Version, 0); err != nil || set != nil {
		t.Errorf("nothing has changed: %+v %v", set, err)
	}
	f, err := l.vmFolder().CreateFolder(l.ctx, "f")
	must(t, err)
	second, err := w.call(first.Version, 5)
	must(t, err)
	again, err := w.call(first.Version, 0) // the answer was lost
	must(t, err)
	if again.Version != second.Version || again.FilterSet[0].ObjectSet[0].Obj != f.Reference() {
		t.Errorf("%+v, then %+v", second, again)
	}
	over, err := w.call("", 0)
	must(t, err)
	// A view does not hold its own root.
	if n := len(over.FilterSet[0].ObjectSet); n != len(l.sim.registry().All("Folder"))-1 {
		t.Errorf("starting over gives %d folders", n)
	}
}

func TestAnswersArePagedAndTruncated(t *testing.T) {
	l := newLab(t)
	w := l.watch([]string{"Folder"}, names("Folder"))
	for i := range 150 {
		_, err := l.vmFolder().CreateFolder(l.ctx, string(rune('a'+i/26))+string(rune('a'+i%26)))
		must(t, err)
	}
	set, err := w.call("", 0)
	must(t, err)
	if len(set.FilterSet[0].ObjectSet) != maxUpdates || set.Truncated == nil || !*set.Truncated {
		t.Fatalf("%d objects", len(set.FilterSet[0].ObjectSet))
	}
	w.next(0)
	if len(w.known) < 150 {
		t.Errorf("%d in all", len(w.known))
	}
}

func TestAFilterAddedDuringAWaitTakesPart(t *testing.T) {
	l := newLab(t)
	w := l.watch([]string{"Folder"}, names("Folder"))
	w.next(0)
	got := make(chan map[types.ManagedObjectReference]types.ObjectUpdate)
	go func() { got <- w.next(20) }()
	v, err := view.NewManager(l.client.Client).CreateContainerView(l.ctx, l.client.ServiceContent.RootFolder, []string{"Datastore"}, true)
	must(t, err)
	(&watcher{lab: l, pc: w.pc}).filter(v.Reference(), names("Datastore"))
	if updates := <-got; len(updates) != 1 {
		t.Errorf("%d updates", len(updates))
	}
}

func TestTasksAreFollowedThroughAListView(t *testing.T) {
	l := newLab(t)
	w := l.watch([]string{"Folder"}, names("Folder"))
	w.next(0)
	list, err := view.NewManager(l.client.Client).CreateListView(l.ctx, nil)
	must(t, err)
	w.filter(list.Reference(), types.PropertySpec{Type: "Task", PathSet: []string{"info.state", "info.error", "info.result"}})
	vm := l.vm("v")
	task, err := vm.PowerOn(l.ctx)
	must(t, err)
	_, err = list.Add(l.ctx, []types.ManagedObjectReference{task.Reference()})
	must(t, err)
	state := types.TaskInfoState("")
	w.until(func(updates map[types.ManagedObjectReference]types.ObjectUpdate) bool {
		for _, c := range updates[task.Reference()].ChangeSet {
			if s, ok := c.Val.(types.TaskInfoState); ok {
				state = s
			}
		}
		return state == types.TaskInfoStateSuccess
	})
}

func TestAnExpiredSessionEndsItsWaits(t *testing.T) {
	l := newLab(t)
	w := l.watch([]string{"Folder"}, names("Folder"))
	w.next(0)
	got := make(chan error)
	go func() {
		_, err := w.call(w.version, 600)
		got <- err
	}()
	l.eventually("the wait runs", func() bool {
		c, ok := l.sim.sessions.find(l.key()).Get(w.pc).(*Collector)
		if !ok || c.waiting.TryLock() {
			if ok {
				c.waiting.Unlock()
			}
			return false
		}
		return true
	})
	l.post("POST", "/sessions/expire", expireRequest{User: operatorUser}, nil)
	wantSoap[types.NotAuthenticated](t, <-got)
	_, err := w.call(w.version, 0)
	wantSoap[types.NotAuthenticated](t, err)
}

func TestTheSecretOfAMachineIsNeverTold(t *testing.T) {
	l := newLab(t)
	w := l.watch([]string{"VirtualMachine"}, types.PropertySpec{Type: "VirtualMachine", PathSet: []string{"config.extraConfig"}})
	w.next(0)
	vm := l.vm("v")
	l.wait(vm.Reconfigure(l.ctx, types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{
		&types.OptionValue{Key: secretKey, Value: "s3cret"}, &types.OptionValue{Key: "guestinfo.a", Value: "1"}}}))
	told := false
	w.until(func(updates map[types.ManagedObjectReference]types.ObjectUpdate) bool {
		for _, c := range updates[vm.Reference()].ChangeSet {
			list, ok := c.Val.(types.ArrayOfOptionValue)
			for _, v := range list.OptionValue {
				told = told || ok && v.GetOptionValue().Key == "guestinfo.a"
				if v.GetOptionValue().Key == secretKey {
					t.Error("guestinfo.ovfEnv was told")
				}
			}
		}
		return told
	})
	if d := l.sim.dump(); d.VMs[0].ExtraConfig[secretKey] != "s3cret" {
		t.Error("the dump should show it")
	}
}

func TestAFilterMustNameRealProperties(t *testing.T) {
	l := newLab(t)
	for path, valid := range map[string]bool{
		"name": true, "config.extraConfig": true, "runtime.powerState": true, "config.hardware.device": true, "customValue": true,
		`config.extraConfig["guestinfo.a"]`: true, "nam": false, "config.extra": false, "config..name": false,
	} {
		_, err := methods.CreateFilter(l.ctx, l.client.Client, &types.CreateFilter{
			This: l.client.ServiceContent.PropertyCollector,
			Spec: types.PropertyFilterSpec{PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{path}}}}})
		if valid {
			must(t, err)
		} else {
			wantSoap[types.InvalidProperty](t, err)
		}
	}
}
