//! What an endpoint VM is made of, as pure data: its configuration for the guest ([`config`]) and its
//! hardware ([`hardware`]). Nothing here has I/O; the controller fills [`EndpointSpec`] and executes what
//! comes out.

use std::net::Ipv4Addr;

use guestinfo::{Placement, TrustLevel};
use ipnet::Ipv4Net;
use vsphere::{DatastorePath, NicBacking};

use crate::images::StoredImage;

pub mod config;
pub mod hardware;
mod options;

pub use options::Options;

#[cfg(test)]
pub(crate) mod fixture;

/// The extraConfig key that marks an endpoint VM as ours; its value is `Owner::mark`.
pub const OWNER_KEY: &str = "vic-operator.owner";
/// The extraConfig key that tells which secrets the VM was given, because sealed values cannot be compared.
pub const SECRETS_KEY: &str = "vic-operator.secrets";

/// Everything that shapes an endpoint VM, resolved and valid.
#[derive(Clone, Debug)]
pub struct EndpointSpec {
    /// Name of the VM, at most 31 characters.
    pub name: String,
    /// Virtual CPUs.
    pub cpus: i32,
    /// Memory in MB.
    pub memory_mb: i64,
    /// VIC's debug level, 0 to 3.
    pub debug_level: i64,
    /// The containers' private network.
    pub bridge: BridgeSpec,
    /// Where published ports and image pulls go.
    pub public: RoleSpec,
    /// Where Docker clients connect.
    pub client: RoleSpec,
    /// Towards vCenter and the hosts.
    pub management: RoleSpec,
    /// Networks that containers attach to directly.
    pub containers: Vec<ContainerSpec>,
    /// Where the guest finds vCenter and its objects in it.
    pub placement: Placement,
    /// What the guest logs in to vCenter with: never the operator's own account.
    pub login: Login,
    /// Folder of container images on the image datastore; absent, the VM's own directory.
    pub image_path: Option<String>,
    /// Places for volumes.
    pub volumes: Vec<VolumeSpec>,
    /// What nothing but the configuration shows.
    pub options: Options,
}

/// A network in vCenter that a NIC is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The network, such as `DistributedVirtualPortgroup:dvportgroup-12`.
    pub moref: String,
    /// How a NIC names it.
    pub backing: NicBacking,
}

/// The bridge network.
#[derive(Clone, Debug)]
pub struct BridgeSpec {
    /// The network.
    pub attachment: Attachment,
    /// Where Docker networks take their subnets from.
    pub range: Ipv4Net,
    /// Prefix of each Docker network.
    pub width: u8,
}

/// A role of the endpoint VM on a network.
#[derive(Clone, Debug)]
pub struct RoleSpec {
    /// The network.
    pub attachment: Attachment,
    /// The fixed address; absent, DHCP.
    pub fixed: Option<Fixed>,
    /// Networks that are reached through this one's gateway, beside what the default route is for.
    pub routes: Vec<Ipv4Net>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
}

/// A fixed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The address.
    pub address: Ipv4Addr,
    /// Prefix of its subnet.
    pub prefix: u8,
    /// The gateway, where the default route or others go through this network.
    pub gateway: Option<Ipv4Addr>,
}

/// A network that containers attach to directly.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// Its name in Docker.
    pub alias: String,
    /// The network in vCenter.
    pub moref: String,
    /// The gateway and the subnet's prefix, where the VCH gives out addresses itself.
    pub gateway: Option<(Ipv4Addr, u8)>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Addresses that the VCH gives out, first and last; none, DHCP gives them.
    pub pools: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// What the VCH lets through.
    pub trust: TrustLevel,
}

/// What the guest logs in to vCenter with.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
    /// SHA-1 thumbprint of vCenter's certificate, upper case with colons.
    pub thumbprint: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.username)
    }
}

/// A place for volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Its label in Docker.
    pub name: String,
    /// Where it is.
    pub place: VolumePlace,
}

/// Where volumes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumePlace {
    /// In a directory of a datastore.
    Directory(DatastorePath),
    /// On an NFS export, with VIC's mount options, such as `uid=1000&gid=1000`.
    Nfs {
        /// The server.
        server: String,
        /// The export's path.
        path: String,
        /// The options.
        query: String,
    },
}

impl VolumeSpec {
    /// Its directory, if it has one.
    #[must_use]
    pub fn directory(&self) -> Option<&DatastorePath> {
        match &self.place {
            VolumePlace::Directory(directory) => Some(directory),
            VolumePlace::Nfs { .. } => None,
        }
    }
}

/// The two images of a release, on the datastore of the endpoint VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootImages {
    /// What the endpoint VM boots.
    pub appliance: StoredImage,
    /// What container VMs boot.
    pub bootstrap: StoredImage,
}

/// The server's keys as the guest is given them.
#[derive(Clone, Copy, Debug)]
pub struct ServerKeys<'a> {
    /// PEM of the server's certificate.
    pub certificate: &'a str,
    /// PEM of its key.
    pub key: &'a str,
    /// PEM of the authority that clients must show a certificate of; absent, they need none.
    pub clients: Option<&'a str>,
}

/// Who a VM is, where its configuration says so.
#[derive(Clone, Debug)]
pub struct VmPlace<'a> {
    /// Its own reference as text, or [`guestinfo::CREATING`].
    pub id: &'a str,
    /// The pool that containers are made in.
    pub pool: &'a vsphere::Moref,
    /// Its directory on the image datastore, once vSphere has chosen one.
    pub directory: Option<&'a str>,
}

impl EndpointSpec {
    /// The distinct networks in slot order, with the PCI slot of each one's NIC: bridge, public, client,
    /// management, of which those that share a network share the NIC.
    #[must_use]
    pub fn nics(&self) -> Vec<(i32, &Attachment)> {
        let roles = [
            &self.bridge.attachment,
            &self.public.attachment,
            &self.client.attachment,
            &self.management.attachment,
        ];
        let mut nics: Vec<(i32, &Attachment)> = Vec::new();
        for attachment in roles {
            if nics.iter().all(|(_, known)| known.moref != attachment.moref) {
                let index = u8::try_from(nics.len()).unwrap_or(u8::MAX);
                nics.push((guestinfo::pci_slot(index), attachment));
            }
        }
        nics
    }

    /// The PCI slot of the NIC on a network.
    #[must_use]
    pub fn slot_of(&self, attachment: &Attachment) -> Option<i32> {
        self.nics()
            .into_iter()
            .find(|(_, known)| known.moref == attachment.moref)
            .map(|(slot, _)| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::fixture::{attachment, spec};

    #[test]
    fn distinct_networks_have_slots_in_a_fixed_order() {
        // client, management -> slots of the NICs and the networks on them
        let cases = [
            (
                "dvportgroup-51",
                "dvportgroup-51",
                vec![(1184, "dvportgroup-49"), (1216, "dvportgroup-51")],
            ),
            (
                "dvportgroup-57",
                "dvportgroup-51",
                vec![
                    (1184, "dvportgroup-49"),
                    (1216, "dvportgroup-51"),
                    (1248, "dvportgroup-57"),
                ],
            ),
            (
                "dvportgroup-57",
                "dvportgroup-55",
                vec![
                    (1184, "dvportgroup-49"),
                    (1216, "dvportgroup-51"),
                    (1248, "dvportgroup-57"),
                    (1280, "dvportgroup-55"),
                ],
            ),
        ];
        for (client, management, expected) in cases {
            let mut spec = spec();
            spec.client.attachment = attachment(client);
            spec.management.attachment = attachment(management);
            let nics: Vec<_> = spec
                .nics()
                .into_iter()
                .map(|(slot, on)| (slot, on.moref.split(':').nth(1).unwrap().to_owned()))
                .collect();
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(slot, key)| (slot, key.to_owned()))
                .collect();
            assert_eq!(nics, expected);
        }
    }
}
