"""pyVmomi, the client of vSphere's makers, reads back what a vCenter holds.

    python vsphere.py --url URL --ca FILE --username NAME --password WORD

Walks the whole inventory from the root folder and every datastore, and reads all properties of what it finds: a value
that the makers' types do not have ends it. Prints `{"vms", "pools", "folders", "port_groups", "files", "fields"}`, in
the shape of the simulator's own dump as far as the API shows the same.
"""

import argparse
import json
import ssl
import sys
import urllib.parse

from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl


def connect(given):
    """A session that trusts the vCenter's own authority and nothing else."""
    url = urllib.parse.urlsplit(given.url)
    context = ssl.create_default_context(cafile=given.ca)
    return SmartConnect(host=url.hostname, port=url.port, user=given.username, pwd=given.password, sslContext=context)


class Inventory:
    """What the property collector tells of each object: every property, decoded by the makers' types."""

    def __init__(self, content):
        self.content = content
        self._known = {}

    def all_of(self, thing):
        """All properties that an object has by name; absent ones are not among them."""
        if thing._moId not in self._known:
            filters = vmodl.query.PropertyCollector.FilterSpec(
                propSet=[vmodl.query.PropertyCollector.PropertySpec(type=type(thing), all=True)],
                objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=thing)],
            )
            told = self.content.propertyCollector.RetrieveContents([filters])
            if len(told) != 1 or told[0].missingSet:
                raise LookupError(f"{moref(thing)}: {[missing.path for one in told for missing in one.missingSet]}")
            self._known[thing._moId] = {prop.name: prop.val for prop in told[0].propSet}
        return self._known[thing._moId]

    def get(self, thing, name, absent=None):
        """One property, or what stands for its absence."""
        return self.all_of(thing).get(name, absent)

    def below(self, thing):
        """What hangs below an object."""
        for kind, names in BELOW:
            if isinstance(thing, kind):
                for name in names:
                    told = self.get(thing, name, [])
                    yield from told if isinstance(told, list) else [told]
                return

    def walk(self, thing):
        """The object and everything below it."""
        yield thing
        for child in self.below(thing):
            yield from self.walk(child)

    def path_of(self, thing):
        """The inventory path, as the simulator tells it."""
        parts = []
        while self.get(thing, "parent") is not None:
            parts.insert(0, self.get(thing, "name"))
            thing = self.get(thing, "parent")
        return "/" + "/".join(parts)


BELOW = [
    (vim.Folder, ["childEntity"]),
    (vim.Datacenter, ["vmFolder", "hostFolder", "networkFolder", "datastoreFolder"]),
    (vim.ComputeResource, ["resourcePool", "host"]),
    (vim.VirtualApp, ["resourcePool"]),
    (vim.ResourcePool, ["resourcePool"]),
]


def moref(thing):
    """Type and id."""
    return f"{type(thing).__name__.rsplit('.', 1)[-1]}:{thing._moId}"


class Reader:
    """Tells of objects in the shape of the simulator's dump."""

    def __init__(self, content):
        self.inventory = Inventory(content)
        fields = self.inventory.get(content.customFieldsManager, "field", [])
        self.names = {field.key: field.name for field in fields}

    def entity(self, thing):
        """What all entities have."""
        told = self.inventory.all_of(thing)
        marks = {self.names[value.key]: value.value for value in told.get("customValue", [])}
        return {"moref": moref(thing), "name": told["name"], "marks": marks, "properties": len(told)}

    def vm(self, vm):
        """A virtual machine."""
        told = self.inventory.all_of(vm)
        config, guest = told["config"], told.get("guest")
        return {
            **self.entity(vm),
            "folder": self.inventory.path_of(told["parent"]),
            "pool": self.inventory.path_of(told["resourcePool"]),
            "power": told["runtime"].powerState,
            "vm_path": config.files.vmPathName,
            "instance_uuid": config.instanceUuid,
            "num_cpus": config.hardware.numCPU,
            "memory_mb": config.hardware.memoryMB,
            "alternate_guest_name": config.alternateGuestName or "",
            "ip": (guest and guest.ipAddress) or "",
            "extra_config": {option.key: option.value for option in config.extraConfig},
            "devices": [device_of(device) for device in config.hardware.device],
        }

    def pool(self, pool):
        """A resource pool or vApp."""
        told = self.inventory.all_of(pool)
        return {
            **self.entity(pool),
            "path": self.inventory.path_of(pool),
            "vms": [moref(vm) for vm in told.get("vm", [])],
            "cpu": allocation_of(told["config"].cpuAllocation),
            "memory": allocation_of(told["config"].memoryAllocation),
        }

    def folder(self, folder):
        """A folder."""
        children = [moref(child) for child in self.inventory.get(folder, "childEntity", [])]
        return {**self.entity(folder), "path": self.inventory.path_of(folder), "children": children}

    def port_group(self, group):
        """A distributed port group."""
        told = self.inventory.all_of(group)
        config = told["config"]
        vlan = config.defaultPortConfig.vlan if config.defaultPortConfig else None
        has_id = isinstance(vlan, vim.dvs.VmwareDistributedVirtualSwitch.VlanIdSpec)
        return {
            **self.entity(group),
            "description": config.description or "",
            "config_version": config.configVersion,
            "num_ports": config.numPorts,
            "backing": config.backingType or "",
            "logical_switch": config.logicalSwitchUuid or "",
            "vms": [moref(vm) for vm in told.get("vm", [])],
            "vlan": str(vlan.vlanId) if has_id else "",
        }

    def files(self, datastore):
        """Files and directories of a datastore."""
        name = self.inventory.get(datastore, "name")
        flags = vim.host.DatastoreBrowser.FileInfo.Details(
            fileType=True, fileSize=True, modification=True, fileOwner=False
        )
        spec = vim.host.DatastoreBrowser.SearchSpec(details=flags)
        browser = self.inventory.get(datastore, "browser")
        for folder in result_of(browser.SearchDatastoreSubFolders_Task(f"[{name}]", spec)):
            inside = folder.folderPath.partition("]")[2].strip().strip("/")
            for file in folder.file:
                path = "/".join(part for part in (inside, file.path.strip("/")) if part)
                is_folder = isinstance(file, vim.host.DatastoreBrowser.FolderInfo)
                size = 0 if is_folder else (file.fileSize or 0)
                yield {"path": f"[{name}] {path}{'/' if is_folder else ''}", "size": size}


def device_of(device):
    """A virtual device."""
    told = {"type": type(device).__name__.rsplit(".", 1)[-1], "key": device.key}
    if isinstance(device, vim.vm.device.VirtualEthernetCard):
        told["mac"] = device.macAddress
        told["slot"] = device.slotInfo.pciSlotNumber if device.slotInfo else 0
    return told


def allocation_of(allocation):
    """Reservation, limit, whether it may grow, and shares."""
    shares = allocation.shares
    return [allocation.reservation, allocation.limit, allocation.expandableReservation, shares.level, shares.shares]


def result_of(task):
    """What a task yields."""
    WaitForTask(task)
    return task.info.result


def read(content):
    """Everything."""
    reader = Reader(content)
    told = {"vms": [], "pools": [], "folders": [], "port_groups": [], "files": []}
    for thing in reader.inventory.walk(content.rootFolder):
        if isinstance(thing, vim.VirtualMachine):
            told["vms"].append(reader.vm(thing))
        elif isinstance(thing, vim.ResourcePool):
            told["pools"].append(reader.pool(thing))
        elif isinstance(thing, vim.Folder):
            told["folders"].append(reader.folder(thing))
        elif isinstance(thing, vim.dvs.DistributedVirtualPortgroup):
            told["port_groups"].append(reader.port_group(thing))
        elif isinstance(thing, vim.Datastore):
            told["files"] += reader.files(thing)
        else:
            # Hosts, clusters and switches are not the operator's; their types are held to all the same.
            reader.inventory.all_of(thing)
    told["fields"] = sorted(reader.names.values())
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("url", "ca", "username", "password"):
        parser.add_argument(f"--{name}", required=True)
    session = connect(parser.parse_args())
    try:
        json.dump(read(session.RetrieveContent()), sys.stdout, indent=1)
    finally:
        Disconnect(session)
    return 0


if __name__ == "__main__":
    sys.exit(main())
