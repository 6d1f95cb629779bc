//! Turns a VCH's spec and references into one that can be made: granted, consistent, complete.

use std::time::Duration;

use guestinfo::{Placement, Role};
use topology::{Grants, Owner};
use vic_crds::{Memory, Shares, TlsMode, VirtualContainerHost};
use vsphere::{Allocation, DatastorePath, Moref, PoolConfig};

use super::NAME_LIMIT;
use super::claims::Claims;
use super::dereference::References;
use super::maintenance::{self, Maintenance};
use super::networks::{self, Networks};
use super::options;
use crate::certificates;
use crate::context::Context;
use crate::controllers::common::display_name;
use crate::endpoint::{EndpointSpec, Options, RoleSpec, VolumePlace};
use crate::failure::{Failure, Findings, ValidateError};
use crate::images::{self, ImageSource, ReleaseImages};
use crate::kind::{Kind, ObjectKey};

/// How long certificates hold unless the spec says otherwise, and the least that it may say.
const VALIDITY: u64 = 365 * 86_400;
const LEAST_VALIDITY: u64 = 3_600;
/// Memory of the endpoint VM unless the spec says otherwise, in MB; vSphere counts in steps of 4 MB.
const MEMORY_MB: i64 = 2_048;
const MEMORY_STEP_MB: i64 = 4;
const MEGABYTE: i64 = 1 << 20;

/// A VCH as it shall be.
pub(super) struct Wanted {
    pub(super) owner: Owner,
    pub(super) endpoint: EndpointSpec,
    /// The parent of its pool, and what the pool may use.
    pub(super) pool_parent: Moref,
    pub(super) pool: PoolConfig,
    pub(super) vm_folder: Moref,
    pub(super) release: ReleaseImages,
    /// Where this instance's images lie on the VCH's datastore.
    pub(super) images: DatastorePath,
    pub(super) tls: TlsWanted,
    pub(super) docker_required: bool,
    pub(super) maintenance: Maintenance,
    pub(super) claims: Claims,
}

/// How the Docker API is secured.
pub(super) struct TlsWanted {
    pub(super) mode: TlsMode,
    pub(super) certificates: certificates::Wanted,
}

pub(super) fn validate(
    vch: &VirtualContainerHost,
    ctx: &Context,
    key: &ObjectKey,
    references: &References,
) -> Result<Wanted, Failure> {
    let grants = references.ground.grants(ctx, key)?;
    let Parts {
        name,
        networks,
        release,
        tls,
        pool,
        memory_mb,
        options,
        maintenance,
    } = parts(vch, key, references, &grants)?;
    let spec = &vch.spec;
    let owner = ctx.owner(key, vch.metadata.uid.as_deref().unwrap_or_default());
    let claims = Claims::of(vch, |reference| {
        Some(
            references
                .networks
                .get(&reference.to_string())?
                .attachment
                .moref
                .clone(),
        )
    });
    let docker_required = spec
        .readiness
        .as_ref()
        .and_then(|readiness| readiness.docker_api)
        .unwrap_or_default()
        == vic_crds::DockerApiReadiness::Require;
    Ok(Wanted {
        images: images::folder(&references.datastore.name, &owner.instance),
        owner,
        endpoint: endpoint(vch, name, references, networks, memory_mb, options),
        pool_parent: references.place.pool.moref.clone(),
        pool,
        vm_folder: references.place.vm_folder.clone(),
        release,
        tls,
        docker_required,
        maintenance,
        claims,
    })
}

/// What is right of a spec by itself.
struct Parts {
    name: String,
    networks: Networks,
    release: ReleaseImages,
    tls: TlsWanted,
    pool: PoolConfig,
    memory_mb: i64,
    options: Options,
    maintenance: Maintenance,
}

/// All parts of a spec, or all that is wrong with them.
fn parts(
    vch: &VirtualContainerHost,
    key: &ObjectKey,
    references: &References,
    grants: &Grants,
) -> Result<Parts, ValidateError> {
    let spec = &vch.spec;
    let mut findings = Findings::default();
    findings.take(check_grants(key, references, grants));
    let name = findings.take(display_name(spec.display_name.as_deref(), key, NAME_LIMIT));
    let networks = findings.take(networks::resolve(&spec.networks, &references.networks));
    let release = findings.take(release(vch, references));
    let pool = findings.take(pool(vch));
    let memory = spec
        .endpoint
        .as_ref()
        .and_then(|endpoint| endpoint.memory.as_ref());
    let memory_mb = findings.take(memory.map_or(Ok(MEMORY_MB), vm_memory));
    let options = findings.take(options::options(spec));
    let maintenance = findings.take(maintenance::resolve(spec.maintenance.as_ref()));
    let tls = name
        .as_deref()
        .zip(networks.as_ref())
        .map(|(name, networks)| tls(vch, name, &networks.client));
    let tls = tls.and_then(|tls| findings.take(tls));
    let parts = || {
        Some(Parts {
            name: name?,
            networks: networks?,
            release: release?,
            tls: tls?,
            pool: pool?,
            memory_mb: memory_mb?,
            options: options?,
            maintenance: maintenance?,
        })
    };
    findings.conclude(parts())
}

fn invalid(field: &str, rule: impl Into<String>) -> ValidateError {
    ValidateError::Invalid {
        field: field.to_owned(),
        rule: rule.into(),
    }
}

/// A grant names a pool or datastore as it likes, by reference, name or path: what counts is where it leads.
fn check_grants(key: &ObjectKey, references: &References, grants: &Grants) -> Result<(), ValidateError> {
    let ground = &references.ground;
    let pool = &references.place.pool;
    ground.connected.vsphere.read(|inventory| {
        let granted = grants.resource_pools.iter().any(|name| {
            inventory
                .find_compute(name)
                .is_ok_and(|granted| granted.moref == pool.moref)
        });
        if !granted {
            return Err(ground.refuse(&key.namespace, format!("resource pool {}", pool.name)));
        }
        let main = std::iter::once((&references.datastore.name, &references.datastore.moref));
        let volumes = references
            .volumes
            .iter()
            .filter_map(|(volume, moref)| Some((&volume.directory()?.datastore, moref.as_ref()?)));
        for (name, moref) in main.chain(volumes) {
            let granted = grants.datastores.iter().any(|granted| {
                inventory
                    .find_datastore(granted)
                    .is_ok_and(|granted| granted.moref == *moref)
            });
            if !granted {
                return Err(ground.refuse(&key.namespace, format!("datastore {name}")));
            }
        }
        Ok(())
    })?;
    for (volume, _) in &references.volumes {
        if let VolumePlace::Nfs { server, .. } = &volume.place
            && !grants.allows_nfs(server)
        {
            return Err(ground.refuse(&key.namespace, format!("NFS server {server}")));
        }
    }
    Ok(())
}

fn release(vch: &VirtualContainerHost, references: &References) -> Result<ReleaseImages, ValidateError> {
    let ground = &references.ground;
    let plain = |version: &str| version.to_lowercase().trim_start_matches('v').to_owned();
    let wanted = plain(&vch.spec.version);
    let found = ground
        .spec
        .releases
        .iter()
        .find(|release| plain(&release.version) == wanted);
    let release = found.ok_or_else(|| ValidateError::ReleaseUnknown {
        version: vch.spec.version.to_string(),
        site: ground.site.clone(),
    })?;
    let source = |image: &vic_crds::Image| ImageSource {
        url: image.url.to_string(),
        sha256: image.sha256.to_string(),
    };
    Ok(ReleaseImages {
        version: release.version.to_string(),
        appliance: source(&release.appliance_iso),
        bootstrap: source(&release.bootstrap_iso),
    })
}

fn endpoint(
    vch: &VirtualContainerHost,
    name: String,
    references: &References,
    networks: Networks,
    memory_mb: i64,
    options: Options,
) -> EndpointSpec {
    let endpoint = vch.spec.endpoint.clone().unwrap_or_default();
    let place = &references.place;
    EndpointSpec {
        name,
        cpus: endpoint.cpus.unwrap_or(1),
        memory_mb,
        debug_level: endpoint.debug_level.unwrap_or_default().into(),
        bridge: networks.bridge,
        public: networks.public,
        client: networks.client,
        management: networks.management,
        containers: networks.containers,
        placement: Placement {
            target: references
                .ground
                .spec
                .vcenter
                .url
                .trim_end_matches('/')
                .to_owned(),
            datacenter: place.datacenter.clone(),
            cluster: place.cluster_path.clone(),
            pool: place.pool_path.clone(),
            image_datastore: references.datastore.name.clone(),
        },
        login: references.login.clone(),
        image_path: vch
            .spec
            .storage
            .as_ref()
            .and_then(|storage| storage.image_path.as_deref())
            .map(str::to_owned),
        volumes: references
            .volumes
            .iter()
            .map(|(volume, _)| volume.clone())
            .collect(),
        options,
    }
}

fn megabytes(field: &str, memory: &Memory) -> Result<i64, ValidateError> {
    let bytes = memory.bytes().ok_or_else(|| invalid(field, "is too large"))?;
    if bytes % MEGABYTE == 0 {
        Ok(bytes / MEGABYTE)
    } else {
        Err(invalid(field, "must be whole Mi"))
    }
}

fn vm_memory(memory: &Memory) -> Result<i64, ValidateError> {
    const FIELD: &str = "spec.endpoint.memory";
    let megabytes = megabytes(FIELD, memory)?;
    if megabytes > 0 && megabytes % MEMORY_STEP_MB == 0 {
        Ok(megabytes)
    } else {
        Err(invalid(
            FIELD,
            format!("must be a multiple of {MEMORY_STEP_MB}Mi"),
        ))
    }
}

fn pool(vch: &VirtualContainerHost) -> Result<PoolConfig, ValidateError> {
    let compute = vch.spec.compute.clone().unwrap_or_default();
    let cpu = compute.cpu.unwrap_or_default();
    let memory = compute.memory.unwrap_or_default();
    let in_mb = |field: &str, amount: &Option<Memory>| {
        amount.as_ref().map(|amount| megabytes(field, amount)).transpose()
    };
    let mut findings = Findings::default();
    let limit = findings.take(in_mb("spec.compute.memory.limit", &memory.limit));
    let reservation = findings.take(in_mb("spec.compute.memory.reservation", &memory.reservation));
    let cpu = findings.take(allocation(
        "spec.compute.cpu",
        cpu.limit_mhz,
        cpu.reservation_mhz,
        shares(cpu.shares, cpu.custom_shares),
    ));
    let memory = limit.zip(reservation).and_then(|(limit, reservation)| {
        let shares = shares(memory.shares, memory.custom_shares);
        findings.take(allocation("spec.compute.memory", limit, reservation, shares))
    });
    let pool = cpu.zip(memory).map(|(cpu, memory)| PoolConfig { cpu, memory });
    findings.conclude(pool)
}

fn shares(level: Option<Shares>, custom: Option<i32>) -> vsphere::Shares {
    match level.unwrap_or_default() {
        Shares::Low => vsphere::Shares::Low,
        Shares::Normal => vsphere::Shares::Normal,
        Shares::High => vsphere::Shares::High,
        Shares::Custom => vsphere::Shares::Custom(custom.unwrap_or_default()),
    }
}

/// MHz or MB; a limit of -1 is none.
fn allocation(
    field: &str,
    limit: Option<i64>,
    reservation: Option<i64>,
    shares: vsphere::Shares,
) -> Result<Allocation, ValidateError> {
    let reservation = reservation.unwrap_or_default();
    if let Some(limit) = limit.filter(|limit| *limit < reservation) {
        return Err(invalid(
            field,
            format!("the reservation {reservation} is more than the limit {limit}"),
        ));
    }
    Ok(Allocation {
        reservation,
        limit: limit.unwrap_or(-1),
        expandable: true,
        shares,
    })
}

fn tls(vch: &VirtualContainerHost, name: &str, client: &RoleSpec) -> Result<TlsWanted, ValidateError> {
    let generated = vch.spec.tls.generated.clone().unwrap_or_default();
    let mode = vch.spec.tls.mode;
    let address = client.fixed.map(|fixed| fixed.address);
    if mode != TlsMode::Disabled && address.is_none() && generated.common_name.is_none() {
        let rule = "must be set where the client network gives no fixed address: a certificate needs a name";
        return Err(invalid("spec.tls.generated.commonName", rule));
    }
    let validity = match &generated.validity {
        None => VALIDITY,
        Some(period) => period
            .seconds()
            .filter(|seconds| *seconds >= LEAST_VALIDITY)
            .ok_or_else(|| {
                invalid(
                    "spec.tls.generated.validity",
                    "must be a length of time of at least 1h",
                )
            })?,
    };
    let certificates = certificates::Wanted {
        organization: name.to_owned(),
        common_name: generated.common_name.map(|name| name.to_string()),
        address,
        validity: Duration::from_secs(validity),
    };
    Ok(TlsWanted { mode, certificates })
}

impl Wanted {
    /// The object that this is of.
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey::new(
            Kind::VirtualContainerHost,
            &self.owner.namespace,
            &self.owner.name,
        )
    }

    /// Keys of the server and, where clients must show one, the authority of their certificates.
    pub(super) fn server_keys<'a>(
        &self,
        bundle: &'a certificates::Bundle,
    ) -> Option<crate::endpoint::ServerKeys<'a>> {
        let clients = match self.tls.mode {
            TlsMode::Disabled => return None,
            TlsMode::NoVerify => None,
            TlsMode::Verify => Some(bundle.authority.certificate.as_str()),
        };
        Some(crate::endpoint::ServerKeys {
            certificate: &bundle.server.certificate,
            key: &bundle.server.key,
            clients,
        })
    }

    /// The role whose address Docker clients connect to.
    pub(super) const CLIENT: Role = Role::Client;
}

#[cfg(test)]
mod tests {
    use super::*;
    use vic_crds::{Compute, CpuLimits, GeneratedCertificates, MemoryLimits, ObjectRef, Tls};

    use crate::endpoint::fixture;

    fn vch() -> VirtualContainerHost {
        let networks: vic_crds::VchNetworks = serde_json::from_value(serde_json::json!({
            "bridge": {"networkRef": {"name": "vic-bridge"}},
            "public": {"networkRef": {"name": "docker-public"}},
        }))
        .unwrap();
        VirtualContainerHost::new(
            "vch1",
            vic_crds::VirtualContainerHostSpec {
                site_ref: ObjectRef { name: "poc".into() },
                display_name: None,
                version: "v1.5.8".into(),
                endpoint: None,
                compute: None,
                storage: None,
                networks,
                containers: None,
                registries: None,
                proxies: None,
                tls: Tls {
                    mode: TlsMode::Verify,
                    generated: None,
                },
                connection_secret_ref: None,
                on_delete: None,
                readiness: None,
                maintenance: None,
                management_policy: None,
                deletion_policy: None,
            },
        )
    }

    #[test]
    fn pools_are_in_mhz_and_mb_and_unlimited_by_default() {
        let none = pool(&vch()).unwrap();
        for allocation in [&none.cpu, &none.memory] {
            assert_eq!(
                (allocation.limit, allocation.reservation, allocation.expandable),
                (-1, 0, true)
            );
            assert_eq!(allocation.shares, vsphere::Shares::Normal);
        }
        let mut some = vch();
        some.spec.compute = Some(Compute {
            cpu: Some(CpuLimits {
                limit_mhz: Some(8000),
                reservation_mhz: Some(500),
                shares: Some(Shares::High),
                custom_shares: None,
            }),
            memory: Some(MemoryLimits {
                limit: Some("32Gi".into()),
                reservation: Some("512Mi".into()),
                shares: Some(Shares::Custom),
                custom_shares: Some(1234),
            }),
            ..Compute::default()
        });
        let some = pool(&some).unwrap();
        assert_eq!(
            (some.cpu.limit, some.cpu.reservation, some.cpu.shares),
            (8000, 500, vsphere::Shares::High)
        );
        assert_eq!((some.memory.limit, some.memory.reservation), (32_768, 512));
        assert_eq!(some.memory.shares, vsphere::Shares::Custom(1234));
    }

    #[test]
    fn amounts_that_vsphere_cannot_count_are_refused() {
        for (memory, fits) in [
            ("2Gi", Some(2048)),
            ("4Mi", Some(4)),
            ("6Mi", None),
            ("1500M", None),
            ("0", None),
            ("1k", None),
        ] {
            assert_eq!(vm_memory(&memory.into()).ok(), fits, "{memory}");
        }
        let refused = allocation("spec.compute.cpu", Some(100), Some(200), vsphere::Shares::Normal)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("reservation 200 is more than the limit 100"),
            "{refused}"
        );
    }

    #[test]
    fn a_certificate_needs_a_name_or_an_address() {
        let client = fixture::spec().client;
        let dhcp = RoleSpec {
            fixed: None,
            ..client.clone()
        };
        let named = Some(GeneratedCertificates {
            common_name: Some("vch1.example.com".into()),
            validity: None,
        });
        let short = Some(GeneratedCertificates {
            common_name: None,
            validity: Some("10m".into()),
        });
        let cases = [
            (TlsMode::Verify, None, &client, None),
            (TlsMode::Verify, None, &dhcp, Some("commonName")),
            (TlsMode::NoVerify, None, &dhcp, Some("commonName")),
            (TlsMode::Disabled, None, &dhcp, None),
            (TlsMode::Verify, named, &dhcp, None),
            (TlsMode::Verify, short, &client, Some("validity")),
        ];
        for (mode, generated, client, refusal) in cases {
            let mut vch = vch();
            vch.spec.tls = Tls { mode, generated };
            let found = tls(&vch, "vch1", client);
            match refusal {
                None => assert_eq!(found.unwrap().certificates.organization, "vch1"),
                Some(field) => assert!(found.err().unwrap().to_string().contains(field)),
            }
        }
    }
}
