//! Which objects and properties the mirror and the task hub ask for.

use crate::moref::Moref;
use crate::xml::Writer;

/// Properties by type. A type that another one inherits from comes first and names no property that
/// the heir leaves out: whether a server takes the union, the last or the closest fit, the result
/// is the same.
const INVENTORY: &[(&str, &[&str])] = &[
    (
        "Datacenter",
        &[
            "name",
            "parent",
            "vmFolder",
            "hostFolder",
            "datastoreFolder",
            "networkFolder",
        ],
    ),
    ("Folder", &["name", "parent", "childEntity", "customValue"]),
    (
        "ComputeResource",
        &["name", "parent", "resourcePool", "host", "datastore", "network"],
    ),
    (
        "ClusterComputeResource",
        &[
            "name",
            "parent",
            "resourcePool",
            "host",
            "datastore",
            "network",
            "configurationEx",
        ],
    ),
    (
        "HostSystem",
        &[
            "name",
            "parent",
            "runtime.connectionState",
            "runtime.inMaintenanceMode",
        ],
    ),
    (
        "Datastore",
        &[
            "name",
            "parent",
            "summary.accessible",
            "summary.freeSpace",
            "summary.capacity",
            "host",
            "browser",
        ],
    ),
    ("Network", &["name", "parent", "vm"]),
    ("OpaqueNetwork", &["name", "parent", "vm", "summary"]),
    (
        "DistributedVirtualPortgroup",
        &["name", "parent", "vm", "key", "config"],
    ),
    (
        "DistributedVirtualSwitch",
        &["name", "parent", "uuid", "portgroup", "summary.hostMember"],
    ),
    (
        "ResourcePool",
        &[
            "name",
            "parent",
            "owner",
            "config.cpuAllocation",
            "config.memoryAllocation",
            "vm",
            "resourcePool",
            "customValue",
        ],
    ),
    (
        "VirtualMachine",
        &[
            "name",
            "parent",
            "resourcePool",
            "runtime.host",
            "runtime.powerState",
            "runtime.connectionState",
            "config.extraConfig",
            "config.instanceUuid",
            "config.uuid",
            "config.files.vmPathName",
            "config.hardware.numCPU",
            "config.hardware.memoryMB",
            "config.hardware.device",
            "config.alternateGuestName",
            "guest.ipAddress",
            "guest.net",
            "guest.toolsRunningStatus",
            "network",
            "datastore",
        ],
    ),
    ("CustomFieldsManager", &["field"]),
];

/// Properties of a task that tell how it ended.
const TASK: &[&str] = &["info.state", "info.error", "info.result"];

/// A step from objects of a type through a property: name, type, property, and the steps from there.
type Step = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// All steps below a datacenter. VMs in a vApp lie in no folder, so vApps are followed to their VMs.
const STEPS: &[Step] = &[
    ("datacenterVm", "Datacenter", "vmFolder", &["folderChild"]),
    ("datacenterHost", "Datacenter", "hostFolder", &["folderChild"]),
    (
        "datacenterDatastore",
        "Datacenter",
        "datastoreFolder",
        &["folderChild"],
    ),
    (
        "datacenterNetwork",
        "Datacenter",
        "networkFolder",
        &["folderChild"],
    ),
    (
        "folderChild",
        "Folder",
        "childEntity",
        &["folderChild", "computePool", "computeHost", "vAppVm"],
    ),
    (
        "computePool",
        "ComputeResource",
        "resourcePool",
        &["poolPool", "vAppVm"],
    ),
    ("computeHost", "ComputeResource", "host", &[]),
    (
        "poolPool",
        "ResourcePool",
        "resourcePool",
        &["poolPool", "vAppVm"],
    ),
    ("vAppVm", "VirtualApp", "vm", &[]),
];

/// The filter of the mirror: everything below the datacenter, and the definitions of custom attributes.
pub(crate) fn inventory(w: &mut Writer, datacenter: &Moref, custom_fields: &Moref) {
    w.element("spec", |w| {
        for (kind, paths) in INVENTORY {
            property_set(w, kind, paths);
        }
        w.element("objectSet", |w| {
            w.moref("obj", datacenter);
            w.value("skip", false);
            for step in STEPS {
                traversal(w, step);
            }
        });
        w.element("objectSet", |w| {
            w.moref("obj", custom_fields);
            w.value("skip", false);
        });
    });
    w.value("partialUpdates", false);
}

/// The filter of the task hub: how the tasks of a list view go.
pub(crate) fn tasks(w: &mut Writer, list_view: &Moref) {
    w.element("spec", |w| {
        property_set(w, "Task", TASK);
        w.element("objectSet", |w| {
            w.moref("obj", list_view);
            w.value("skip", true);
            traversal(w, &("viewTask", "ListView", "view", &[]));
        });
    });
    w.value("partialUpdates", false);
}

/// One read of what the mirror keeps of one object.
pub(crate) fn one(w: &mut Writer, object: &Moref) {
    w.element("specSet", |w| {
        let kind = closest(&object.kind);
        for (kind, paths) in INVENTORY.iter().filter(|(known, _)| *known == kind) {
            property_set(w, kind, paths);
        }
        w.element("objectSet", |w| {
            w.moref("obj", object);
            w.value("skip", false);
        });
    });
    w.element("options", |_| {});
}

/// One read of how a task ended.
pub(crate) fn task(w: &mut Writer, task: &Moref) {
    w.element("specSet", |w| {
        property_set(w, "Task", TASK);
        w.element("objectSet", |w| {
            w.moref("obj", task);
            w.value("skip", false);
        });
    });
    w.element("options", |_| {});
}

/// One read of the state and the originators of the tasks that vCenter remembers.
pub(crate) fn recent_tasks(w: &mut Writer, manager: &Moref) {
    w.element("specSet", |w| {
        property_set(w, "Task", &["info.reason", "info.state"]);
        w.element("objectSet", |w| {
            w.moref("obj", manager);
            w.value("skip", true);
            traversal(w, &("recentTask", "TaskManager", "recentTask", &[]));
        });
    });
    w.element("options", |_| {});
}

/// One read of all datacenters, and of the folders that lead to them.
pub(crate) fn datacenters(w: &mut Writer, root: &Moref) {
    w.element("specSet", |w| {
        property_set(w, "Folder", &["name", "parent"]);
        property_set(w, "Datacenter", &["name", "parent"]);
        w.element("objectSet", |w| {
            w.moref("obj", root);
            w.value("skip", false);
            traversal(w, &("folderChild", "Folder", "childEntity", &["folderChild"]));
        });
    });
    w.element("options", |_| {});
}

/// The type of the table that says most about an object's own type.
fn closest(kind: &str) -> &str {
    match kind {
        "VirtualApp" => "ResourcePool",
        "StoragePod" => "Folder",
        "VmwareDistributedVirtualSwitch" => "DistributedVirtualSwitch",
        own => own,
    }
}

fn property_set(w: &mut Writer, kind: &str, paths: &[&str]) {
    w.element("propSet", |w| {
        w.value("type", kind);
        w.value("all", false);
        for path in paths {
            w.value("pathSet", path);
        }
    });
}

fn traversal(w: &mut Writer, (name, kind, path, next): &Step) {
    w.typed("selectSet", "TraversalSpec", |w| {
        w.value("name", name);
        w.value("type", kind);
        w.value("path", path);
        w.value("skip", false);
        for step in *next {
            w.typed("selectSet", "SelectionSpec", |w| w.value("name", step));
        }
    });
}
