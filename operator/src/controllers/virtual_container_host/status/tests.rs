//! What a status says of endpoint VMs in each stage of their start.

use super::super::connection::content;
use super::super::plan::tests::{bundle, wanted, whole};
use super::*;

type Change = Box<dyn FnOnce(&mut Vm)>;
/// Mode, name in the certificate, whether the address is fixed; then `DOCKER_HOST` and the files.
type Told<'a> = (TlsMode, Option<&'a str>, bool, &'a str, &'a [&'a str]);

fn started(session: &str) -> String {
    format!("guestinfo.vice..init.sessions|{session}.started")
}

/// The outcome for the whole VCH after a change of its VM.
fn outcome(change: impl FnOnce(&mut Vm)) -> (Result<Up, Failure>, VirtualContainerHostStatus) {
    let wanted = wanted();
    let bundle = bundle(&wanted);
    let mut state = whole(&wanted, &bundle);
    change(state.vm.as_mut().unwrap());
    state.running = 2;
    let mut details = VirtualContainerHostStatus::default();
    let up = up(&wanted, &state, Some(&bundle), &mut details);
    (up, details)
}

fn set(vm: &mut Vm, key: &str, value: &str) {
    vm.extra_config.insert(key.to_owned(), value.to_owned());
}

#[test]
fn what_is_up_is_described() {
    let (up, details) = outcome(|_| {});
    assert_eq!(
        up.unwrap(),
        Up {
            address: [10, 66, 1, 50].into(),
            port: 2376
        }
    );
    assert_eq!(details.docker_host.as_deref(), Some("tcp://10.66.1.50:2376"));
    assert_eq!(details.admin_portal.as_deref(), Some("https://10.66.1.50:2378"));
    assert_eq!(details.version.as_deref(), Some("v1.5.8"));
    assert_eq!(details.containers.as_deref(), Some("2 running"));
    let components: Vec<_> = details
        .components
        .iter()
        .map(|component| (component.name.as_str(), component.state.as_str()))
        .collect();
    let expected = ["docker-personality", "port-layer", "vicadmin"].map(|name| (name, "Running"));
    assert_eq!(components, expected);
    assert_eq!(
        details.addresses.unwrap().management.as_deref(),
        Some("10.66.1.50")
    );
    let morefs = details.morefs.unwrap();
    assert_eq!(morefs.vm.as_deref(), Some("VirtualMachine:vm-63"));
    assert!(details.certificate_expires.unwrap().ends_with('Z'));
}

#[test]
fn each_stage_of_a_start_has_its_reason() {
    let assigned = "guestinfo.vice..init.networks|client.assigned.IP";
    let cases: [(Change, &str, &str); 5] = [
        (
            Box::new(|vm| vm.power = PowerState::Off),
            "Booting",
            "not powered on",
        ),
        (
            Box::new(move |vm| drop(vm.extra_config.remove(assigned))),
            "Booting",
            "no address yet",
        ),
        (
            Box::new(|vm| set(vm, &started("port-layer"), "<nil>")),
            "Booting",
            "starts port-layer",
        ),
        (
            Box::new(|vm| set(vm, &started("port-layer"), "cannot log in")),
            "ComponentFailed",
            "port-layer did not start in the endpoint VM: cannot log in",
        ),
        (
            Box::new(|vm| set(vm, "guestinfo.vice./init/sessions|vicadmin/active", "perhaps")),
            "Booting",
            "given its configuration again",
        ),
    ];
    for (change, reason, text) in cases {
        let (up, details) = outcome(change);
        let failure = up.unwrap_err();
        assert_eq!(failure.verdict().reason, reason, "{failure}");
        assert!(failure.to_string().contains(text), "want {text}, have {failure}");
        assert_eq!(details.docker_host, None, "nothing is said to be reachable");
    }
}

#[test]
fn directories_are_remembered_until_the_end() {
    let mut details = VirtualContainerHostStatus::default();
    for directory in ["[ds] vch1", "[ds] vch1", "[ds] vch1_1", "[ds] vch1_2"] {
        pin_directory(directory, &mut details);
    }
    let pin = |name: &str| pinned(details.resolved.as_ref(), name);
    assert_eq!(pin(DIRECTORY_PIN), Some("[ds] vch1_2"));
    assert_eq!(pin(FORMER_PIN), Some("[ds] vch1|[ds] vch1_1"));
}

#[test]
fn docker_clients_are_told_what_they_need_and_no_more() {
    let up = Up {
        address: [10, 66, 1, 50].into(),
        port: 2376,
    };
    let cases: [Told<'_>; 5] = [
        (
            TlsMode::Verify,
            None,
            true,
            "tcp://10.66.1.50:2376",
            &["ca.pem", "cert.pem", "key.pem"],
        ),
        (
            TlsMode::NoVerify,
            None,
            true,
            "tcp://10.66.1.50:2376",
            &["ca.pem"],
        ),
        (TlsMode::Disabled, None, true, "tcp://10.66.1.50:2376", &[]),
        (
            TlsMode::Verify,
            Some("vch1.example.com"),
            false,
            "tcp://vch1.example.com:2376",
            &["ca.pem", "cert.pem", "key.pem"],
        ),
        (
            TlsMode::NoVerify,
            Some("*.example.com"),
            false,
            "tcp://10.66.1.50:2376",
            &["ca.pem"],
        ),
    ];
    for (mode, name, fixed, host, files) in cases {
        let mut wanted = wanted();
        wanted.tls.mode = mode;
        wanted.tls.certificates.common_name = name.map(str::to_owned);
        wanted.tls.certificates.address = wanted.tls.certificates.address.filter(|_| fixed);
        let bundle = bundle(&wanted);
        let content = content(&wanted, &up, &bundle);
        assert_eq!(content["DOCKER_HOST"], host);
        assert_eq!(content["DOCKER_TLS_VERIFY"] == "1", mode != TlsMode::Disabled);
        let found: Vec<_> = content.keys().filter(|key| key.contains(".pem")).collect();
        assert_eq!(found, files);
        assert!(
            !content
                .values()
                .any(|value| *value == bundle.authority.key || *value == bundle.server.key)
        );
    }
}
