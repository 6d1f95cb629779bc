package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// CreateFolder is govmomi's, with the parent's list told to everyone.
func (o *overrides) CreateFolder(ctx *simulator.Context, req *types.CreateFolder) soap.HasFault {
	f, ok := ctx.Map.Get(req.This).(*simulator.Folder)
	if !ok {
		return &methods.CreateFolderBody{Fault_: notSupported(req.This, "CreateFolder")}
	}
	if req.Name == "" || len(req.Name) > maxName {
		return &methods.CreateFolderBody{Fault_: fault(&types.InvalidName{Name: req.Name})}
	}
	var reply soap.HasFault
	ctx.WithLock(f, func() { reply = f.CreateFolder(ctx, req) })
	if body, ok := reply.(*methods.CreateFolderBody); ok && body.Res != nil {
		ref := body.Res.Returnval
		if e, ok := ctx.Map.Get(ref).(mo.Entity); ok {
			ctx.WithLock(e, func() { e.Entity().AvailableField = simulator.GetCustomFieldsAvailable(ctx, &ref) })
		}
		o.sim.hub.touch(req.This, ref)
	}
	return reply
}

// RenameTask renames any entity; a sibling's name is a DuplicateName.
func (o *overrides) RenameTask(ctx *simulator.Context, req *types.Rename_Task) soap.HasFault {
	internal := own(ctx)
	return o.task(ctx, "Rename_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		if pg, ok := c.Map.Get(req.This).(*simulator.DistributedVirtualPortgroup); ok {
			if isNSX(pg) && !internal {
				return nil, &types.NotSupported{}
			}
			if escapeName(req.NewName) == pg.Name {
				return nil, nil
			}
			if f := o.renameNetwork(c, pg, escapeName(req.NewName)); f != nil {
				return nil, f
			}
			config := pg.Config
			config.ConfigVersion = nextVersion(config.ConfigVersion)
			c.Update(pg, []types.PropertyChange{{Name: "config", Val: config}})
			return nil, nil
		}
		return nil, o.renameEntity(c, req.This, req.NewName)
	})
}

// siblings are the other children of an entity's parent.
func siblings(ctx *simulator.Context, e mo.Entity) []moref {
	if e.Entity().Parent == nil {
		return nil
	}
	parent := ctx.Map.Get(*e.Entity().Parent)
	var all []moref
	if f, ok := parent.(*simulator.Folder); ok {
		all = f.ChildEntity
	} else if p := poolOf(parent); p != nil {
		all = p.ResourcePool
	}
	return without(all, e.Reference())
}

func (o *overrides) renameEntity(ctx *simulator.Context, ref moref, name string) types.BaseMethodFault {
	e, ok := ctx.Map.Get(ref).(mo.Entity)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	name = escapeName(name)
	if name == "" || len(name) > maxName {
		return &types.InvalidName{Name: name}
	}
	if dup := ctx.Map.FindByName(name, siblings(ctx, e)); dup != nil {
		return &types.DuplicateName{Name: name, Object: dup.Reference()}
	}
	changes := []types.PropertyChange{{Name: "name", Val: name}}
	if vm, ok := e.(*simulator.VirtualMachine); ok {
		changes = append(changes,
			types.PropertyChange{Name: "config.name", Val: name},
			types.PropertyChange{Name: "summary.config.name", Val: name})
		_ = vm
	}
	if p := poolOf(e); p != nil && p.Summary != nil {
		summary := *p.Summary.GetResourcePoolSummary()
		summary.Name = name
		p.Summary = &summary
	}
	set(ctx, e, changes...)
	return nil
}

// DestroyTask destroys by the kind of the object.
func (o *overrides) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	internal := own(ctx)
	if f := o.disabled(ctx, req.This, "Destroy_Task"); f != nil {
		return &methods.Destroy_TaskBody{Fault_: f}
	}
	return o.task(ctx, "Destroy_Task", req.This, func(c *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		switch x := c.Map.Get(req.This).(type) {
		case *simulator.VirtualMachine:
			return nil, o.destroyVM(c, x)
		case *simulator.ResourcePool:
			return nil, o.destroyPool(c, x)
		case *simulator.DistributedVirtualPortgroup:
			return nil, o.destroyGroup(c, x, internal)
		case *simulator.Folder:
			return nil, o.destroyFolder(c, x)
		case *simulator.VirtualApp:
			return nil, o.destroyVApp(c, x)
		case nil:
			return nil, &types.ManagedObjectNotFound{Obj: req.This}
		}
		return nil, &types.NotSupported{}
	})
}

// destroyFolder refuses a folder with anything in it. A vCenter would destroy
// the children too; whoever relies on that loses what others put there.
func (o *overrides) destroyFolder(ctx *simulator.Context, f *simulator.Folder) types.BaseMethodFault {
	if len(f.ChildEntity) > 0 {
		return &types.ResourceInUse{Type: f.Self.Type, Name: f.Name}
	}
	parent, ok := ctx.Map.Get(*f.Parent).(*simulator.Folder)
	if !ok {
		return &types.NotSupported{} // a datacenter's own folders
	}
	ctx.WithLock(parent, func() {
		ctx.Update(parent, []types.PropertyChange{{Name: "childEntity", Val: without(parent.ChildEntity, f.Self)}})
	})
	ctx.Map.Remove(ctx, f.Self)
	return nil
}

// destroyVApp refuses a vApp with children, as destroyFolder does.
func (o *overrides) destroyVApp(ctx *simulator.Context, a *simulator.VirtualApp) types.BaseMethodFault {
	if len(a.Vm) > 0 || len(a.ResourcePool.ResourcePool) > 0 {
		return &types.ResourceInUse{Type: a.Self.Type, Name: a.Name}
	}
	if p := poolOf(ctx.Map.Get(*a.Parent)); p != nil {
		parent := ctx.Map.Get(*a.Parent)
		set(ctx, parent, types.PropertyChange{Name: "resourcePool", Val: without(p.ResourcePool, a.Self)})
	}
	ctx.Map.Remove(ctx, a.Self)
	return nil
}

// AddCustomFieldDef is govmomi's, with the type that every field has; the field list is told to everyone.
func (o *overrides) AddCustomFieldDef(ctx *simulator.Context, req *types.AddCustomFieldDef) soap.HasFault {
	m := ctx.Map.CustomFieldsManager()
	var reply soap.HasFault
	ctx.WithLock(m, func() { reply = m.AddCustomFieldDef(ctx, req) })
	body, ok := reply.(*methods.AddCustomFieldDefBody)
	if !ok || body.Res == nil {
		return reply
	}
	body.Res.Returnval.Type = "string"
	ctx.WithLock(m, func() { typed(m.Field) })
	for _, e := range ctx.Map.All(req.MoType) {
		entity := e.Entity()
		ctx.WithLock(entity, func() { typed(entity.AvailableField) })
	}
	o.sim.hub.touch(m.Self)
	return reply
}

// typed gives fields their type: text, as vCenter has no other. govmomi puts the objects' type there.
func typed(fields []types.CustomFieldDef) {
	for i := range fields {
		fields[i].Type = "string"
	}
}

// RemoveCustomFieldDef is govmomi's; what carried the field is told to everyone.
func (o *overrides) RemoveCustomFieldDef(ctx *simulator.Context, req *types.RemoveCustomFieldDef) soap.HasFault {
	m := ctx.Map.CustomFieldsManager()
	var reply soap.HasFault
	ctx.WithLock(m, func() { reply = m.RemoveCustomFieldDef(ctx, req) })
	refs := []moref{m.Self}
	for _, e := range ctx.Map.All("") {
		refs = append(refs, e.Reference())
	}
	o.sim.hub.touch(refs...)
	return reply
}

// SetField sets a custom value and emits the update that govmomi's simulator forgets.
func (o *overrides) SetField(ctx *simulator.Context, req *types.SetField) soap.HasFault {
	body := &methods.SetFieldBody{}
	e, ok := ctx.Map.Get(req.Entity).(mo.Entity)
	if !ok {
		body.Fault_ = fault(&types.ManagedObjectNotFound{Obj: req.Entity})
		return body
	}
	known := false
	for _, d := range ctx.Map.CustomFieldsManager().Field {
		known = known || d.Key == req.Key && (d.ManagedObjectType == "" || d.ManagedObjectType == req.Entity.Type)
	}
	if !known {
		body.Fault_ = fault(&types.InvalidArgument{InvalidProperty: "key"})
		return body
	}
	ctx.WithLock(e, func() {
		values := []types.BaseCustomFieldValue{}
		for _, v := range e.Entity().CustomValue {
			if v.GetCustomFieldValue().Key != req.Key {
				values = append(values, v)
			}
		}
		values = append(values, &types.CustomFieldStringValue{
			CustomFieldValue: types.CustomFieldValue{Key: req.Key}, Value: req.Value})
		e.Entity().CustomValue, e.Entity().Value = values, values
	})
	o.sim.hub.touch(req.Entity)
	body.Res = &types.SetFieldResponse{}
	return body
}
