//! For tests: the VCH that vic-machine 1.5.8 made, as this crate would wish for it.

use std::collections::BTreeMap;

use guestinfo::{Map, Placement, TrustLevel};
use vsphere::{ConnectionState, DatastorePath, Moref, NicBacking, PowerState, Vm};

use super::{
    Attachment, BootImages, BridgeSpec, ContainerSpec, EndpointSpec, Fixed, Login, Options, RoleSpec,
    VolumePlace, VolumeSpec,
};
use crate::images::{Publisher, StoredImage};

pub(crate) struct Golden {
    pub(crate) complete: Map,
    pub(crate) at_birth: Map,
    pub(crate) guest_written: Map,
}

pub(crate) fn golden() -> Golden {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../guestinfo/tests/fixtures/vch.json")).unwrap();
    let map =
        |name: &str| -> BTreeMap<String, String> { serde_json::from_value(file[name].clone()).unwrap() };
    Golden {
        complete: map("extraConfig"),
        at_birth: map("extraConfigAtCreateVM"),
        guest_written: map("guestWritten"),
    }
}

pub(crate) fn attachment(key: &str) -> Attachment {
    Attachment {
        moref: format!("DistributedVirtualPortgroup:{key}"),
        backing: NicBacking::PortGroup {
            key: key.to_owned(),
            switch_uuid: "a86ec114".to_owned(),
        },
    }
}

fn role() -> RoleSpec {
    RoleSpec {
        attachment: attachment("dvportgroup-51"),
        fixed: Some(Fixed {
            address: [10, 66, 1, 50].into(),
            prefix: 24,
            gateway: Some([10, 66, 1, 1].into()),
        }),
        routes: Vec::new(),
        dns: vec![[10, 66, 0, 53].into()],
    }
}

pub(crate) fn spec() -> EndpointSpec {
    EndpointSpec {
        name: "vch1".to_owned(),
        cpus: 2,
        memory_mb: 4096,
        debug_level: 1,
        bridge: BridgeSpec {
            attachment: attachment("dvportgroup-49"),
            range: "172.16.0.0/12".parse().unwrap(),
            width: 16,
        },
        public: role(),
        client: role(),
        management: role(),
        containers: vec![ContainerSpec {
            alias: "app".to_owned(),
            moref: attachment("dvportgroup-53").moref,
            gateway: Some(([192, 168, 30, 1].into(), 24)),
            dns: vec![[10, 66, 0, 53].into()],
            pools: vec![([192, 168, 30, 10].into(), [192, 168, 30, 99].into())],
            trust: TrustLevel::Open,
        }],
        placement: Placement {
            target: "https://10.66.0.10".to_owned(),
            datacenter: "DC0".to_owned(),
            cluster: "/DC0/host/DC0_C0".to_owned(),
            pool: "/DC0/host/DC0_C0/Resources".to_owned(),
            image_datastore: "LocalDS_0".to_owned(),
        },
        login: Login {
            username: "administrator@vsphere.local".to_owned(),
            password: "Passw0rd!".to_owned(),
            thumbprint: "E7:B5:A6:EF:5B:BD:2B:75:13:E1:BD:3C:80:A6:A2:BA:65:F3:B9:84".to_owned(),
        },
        image_path: Some("vch1-images".to_owned()),
        volumes: vec![VolumeSpec {
            name: "default".to_owned(),
            place: VolumePlace::Directory(DatastorePath::new("LocalDS_0", "vch1-volumes")),
        }],
        options: Options::default(),
    }
}

pub(crate) fn image(path: &str) -> StoredImage {
    StoredImage {
        path: DatastorePath::new("LocalDS_0", path),
        publisher: Publisher::from_text("V1.5.8-21000-2C978FE").unwrap(),
    }
}

pub(crate) fn boot() -> BootImages {
    BootImages {
        appliance: image("vch1/V1.5.8-21000-2C978FE-appliance.iso"),
        bootstrap: image("vch1/V1.5.8-21000-2C978FE-bootstrap.iso"),
    }
}

pub(crate) fn pool() -> Moref {
    Moref::new("ResourcePool", "resgroup-60")
}

/// A VM without devices, in the directory `vch1`.
pub(crate) fn vm(id: &str, extra_config: &[(&str, &str)]) -> Vm {
    Vm {
        moref: Moref::new("VirtualMachine", id),
        name: "vch1".to_owned(),
        parent: None,
        pool: None,
        host: None,
        power: PowerState::On,
        connection_state: ConnectionState::Connected,
        extra_config: extra_config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        guest_ip: None,
        tools_running: true,
        instance_uuid: String::new(),
        uuid: "4213".to_owned(),
        vm_path: "[LocalDS_0] vch1/vch1.vmx".to_owned(),
        num_cpus: 2,
        memory_mb: 4096,
        alternate_guest_name: String::new(),
        nics: Vec::new(),
        cdrom: None,
        devices: Vec::new(),
        networks: Vec::new(),
        datastores: Vec::new(),
    }
}
