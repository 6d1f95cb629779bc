//! What the appliance's services need: vCenter, certificates, stores, container networks, registries.

use std::collections::BTreeMap;

use super::Network;
use crate::extraconfig::{Bytes, READ_ONLY, SECRET, Secret};
use crate::{Mask, NetAddress};

crate::record! {
    /// How the services inside log in to vCenter.
    pub struct Connection {
        /// `https://host`, without path and user.
        #[key("target", READ_ONLY)]
        pub target: String,
        /// The operations user.
        #[key("username", READ_ONLY)]
        pub username: String,
        /// Its password.
        #[key("token", SECRET)]
        pub token: Secret<String>,
        /// SHA-1 of vCenter's certificate, `AA:BB:..`.
        #[key("target_thumbprint", READ_ONLY)]
        pub target_thumbprint: String,
        /// Nanoseconds between keep-alive calls; 0.
        #[key("keepalive", READ_ONLY)]
        pub keepalive: i64,
    }
}

crate::record! {
    /// Certificates of the Docker endpoint.
    pub struct Certificates {
        /// The server's own; none without TLS.
        #[key("HostCertificate", READ_ONLY)]
        pub host_certificate: Option<HostCertificate>,
        /// PEM bundle that client certificates are verified with. If it is there, clients must have one.
        #[key("CertificateAuthorities", READ_ONLY)]
        pub certificate_authorities: Bytes,
        /// PEM bundle that registries are verified with.
        #[key("RegistryCertificateAuthorities", READ_ONLY)]
        pub registry_certificate_authorities: Bytes,
    }
}

crate::record! {
    /// A certificate with its key.
    pub struct HostCertificate {
        /// PEM of the private key.
        #[key("Key", SECRET)]
        pub key: Secret<Bytes>,
        /// PEM of the certificate.
        #[key("Cert")]
        pub cert: Bytes,
    }
}

crate::record! {
    /// Image and volume stores.
    pub struct Storage {
        /// Exactly one: see [`Url::image_store`].
        #[key("image_stores", READ_ONLY)]
        pub image_stores: Vec<Url>,
        /// Volume stores by label: see [`Url::volume_store`] and [`Url::nfs`].
        #[key("VolumeLocations", READ_ONLY)]
        pub volume_locations: BTreeMap<String, Url>,
        /// Size of a container's scratch disk in units of 1000 bytes; `8000000` by default.
        #[key("scratch_size", READ_ONLY)]
        pub scratch_size: i64,
        /// Bytes that images and containers may take, 0 for no limit.
        #[key("storage_quota", READ_ONLY)]
        pub storage_quota: i64,
    }
}

crate::record! {
    /// A URL, field by field as Go's `net/url` has it. User and password are never stored.
    pub struct Url {
        /// `ds` or `nfs`.
        #[key("Scheme")]
        pub scheme: String,
        /// Empty.
        #[key("Opaque")]
        pub opaque: String,
        /// Name of the datastore, or the NFS server.
        #[key("Host")]
        pub host: String,
        /// The path, unescaped.
        #[key("Path")]
        pub path: String,
        /// Empty, but where the escaped path is not the obvious one.
        #[key("RawPath")]
        pub raw_path: String,
        /// False.
        #[key("ForceQuery")]
        pub force_query: bool,
        /// Without `?`.
        #[key("RawQuery")]
        pub raw_query: String,
        /// Without `#`.
        #[key("Fragment")]
        pub fragment: String,
    }
}

impl Url {
    /// The image store in a folder of a datastore.
    #[must_use]
    pub fn image_store(datastore: &str, folder: &str) -> Self {
        Self::new("ds", datastore, folder)
    }

    /// A volume store in a directory of a datastore; its path is the text `[datastore] directory`.
    #[must_use]
    pub fn volume_store(datastore: &str, directory: &str) -> Self {
        Self::new("ds", datastore, &format!("[{datastore}] {directory}"))
    }

    /// A volume store on an NFS export; the query carries mount options (`uid=1&gid=2`).
    #[must_use]
    pub fn nfs(server: &str, export: &str, query: &str) -> Self {
        Self {
            raw_query: query.to_owned(),
            ..Self::new("nfs", server, export)
        }
    }

    fn new(scheme: &str, host: &str, path: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            ..Self::default()
        }
    }
}

crate::record! {
    /// Networks that containers may join.
    pub struct ContainerNetworking {
        /// Always `bridge`.
        #[key("bridge_network", READ_ONLY)]
        pub bridge_network: String,
        /// The networks by alias; `bridge` is always among them.
        #[key("container_networks", READ_ONLY)]
        pub container_networks: BTreeMap<String, Network>,
        /// Where the subnets of bridge networks are taken from (4 bytes: [`NetAddress::network`]).
        #[key("bridge-ip-range", READ_ONLY)]
        pub bridge_ip_range: NetAddress,
        /// The mask of each such subnet.
        #[key("bridge-net-width", READ_ONLY)]
        pub bridge_network_width: Option<Mask>,
    }
}

impl ContainerNetworking {
    /// Adds a network under its alias.
    pub fn add(&mut self, network: Network) {
        self.container_networks
            .insert(network.common.name.clone(), network);
    }
}

crate::record! {
    /// How container VMs are made.
    pub struct Containers {
        /// Where they are made; exactly one, the VCH's own pool (without DRS the cluster's root pool). If it
        /// is missing, `vic-machine delete` leaves pool and folder behind.
        #[key("ComputeResources", READ_ONLY)]
        pub compute_resources: Vec<MorefValue>,
        /// `[datastore] folder/<version>-bootstrap.iso`
        #[key("bootstrap_image_path", READ_ONLY)]
        pub bootstrap_image_path: String,
        /// How VMs are named, with `{id}` or `{name}`; empty for the default.
        #[key("ContainerNameConvention")]
        pub name_convention: String,
        /// Whether container VMs are put into a VM group.
        #[key("UseVMGroup")]
        pub use_vm_group: bool,
        /// The VM group's name.
        #[key("VMGroupName")]
        pub vm_group_name: String,
        /// How many containers may exist, 0 for no limit.
        #[key("container_count", READ_ONLY)]
        pub container_count: i64,
    }
}

crate::record! {
    /// A managed object reference in two parts.
    pub struct MorefValue {
        /// `ResourcePool`, `VirtualApp`
        #[key("Type")]
        pub kind: String,
        /// `resgroup-60`
        #[key("Value")]
        pub value: String,
    }
}

crate::record! {
    /// Registries that images are pulled from.
    pub struct Registries {
        /// Registries without TLS or with unverified certificates.
        #[key("insecure_registries", READ_ONLY)]
        pub insecure: Vec<String>,
        /// If not empty, the only registries that are allowed.
        #[key("whitelist_registries", READ_ONLY)]
        pub whitelist: Vec<String>,
    }
}
