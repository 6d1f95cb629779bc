//! Objects from property values, in both prefix styles.

use super::*;
use crate::spec::{Allocation, Binding, NicBacking, Shares};

/// The same value with vCenter's prefix and with another.
fn values(xml: &str) -> [Node; 2] {
    ["xsi", "_XMLSchema-instance"].map(|prefix| {
        let xml = xml.replace("xsi:type", &format!("{prefix}:type"));
        let open = format!("<val xmlns:{prefix}=\"http://www.w3.org/2001/XMLSchema-instance\">{xml}</val>");
        Node::parse(&open).unwrap()
    })
}

fn filled<T: Mirrored>(kind: &str, properties: &[(&str, &str)]) -> T {
    let [one, other] = [0, 1].map(|style| {
        let mut object = T::empty(Moref::new(kind, "x-1"));
        for (path, xml) in properties {
            object.set(path, Some(&values(xml)[style]));
        }
        object
    });
    assert!(one == other, "prefixes must not matter");
    one
}

const MOREFS: &str = r#"<ManagedObjectReference type="VirtualMachine" xsi:type="ManagedObjectReference">vm-1</ManagedObjectReference>
<ManagedObjectReference type="VirtualMachine">vm-2</ManagedObjectReference>"#;

fn vlan(xml: &str) -> Vlan {
    let config = format!("<defaultPortConfig xsi:type=\"VMwareDVSPortSetting\">{xml}</defaultPortConfig>");
    filled::<PortGroup>("DistributedVirtualPortgroup", &[("config", &config)]).vlan
}

#[test]
fn vlans_of_all_kinds() {
    for (xml, expected) in [
        (
            r#"<vlan xsi:type="VmwareDistributedVirtualSwitchVlanIdSpec"><inherited>false</inherited><vlanId>101</vlanId></vlan>"#,
            Vlan::Id(101),
        ),
        (
            r#"<vlan xsi:type="VmwareDistributedVirtualSwitchTrunkVlanSpec"><inherited>false</inherited>
            <vlanId><start>0</start><end>10</end></vlanId><vlanId><start>20</start><end>4094</end></vlanId></vlan>"#,
            Vlan::Trunk(vec![(0, 10), (20, 4094)]),
        ),
        (
            r#"<vlan xsi:type="VmwareDistributedVirtualSwitchTrunkVlanSpec"/>"#,
            Vlan::Trunk(Vec::new()),
        ),
        (
            r#"<vlan xsi:type="VmwareDistributedVirtualSwitchPvlanSpec"><pvlanId>7</pvlanId></vlan>"#,
            Vlan::Private(7),
        ),
        (
            r#"<vlan xsi:type="VmwareDistributedVirtualSwitchVlanIdSpec"><vlanId>-1</vlanId></vlan>"#,
            Vlan::Unknown,
        ),
        (
            r#"<vlan xsi:type="VmwareDistributedVirtualSwitchTrunkVlanSpec"><vlanId><start>0</start></vlanId></vlan>"#,
            Vlan::Unknown,
        ),
        (
            r#"<vlan xsi:type="SomethingNew"><vlanId>5</vlanId></vlan>"#,
            Vlan::Unknown,
        ),
        ("", Vlan::Unknown),
    ] {
        assert_eq!(vlan(xml), expected, "{xml}");
    }
}

#[test]
fn a_port_group_of_nsx() {
    let group: PortGroup = filled(
        "DistributedVirtualPortgroup",
        &[
            ("name", "seg%2fment"),
            ("key", "dvportgroup-7"),
            ("vm", MOREFS),
            (
                "config",
                r#"<key>dvportgroup-7</key><numPorts>8</numPorts><distributedVirtualSwitch
                type="VmwareDistributedVirtualSwitch">dvs-1</distributedVirtualSwitch><description>d</description>
                <type>ephemeral</type><backingType>nsx</backingType><configVersion>12</configVersion>
                <uplink>false</uplink><logicalSwitchUuid>ls</logicalSwitchUuid><segmentId>/infra/segments/s</segmentId>"#,
            ),
        ],
    );
    assert_eq!(
        (group.name.as_str(), group.key.as_str()),
        ("seg/ment", "dvportgroup-7")
    );
    assert_eq!(
        group.switch,
        Some(Moref::new("VmwareDistributedVirtualSwitch", "dvs-1"))
    );
    assert_eq!(
        (group.backing, group.binding),
        (PortGroupBacking::Nsx, Binding::Ephemeral)
    );
    assert_eq!(group.logical_switch_uuid.as_deref(), Some("ls"));
    assert_eq!(group.segment_id.as_deref(), Some("/infra/segments/s"));
    assert_eq!(
        (group.config_version.as_str(), group.num_ports, group.uplink),
        ("12", 8, false)
    );
    assert_eq!(
        group.vms,
        [
            Moref::new("VirtualMachine", "vm-1"),
            Moref::new("VirtualMachine", "vm-2")
        ]
    );
}

#[test]
fn a_configuration_that_is_unset_leaves_nothing_behind() {
    let before: PortGroup = filled(
        "DistributedVirtualPortgroup",
        &[("config", "<description>d</description><numPorts>8</numPorts>")],
    );
    let mut after = before.clone();
    after.set("config", None);
    assert_eq!(after, PortGroup::empty(before.moref));
}

#[test]
fn networks_of_both_kinds() {
    let opaque: Network = filled(
        "OpaqueNetwork",
        &[(
            "summary",
            "<name>n</name><opaqueNetworkId>id</opaqueNetworkId><opaqueNetworkType>nsx.LogicalSwitch</opaqueNetworkType>",
        )],
    );
    let kind = NetworkKind::Opaque {
        id: "id".to_owned(),
        kind: "nsx.LogicalSwitch".to_owned(),
    };
    assert_eq!(opaque.kind, kind);
    let standard: Network = filled("Network", &[("summary", "<opaqueNetworkId>id</opaqueNetworkId>")]);
    assert_eq!(standard.kind, NetworkKind::Standard);
}

#[test]
fn limits_of_a_pool_are_kept_by_meaning() {
    let allocation = |level: &str, number: i32| {
        let xml = format!(
            "<reservation>5</reservation><expandableReservation>true</expandableReservation><limit>-1</limit>\
             <shares><shares>{number}</shares><level>{level}</level></shares>"
        );
        filled::<Pool>("ResourcePool", &[("config.cpuAllocation", &xml)])
            .config
            .cpu
    };
    let expected = |shares| Allocation {
        reservation: 5,
        limit: -1,
        expandable: true,
        shares,
    };
    assert_eq!(allocation("normal", 4000), allocation("normal", 0));
    for (level, shares) in [
        ("low", Shares::Low),
        ("normal", Shares::Normal),
        ("high", Shares::High),
        ("custom", Shares::Custom(77)),
    ] {
        assert_eq!(allocation(level, 77), expected(shares));
    }
}

#[test]
fn a_mark_is_the_value_of_our_definition() {
    let mut pool: Pool = filled(
        "ResourcePool",
        &[(
            "customValue",
            r#"<CustomFieldValue xsi:type="CustomFieldStringValue"><key>1</key><value>other</value></CustomFieldValue>
            <CustomFieldValue xsi:type="CustomFieldStringValue"><key>7</key><value>ours</value></CustomFieldValue>
            <CustomFieldValue xsi:type="CustomFieldStringValue"><key>8</key><value/></CustomFieldValue>"#,
        )],
    );
    for (key, mark) in [
        (None, None),
        (Some(7), Some("ours")),
        (Some(8), None),
        (Some(9), None),
    ] {
        pool.derive_mark(key);
        assert_eq!(pool.mark.as_deref(), mark, "{key:?}");
    }
}

#[test]
fn a_virtual_machine() {
    let vm: Vm = filled(
        "VirtualMachine",
        &[
            ("name", "vch1"),
            ("runtime.powerState", "poweredOn"),
            ("runtime.connectionState", "inaccessible"),
            ("guest.ipAddress", "10.20.0.10"),
            (
                "guest.net",
                "<GuestNicInfo><network>a</network><ipAddress>10.20.0.10</ipAddress><ipAddress>fe80::1</ipAddress></GuestNicInfo>\
                <GuestNicInfo/><GuestNicInfo><ipAddress>172.16.0.1</ipAddress></GuestNicInfo>",
            ),
            ("guest.toolsRunningStatus", "guestToolsRunning"),
            ("config.hardware.numCPU", "2"),
            ("config.hardware.memoryMB", "4096"),
            (
                "config.extraConfig",
                r#"<OptionValue xsi:type="OptionValue"><key>a</key><value xsi:type="xsd:string">1|2</value></OptionValue>
                <OptionValue><key>empty</key><value/></OptionValue><OptionValue><value>no key</value></OptionValue>"#,
            ),
            ("config.hardware.device", DEVICES),
        ],
    );
    assert_eq!(
        (vm.power, vm.connection_state),
        (PowerState::On, ConnectionState::Inaccessible)
    );
    assert_eq!(
        (vm.guest_ip.as_deref(), vm.tools_running),
        (Some("10.20.0.10"), true)
    );
    assert_eq!(vm.guest_addresses, ["10.20.0.10", "fe80::1", "172.16.0.1"]);
    assert_eq!((vm.num_cpus, vm.memory_mb), (2, 4096));
    let options: Vec<_> = vm
        .extra_config
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(options, [("a", "1|2"), ("empty", "")]);
    assert_eq!(vm.cdrom.as_deref(), Some("[ds] a.iso"));
    let key = "dvportgroup-1".to_owned();
    let nic = |key, slot, backing| Nic {
        key,
        slot,
        mac: "00:50:56:aa:bb:cc".to_owned(),
        backing,
    };
    assert_eq!(
        vm.nics,
        [
            nic(
                4000,
                Some(1184),
                Some(NicBacking::PortGroup {
                    key,
                    switch_uuid: "50 0f".to_owned()
                })
            ),
            nic(
                4001,
                None,
                Some(NicBacking::Standard {
                    name: "VM Network".to_owned()
                })
            ),
            nic(4002, None, None),
        ]
    );
    assert_eq!(vm.devices.len(), 6);
    assert_eq!(vm.device_key("VirtualIDEController"), Some(200));
    assert_eq!(vm.device_key("VirtualSerialPort"), None);
    let drive = vm
        .devices
        .iter()
        .find(|device| device.kind == "VirtualCdrom" && device.file.is_some())
        .unwrap();
    assert_eq!((drive.controller_key, drive.unit), (Some(200), Some(1)));
}

const DEVICES: &str = r#"
<VirtualDevice xsi:type="VirtualIDEController"><key>200</key><busNumber>0</busNumber></VirtualDevice>
<VirtualDevice xsi:type="VirtualCdrom"><key>3000</key><backing xsi:type="VirtualCdromAtapiBackingInfo">
 <deviceName>x</deviceName></backing><controllerKey>200</controllerKey><unitNumber>0</unitNumber></VirtualDevice>
<VirtualDevice xsi:type="VirtualCdrom"><key>3001</key><backing xsi:type="VirtualCdromIsoBackingInfo">
 <fileName>[ds] a.iso</fileName></backing><controllerKey>200</controllerKey><unitNumber>1</unitNumber></VirtualDevice>
<VirtualDevice xsi:type="VirtualVmxnet3"><key>4000</key><backing
 xsi:type="VirtualEthernetCardDistributedVirtualPortBackingInfo"><port><switchUuid>50 0f</switchUuid>
 <portgroupKey>dvportgroup-1</portgroupKey><portKey>9</portKey></port></backing>
 <slotInfo xsi:type="VirtualDevicePciBusSlotInfo"><pciSlotNumber>1184</pciSlotNumber></slotInfo>
 <macAddress>00:50:56:aa:bb:cc</macAddress></VirtualDevice>
<VirtualDevice xsi:type="VirtualE1000"><key>4001</key><backing xsi:type="VirtualEthernetCardNetworkBackingInfo">
 <deviceName>VM Network</deviceName></backing><macAddress>00:50:56:aa:bb:cc</macAddress></VirtualDevice>
<VirtualDevice xsi:type="VirtualE1000"><key>4002</key><backing xsi:type="SomethingNew"/>
 <macAddress>00:50:56:aa:bb:cc</macAddress></VirtualDevice>"#;

#[test]
fn what_a_vm_without_configuration_shows() {
    let mut vm = Vm::empty(Moref::new("VirtualMachine", "vm-1"));
    let before = vm.clone();
    for path in [
        "config.extraConfig",
        "config.hardware.device",
        "runtime.powerState",
        "guest.ipAddress",
        "guest.net",
        "unknown",
    ] {
        vm.set(path, None);
    }
    assert_eq!(vm, before);
}

#[test]
fn hosts_and_datastores() {
    let host: Host = filled(
        "HostSystem",
        &[
            ("runtime.connectionState", "connected"),
            ("runtime.inMaintenanceMode", "false"),
        ],
    );
    assert!(host.is_usable());
    for (path, value) in [
        ("runtime.connectionState", "notResponding"),
        ("runtime.inMaintenanceMode", "true"),
    ] {
        let mut host = host.clone();
        host.set(path, Some(&values(value)[0]));
        assert!(!host.is_usable(), "{path}");
    }
    let datastore: Datastore = filled(
        "Datastore",
        &[
            ("summary.accessible", "true"),
            ("summary.freeSpace", "3298534883328"),
            (
                "host",
                r#"<DatastoreHostMount><key type="HostSystem">host-1</key><mountInfo><path>/x</path></mountInfo>
                </DatastoreHostMount>"#,
            ),
        ],
    );
    assert!(datastore.accessible);
    assert_eq!(datastore.free, 3_298_534_883_328);
    assert_eq!(datastore.hosts, [Moref::new("HostSystem", "host-1")]);
}

#[test]
fn a_cluster_tells_whether_drs_is_on() {
    for (xml, drs) in [
        ("<drsConfig><enabled>true</enabled></drsConfig>", true),
        ("<drsConfig><enabled>false</enabled></drsConfig>", false),
        ("<dasConfig><enabled>true</enabled></dasConfig>", false),
    ] {
        let cluster: Cluster = filled("ClusterComputeResource", &[("configurationEx", xml)]);
        assert_eq!(cluster.drs, drs, "{xml}");
    }
}
