//! A VCH's plan, as tables: what is missing, what differs, and where a crash can leave it.

use std::time::SystemTime;

use guestinfo::{SecretKey, encode};
use vsphere::{Allocation, Moref, PoolConfig};

use super::super::claims::Claims;
use super::super::find::tests::owner;
use super::super::find::{BridgeUser, Place, birth_name};
use super::super::maintenance::Maintenance;
use super::super::validate::TlsWanted;
use super::*;
use crate::certificates;
use crate::endpoint::fixture::vm;
use crate::endpoint::hardware::tests::built;
use crate::endpoint::{VolumePlace, fixture};
use crate::images::{ImageSource, ReleaseImages};

const PARENT: (&str, &str) = ("ResourcePool", "resgroup-14");

pub(in super::super) fn wanted() -> Wanted {
    let source = |letter: &str| ImageSource {
        url: "http://x".to_owned(),
        sha256: letter.repeat(64),
    };
    Wanted {
        owner: owner("vch1"),
        endpoint: fixture::spec(),
        pool_parent: Moref::new(PARENT.0, PARENT.1),
        pool: PoolConfig {
            cpu: allocation(4000),
            memory: allocation(8192),
        },
        vm_folder: Moref::new("Folder", "group-2"),
        release: ReleaseImages {
            version: "v1.5.8".to_owned(),
            appliance: source("a"),
            bootstrap: source("b"),
        },
        images: crate::images::folder("LocalDS_0", "lab"),
        tls: TlsWanted {
            mode: TlsMode::Verify,
            certificates: certificates::Wanted {
                organization: "vch1".to_owned(),
                common_name: None,
                address: Some([10, 66, 1, 50].into()),
                validity: std::time::Duration::new(3600, 0),
            },
        },
        docker_required: true,
        maintenance: Maintenance::default(),
        claims: Claims::default(),
    }
}

fn allocation(limit: i64) -> Allocation {
    Allocation {
        reservation: 0,
        limit,
        expandable: true,
        shares: vsphere::Shares::Normal,
    }
}

fn boot(wanted: &Wanted) -> BootImages {
    let image = |source: &ImageSource, purpose: &str| {
        let mut image = fixture::image("x");
        image.path = wanted.images.join(&format!(
            "{}-{}-4096-{purpose}.iso",
            source.sha256, image.publisher
        ));
        image
    };
    BootImages {
        appliance: image(&wanted.release.appliance, "appliance"),
        bootstrap: image(&wanted.release.bootstrap, "bootstrap"),
    }
}

pub(in super::super) fn bundle(wanted: &Wanted) -> Bundle {
    Bundle::make(&wanted.tls.certificates, SystemTime::now()).unwrap()
}

fn place(kind: &str, id: &str) -> Place {
    Place {
        moref: Moref::new(kind, id),
        name: "vch1".to_owned(),
        parent: None,
        marked: true,
    }
}

/// Everything as it should be, powered on and up.
pub(in super::super) fn whole(wanted: &Wanted, bundle: &Bundle) -> State {
    let boot = boot(wanted);
    let pool = Place {
        parent: Some(wanted.pool_parent.clone()),
        ..place("ResourcePool", "resgroup-60")
    };
    let mut vm = built(&wanted.endpoint, &boot, vm("vm-63", &[]));
    let identity = VmPlace {
        id: "VirtualMachine:vm-63",
        pool: &pool.moref,
        directory: Some("vch1"),
    };
    let config = config(&wanted.endpoint, &identity, &boot, wanted.server_keys(bundle));
    vm.extra_config = encode(&config, &SecretKey::generate().unwrap()).unwrap();
    vm.extra_config.remove("guestinfo.ovfEnv");
    vm.extra_config.extend(own_keys(wanted, bundle));
    vm.extra_config.extend(fixture::golden().guest_written);
    State {
        pool: Some((pool, wanted.pool)),
        folder: Some(place("Folder", "group-61")),
        vm: Some(vm),
        ..State::default()
    }
}

fn actions(wanted: &Wanted, state: &State, bundle: &Bundle) -> Vec<Action> {
    plan(wanted, state, Some(bundle))
        .unwrap()
        .steps
        .into_iter()
        .map(|step| step.action)
        .collect()
}

fn volumes() -> Action {
    Action::MakeDirectory(DatastorePath::new("LocalDS_0", "vch1-volumes"))
}

#[test]
fn nothing_is_to_do_where_all_is_as_wanted() {
    let wanted = wanted();
    let bundle = bundle(&wanted);
    let state = whole(&wanted, &bundle);
    assert_eq!(
        plan(&wanted, &state, Some(&bundle)).unwrap().lines(),
        Vec::<String>::new()
    );
    assert_eq!(
        plan(&wanted, &state, None).unwrap().lines(),
        Vec::<String>::new(),
        "nor where keys are not known"
    );
}

#[test]
fn what_a_crash_leaves_of_pool_and_folder_is_completed_from_there() {
    use Action::*;
    let wanted = wanted();
    let bundle = bundle(&wanted);
    let whole = whole(&wanted, &bundle);
    let (pool, limits) = whole.pool.clone().unwrap();
    let folder = whole.folder.clone().unwrap();
    let born = |place: &Place, marked| Place {
        name: birth_name("vch1", &wanted.owner),
        marked,
        ..place.clone()
    };
    let with_pool = |marked| State {
        pool: Some((born(&pool, marked), limits)),
        ..State::default()
    };
    let rename_pool = UpdatePool {
        name: true,
        limits: false,
    };
    let images = [BringImages];
    let birth = [CreateVm, volumes(), ProtectVm, ConfigureVm, PowerOn];
    let make_folder = [CreateFolder, MarkFolder, RenameFolder];
    let marked_folder = State {
        pool: whole.pool.clone(),
        folder: Some(born(&folder, false)),
        ..State::default()
    };
    let cases: Vec<(State, Vec<Action>)> = vec![
        (
            State::default(),
            [
                &images[..],
                &[CreatePool, MarkPool, rename_pool.clone()],
                &make_folder,
                &birth,
            ]
            .concat(),
        ),
        (
            with_pool(false),
            [
                &images[..],
                &[MarkPool, rename_pool.clone()],
                &make_folder,
                &birth,
            ]
            .concat(),
        ),
        (
            with_pool(true),
            [&images[..], &[rename_pool], &make_folder, &birth].concat(),
        ),
        (
            marked_folder,
            [&images[..], &[MarkFolder, RenameFolder], &birth].concat(),
        ),
        (State { vm: None, ..whole }, [&images[..], &birth].concat()),
    ];
    for (state, expected) in cases {
        assert_eq!(actions(&wanted, &state, &bundle), expected, "{state:?}");
    }
}

#[test]
fn what_a_crash_leaves_of_the_vm_is_completed_from_there() {
    use Action::*;
    let wanted = wanted();
    let bundle = bundle(&wanted);
    let whole = whole(&wanted, &bundle);
    let mut half = whole.vm.clone().unwrap();
    half.extra_config
        .insert(guestinfo::VCH_ID_KEY.to_owned(), guestinfo::CREATING.to_owned());
    half.power = PowerState::Off;
    half.cdrom = None;
    let off = Vm {
        power: PowerState::Off,
        ..whole.vm.clone().unwrap()
    };
    let cases = [
        (
            half,
            vec![BringImages, volumes(), ProtectVm, ConfigureVm, PowerOn],
        ),
        (off, vec![BringImages, ProtectVm, ConfigureVm, PowerOn]),
    ];
    for (vm, expected) in cases {
        let state = State {
            vm: Some(vm),
            ..whole.clone()
        };
        assert_eq!(actions(&wanted, &state, &bundle), expected);
    }
}

#[test]
fn what_was_edited_by_hand_is_put_back() {
    use Action::*;
    let wanted = wanted();
    let bundle = bundle(&wanted);
    let reboot = || vec![BringImages, PowerOff, ProtectVm, ConfigureVm, PowerOn];
    let edit = |change: &dyn Fn(&mut State)| {
        let mut state = whole(&wanted, &bundle);
        change(&mut state);
        actions(&wanted, &state, &bundle)
    };
    let edit_vm = |change: &dyn Fn(&mut Vm)| edit(&|state| change(state.vm.as_mut().unwrap()));
    let set = |key: &str, value: &str| {
        edit_vm(&|vm: &mut Vm| drop(vm.extra_config.insert(key.to_owned(), value.to_owned())))
    };
    assert_eq!(
        edit(&|state| state.pool.as_mut().unwrap().0.name = "x".into()),
        [UpdatePool {
            name: true,
            limits: false
        }]
    );
    assert_eq!(
        edit(&|state| state.pool.as_mut().unwrap().1.cpu.limit = 1),
        [UpdatePool {
            name: false,
            limits: true
        }]
    );
    assert_eq!(
        edit(&|state| state.folder.as_mut().unwrap().name = "x".into()),
        [RenameFolder]
    );
    assert_eq!(edit_vm(&|vm| vm.name = "x".into()), [RenameVm]);
    assert_eq!(edit_vm(&|vm| vm.memory_mb = 512), reboot());
    assert_eq!(edit_vm(&|vm| vm.nics.truncate(1)), reboot());
    assert_eq!(edit_vm(&|vm| vm.cdrom = None), reboot());
    assert_eq!(set("guestinfo.vice./connect/username", "someone"), reboot());
    assert_eq!(set(SECRETS_KEY, "other secrets"), reboot());
    assert_eq!(
        set("guestinfo.vice./init/common/id", "VirtualMachine:vm-1"),
        reboot()
    );
    assert_eq!(set("foreign", "key"), Vec::<Action>::new());
    assert_eq!(
        set("guestinfo.vice..init.sessions|port-layer.started", "crashed"),
        Vec::<Action>::new()
    );
    let lines = {
        let mut state = whole(&wanted, &bundle);
        state
            .vm
            .as_mut()
            .unwrap()
            .extra_config
            .insert("guestinfo.vice./connect/username".into(), "someone".into());
        plan(&wanted, &state, Some(&bundle)).unwrap().lines().join("\n")
    };
    assert!(
        lines.contains("configuration: guestinfo.vice./connect/username"),
        "{lines}"
    );
}

#[test]
fn a_changed_spec_reboots_only_what_reads_it_at_boot() {
    use Action::*;
    let first = wanted();
    let bundle = bundle(&first);
    let state = whole(&first, &bundle);
    let changed = |change: &dyn Fn(&mut Wanted)| {
        let mut wanted = wanted();
        change(&mut wanted);
        actions(&wanted, &state, &bundle)
    };
    let reboot = || vec![BringImages, PowerOff, ProtectVm, ConfigureVm, PowerOn];
    assert_eq!(
        changed(&|wanted| wanted.pool.memory.limit = -1),
        [UpdatePool {
            name: false,
            limits: true
        }]
    );
    assert_eq!(changed(&|wanted| wanted.endpoint.cpus = 4), reboot());
    assert_eq!(
        changed(&|wanted| wanted.release.appliance.sha256 = "c".repeat(64)),
        reboot()
    );
    assert_eq!(
        changed(&|wanted| wanted.endpoint.login.password = "new".into()),
        reboot()
    );
    assert_eq!(changed(&|wanted| wanted.tls.mode = TlsMode::NoVerify), reboot());
    let fast = DatastorePath::new("LocalDS_0", "fast");
    let volume = crate::endpoint::VolumeSpec {
        name: "fast".into(),
        place: VolumePlace::Directory(fast.clone()),
    };
    assert_eq!(
        changed(&|wanted| wanted.endpoint.volumes.push(volume.clone())),
        [
            BringImages,
            MakeDirectory(fast),
            PowerOff,
            ProtectVm,
            ConfigureVm,
            PowerOn
        ]
    );
    let after = changed(&|wanted| wanted.endpoint.name = "vch2".into());
    let renames = [
        UpdatePool {
            name: true,
            limits: false,
        },
        RenameFolder,
    ];
    // The name is part of the configuration.
    assert_eq!(after, [&[BringImages], &renames[..], &reboot()[1..]].concat());
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let wanted = wanted();
    let bundle = bundle(&wanted);
    let moref = Moref::new("ResourcePool", "resgroup-99");
    let edit_vm = |change: &dyn Fn(&mut Vm)| {
        let mut state = whole(&wanted, &bundle);
        change(state.vm.as_mut().unwrap());
        state
    };
    let mut moved = whole(&wanted, &bundle);
    moved.pool.as_mut().unwrap().0.parent = Some(moref.clone());
    let cases = [
        (
            State {
                taken: Some(("a resource pool".into(), moref.clone())),
                ..State::default()
            },
            "Conflict",
            "resgroup-99",
        ),
        (
            State {
                bridge_user: Some(BridgeUser {
                    moref: moref.clone(),
                    owner: None,
                }),
                ..State::default()
            },
            "Conflict",
            "must be dedicated, and another VCH (",
        ),
        (
            State {
                bridge_user: Some(BridgeUser {
                    moref,
                    owner: Some(owner("rival")),
                }),
                ..State::default()
            },
            "Conflict",
            "VirtualContainerHost rival already has it",
        ),
        (moved, "Invalid", "spec.compute.resourcePool"),
        (
            edit_vm(&|vm| vm.vm_path = "[Other] vch1/vch1.vmx".into()),
            "Invalid",
            "spec.storage.datastore",
        ),
        (
            edit_vm(&|vm| drop(vm.extra_config.insert("UpdateInProgress".into(), "true".into()))),
            "InUse",
            "vic-machine is changing",
        ),
        (
            edit_vm(&|vm| vm.pool = Some(Moref::new("ResourcePool", "resgroup-14"))),
            "Misplaced",
            "its resource pool",
        ),
        (
            edit_vm(&|vm| vm.parent = Some(Moref::new("Folder", "group-2"))),
            "Misplaced",
            "its folder",
        ),
        (
            edit_vm(&|vm| vm.connection_state = ConnectionState::Inaccessible),
            "VMUnreachable",
            "inaccessible",
        ),
    ];
    for (state, reason, text) in cases {
        let failure = check(&wanted, &state).unwrap_err();
        assert_eq!(failure.verdict().reason, reason);
        assert!(failure.to_string().contains(text), "{failure}");
    }
    assert!(check(&wanted, &whole(&wanted, &bundle)).is_ok());
    assert!(check(&wanted, &State::default()).is_ok());
}

fn split(wanted: &Wanted, state: &State, bundle: &Bundle) -> Parts {
    parts(wanted, Some(bundle), plan(wanted, state, Some(bundle)).unwrap())
}

/// What is changed at once, and what with a restart.
fn divided(wanted: &Wanted, state: &State, bundle: &Bundle) -> (Vec<Action>, Vec<Action>) {
    let Parts { live, restart } = split(wanted, state, bundle);
    let actions = |plan: Plan<Action>| plan.steps.into_iter().map(|step| step.action).collect();
    (
        actions(live),
        restart.map(|restart| actions(restart.plan)).unwrap_or_default(),
    )
}

#[test]
fn live_changes_and_one_restart_for_all_others() {
    use Action::*;
    let before = wanted();
    let bundle = bundle(&before);
    let state = whole(&before, &bundle);
    let limits = UpdatePool {
        name: false,
        limits: true,
    };
    let restart = vec![BringImages, PowerOff, ProtectVm, ConfigureVm, PowerOn];
    let mut changed = wanted();
    assert_eq!(divided(&changed, &state, &bundle), (vec![], vec![]));
    changed.pool.cpu.limit = 5000;
    assert_eq!(divided(&changed, &state, &bundle), (vec![limits.clone()], vec![]));
    changed.endpoint.cpus = 4;
    changed.endpoint.debug_level = 3;
    changed.endpoint.options.container_limit = 7;
    assert_eq!(divided(&changed, &state, &bundle), (vec![limits], restart));
    let mut off = state.clone();
    off.vm.as_mut().unwrap().power = PowerState::Off;
    let parts = split(&changed, &off, &bundle);
    assert!(parts.restart.is_none(), "a VM that is off waits for nothing");
}

#[test]
fn a_plan_has_a_name_that_no_other_change_has() {
    let before = wanted();
    let bundle = bundle(&before);
    let state = whole(&before, &bundle);
    let name = |change: fn(&mut Wanted)| {
        let mut wanted = wanted();
        change(&mut wanted);
        split(&wanted, &state, &bundle).restart.unwrap().id
    };
    let three = name(|wanted| wanted.endpoint.debug_level = 3);
    assert_eq!(three, name(|wanted| wanted.endpoint.debug_level = 3));
    assert!(three.len() == 12 && three.chars().all(|c| c.is_ascii_hexdigit()));
    assert_ne!(
        three,
        name(|wanted| wanted.endpoint.debug_level = 2),
        "the same line, another value"
    );
    assert_ne!(
        three,
        name(|wanted| {
            wanted.endpoint.debug_level = 3;
            wanted.endpoint.cpus = 4;
        })
    );
}

#[test]
fn a_volume_store_in_use_stays() {
    type Edit = fn(&mut Wanted);
    let mut before = wanted();
    let directory = DatastorePath::new("LocalDS_0", "vch1-volumes");
    before.endpoint.volumes[0].place = VolumePlace::Directory(directory.clone());
    let bundle = bundle(&before);
    let mut state = whole(&before, &bundle);
    let on = |path: &str| vec![("web".to_owned(), DatastorePath::new("LocalDS_0", path))];
    let moved = |wanted: &mut Wanted| {
        let elsewhere = DatastorePath::new("LocalDS_0", "elsewhere");
        wanted.endpoint.volumes[0].place = VolumePlace::Directory(elsewhere);
    };
    let cases: [(&str, Edit, bool); 4] = [
        (
            "vch1-volumes/volumes/a/a.vmdk",
            |wanted| wanted.endpoint.volumes.clear(),
            false,
        ),
        ("vch1-volumes/volumes/a/a.vmdk", moved, false),
        ("vch1-volumes/volumes/a/a.vmdk", |_| {}, true),
        (
            "vch1-volumes-2/a.vmdk",
            |wanted| wanted.endpoint.volumes.clear(),
            true,
        ),
    ];
    for (disk, change, fine) in cases {
        let mut wanted = wanted();
        wanted.endpoint.volumes = before.endpoint.volumes.clone();
        change(&mut wanted);
        state.disks = on(disk);
        let outcome = restart::check_volumes(&wanted, &state, state.vm.as_ref().unwrap());
        assert_eq!(outcome.is_ok(), fine, "{disk}");
        if let Err(error) = outcome {
            assert!(error.to_string().contains("web"), "{error}");
        }
    }
}
