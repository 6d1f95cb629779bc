package main

import (
	"log"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// keptTasks is how many finished tasks stay readable, as a vCenter keeps them a while.
const keptTasks = 2000

// work is what a task does; its context is the task's own.
type work func(*simulator.Context) (types.AnyType, types.BaseMethodFault)

// answers makes each task method's reply.
var answers = map[string]func(moref) soap.HasFault{
	"AddDVPortgroup_Task": func(r moref) soap.HasFault {
		return &methods.AddDVPortgroup_TaskBody{Res: &types.AddDVPortgroup_TaskResponse{Returnval: r}}
	},
	"CopyDatastoreFile_Task": func(r moref) soap.HasFault {
		return &methods.CopyDatastoreFile_TaskBody{Res: &types.CopyDatastoreFile_TaskResponse{Returnval: r}}
	},
	"CreateVM_Task": func(r moref) soap.HasFault {
		return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: r}}
	},
	"CreateChildVM_Task": func(r moref) soap.HasFault {
		return &methods.CreateChildVM_TaskBody{Res: &types.CreateChildVM_TaskResponse{Returnval: r}}
	},
	"DeleteDatastoreFile_Task": func(r moref) soap.HasFault {
		return &methods.DeleteDatastoreFile_TaskBody{Res: &types.DeleteDatastoreFile_TaskResponse{Returnval: r}}
	},
	"Destroy_Task": func(r moref) soap.HasFault {
		return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: r}}
	},
	"MoveDatastoreFile_Task": func(r moref) soap.HasFault {
		return &methods.MoveDatastoreFile_TaskBody{Res: &types.MoveDatastoreFile_TaskResponse{Returnval: r}}
	},
	"PowerOffVM_Task": func(r moref) soap.HasFault {
		return &methods.PowerOffVM_TaskBody{Res: &types.PowerOffVM_TaskResponse{Returnval: r}}
	},
	"PowerOnMultiVM_Task": func(r moref) soap.HasFault {
		return &methods.PowerOnMultiVM_TaskBody{Res: &types.PowerOnMultiVM_TaskResponse{Returnval: r}}
	},
	"PowerOnVM_Task": func(r moref) soap.HasFault {
		return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: r}}
	},
	"ReconfigVM_Task": func(r moref) soap.HasFault {
		return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: r}}
	},
	"ReconfigureDVPortgroup_Task": func(r moref) soap.HasFault {
		return &methods.ReconfigureDVPortgroup_TaskBody{Res: &types.ReconfigureDVPortgroup_TaskResponse{Returnval: r}}
	},
	"Rename_Task": func(r moref) soap.HasFault {
		return &methods.Rename_TaskBody{Res: &types.Rename_TaskResponse{Returnval: r}}
	},
	"SearchDatastore_Task": func(r moref) soap.HasFault {
		return &methods.SearchDatastore_TaskBody{Res: &types.SearchDatastore_TaskResponse{Returnval: r}}
	},
	"SearchDatastoreSubFolders_Task": func(r moref) soap.HasFault {
		return &methods.SearchDatastoreSubFolders_TaskBody{Res: &types.SearchDatastoreSubFolders_TaskResponse{Returnval: r}}
	},
}

// task starts work on an entity and returns the method's reply at once. Faults
// and delays of the control port apply to the work of outside sessions only.
func (o *overrides) task(ctx *simulator.Context, method string, entity moref, run work) soap.HasFault {
	user := ""
	if !own(ctx) {
		user = ctx.Session.UserName
	}
	return answers[method](o.start(ctx, method, user, entity, run))
}

func (o *overrides) start(ctx *simulator.Context, method, user string, entity moref, run work) moref {
	t := simulator.CreateTask(entity, method[:len(method)-len("_Task")]+"Task", nil)
	t.Info.Reason = &types.TaskReasonUser{UserName: user}
	if e, ok := ctx.Map.Get(entity).(mo.Entity); ok {
		t.Info.EntityName = entityName(e)
	}
	ctx.Map.Put(t)
	c := *ctx
	set(&c, t,
		types.PropertyChange{Name: "info.key", Val: t.Self.Value},
		types.PropertyChange{Name: "info.task", Val: t.Self},
		types.PropertyChange{Name: "info.startTime", Val: time.Now()},
		types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateRunning})
	var inject taskFault
	if user != "" {
		inject = o.sim.faults.task(method, entity.Type+":"+entity.Value, user)
	}
	o.sim.spawn(func() {
		if !o.sim.sleep(o.sim.tune.taskDelay() + inject.delay) {
			return
		}
		var res types.AnyType
		var err types.BaseMethodFault
		if inject.fault != nil && !inject.after {
			err = inject.fault
		} else {
			res, err = o.perform(&c, entity, run)
		}
		if inject.fault != nil && inject.after && err == nil {
			res, err = nil, inject.fault
		}
		o.end(&c, t, res, err)
	})
	return t.Self
}

// perform runs the work under the entity's lock; a panic of the simulator becomes a fault.
func (o *overrides) perform(ctx *simulator.Context, entity moref, run work) (res types.AnyType, err types.BaseMethodFault) {
	unlock := ctx.Map.AcquireLock(ctx, entity)
	defer unlock()
	defer func() {
		if p := recover(); p != nil {
			log.Printf("task on %s: %v\n%s", entity, p, debug.Stack())
			err = &types.SystemError{Reason: "simulator: see its log"}
		}
	}()
	return run(ctx)
}

func (o *overrides) end(ctx *simulator.Context, t *simulator.Task, res types.AnyType, err types.BaseMethodFault) {
	changes := []types.PropertyChange{{Name: "info.completeTime", Val: time.Now()}}
	if err != nil {
		changes = append(changes,
			types.PropertyChange{Name: "info.error", Val: types.LocalizedMethodFault{
				Fault: err, LocalizedMessage: faultText(err)}},
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateError})
	} else {
		changes = append(changes,
			types.PropertyChange{Name: "info.result", Val: res},
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateSuccess})
	}
	set(ctx, t, changes...)
	o.forget(ctx, t.Self)
}

// forget drops the oldest finished tasks.
func (o *overrides) forget(ctx *simulator.Context, ref moref) {
	o.mu.Lock()
	o.finished = append(o.finished, ref)
	var old moref
	if len(o.finished) > keptTasks {
		old, o.finished = o.finished[0], o.finished[1:]
	}
	o.mu.Unlock()
	if old.Value != "" {
		ctx.Map.Remove(ctx, old)
	}
}

// inner runs a task method of govmomi's simulator within ours and takes its outcome.
func (o *overrides) inner(ctx *simulator.Context, reply soap.HasFault) (types.AnyType, types.BaseMethodFault) {
	if f := reply.Fault(); f != nil {
		if m, ok := f.VimFault().(types.BaseMethodFault); ok {
			return nil, m
		}
		return nil, &types.SystemError{Reason: f.String}
	}
	ref := taskOf(reply)
	t, ok := ctx.Map.Get(ref).(*simulator.Task)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: ref}
	}
	select {
	case <-o.sim.hub.ended(ref):
	case <-o.sim.ctx.Done():
		return nil, &types.RequestCanceled{}
	}
	var res types.AnyType
	var err types.BaseMethodFault
	c := *ctx
	c.Map.WithLock(&c, t, func() {
		res = t.Info.Result
		if t.Info.Error != nil {
			err = t.Info.Error.Fault
		}
	})
	c.Map.Remove(&c, ref)
	return res, err
}

func faultText(f types.BaseMethodFault) string {
	name := reflect.TypeOf(f).Elem().Name()
	switch x := f.(type) {
	case *types.DuplicateName:
		return "The name '" + x.Name + "' already exists."
	case *types.InvalidArgument:
		return "A specified parameter was not correct: " + x.InvalidProperty
	case *types.ResourceInUse:
		return "The resource '" + x.Name + "' is in use."
	case *types.FileNotFound:
		return "File " + x.File + " was not found"
	case *types.ConcurrentAccess:
		return "The operation cannot be allowed at the current time because the specification of the object is out of date."
	}
	return name
}

// taskOf is the task in a task method's reply.
func taskOf(reply soap.HasFault) moref {
	ref, _ := reflect.ValueOf(reply).Elem().FieldByName("Res").Elem().FieldByName("Returnval").Interface().(moref)
	return ref
}
