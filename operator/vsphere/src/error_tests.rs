//! Every error has a class and one sentence.

use super::Class::{Blocked, Terminal, Transient};
use super::*;

type Row = (Error, Class, &'static str);

fn text(text: &str) -> String {
    text.to_owned()
}

fn fault() -> Fault {
    Fault {
        kind: "SystemError".to_owned(),
        message: String::new(),
    }
}

fn vm() -> Moref {
    Moref::new("VirtualMachine", "vm-1")
}

/// Errors of the way to vCenter, and of what may be asked on it.
fn of_the_way() -> Vec<Row> {
    vec![
        (
            Error::Unreachable {
                reason: text("no route"),
            },
            Transient,
            "vCenter cannot be reached: no route.",
        ),
        (
            Error::Untrusted {
                reason: text("it has expired"),
            },
            Blocked,
            "The certificate of vCenter is not trusted: it has expired.",
        ),
        (
            Error::InvalidLogin,
            Blocked,
            "vCenter refused the user name or the password.",
        ),
        (
            Error::NotAuthenticated,
            Transient,
            "vCenter does not accept the session, even after a new login.",
        ),
        (
            Error::NoPermission {
                privilege: Some(text("Folder.Create")),
                object: Some(vm()),
            },
            Blocked,
            "vCenter refuses this for lack of the privilege Folder.Create on VirtualMachine:vm-1.",
        ),
        (
            Error::NoPermission {
                privilege: None,
                object: None,
            },
            Blocked,
            "vCenter refuses this for lack of the privilege (unnamed) on the object.",
        ),
        (
            Error::Refused {
                method: text("X"),
                fault: fault(),
            },
            Transient,
            "vCenter refused the call X with SystemError.",
        ),
        (
            Error::OutcomeUnknown { method: text("X") },
            Transient,
            "The connection broke during X; what became of it is not known yet.",
        ),
        (
            Error::Http {
                status: 503,
                method: text("X"),
            },
            Transient,
            "vCenter answered with HTTP status 503 to X.",
        ),
        (
            Error::Protocol {
                method: text("X"),
                reason: text("it ends early"),
            },
            Transient,
            "vCenter's answer to X could not be understood: it ends early.",
        ),
        (
            Error::Unsendable,
            Terminal,
            "A value has characters that cannot be sent to vCenter.",
        ),
        (
            Error::InvalidUrl { url: text("x") },
            Terminal,
            "x is not an https address.",
        ),
        (Error::Closed, Transient, "The connection to vCenter was closed."),
    ]
}

/// Errors of the objects that a call is about.
fn of_objects() -> Vec<Row> {
    vec![
        (
            Error::DuplicateName {
                name: text("vch1"),
                object: None,
            },
            Blocked,
            "The name vch1 is already in use in vCenter.",
        ),
        (
            Error::ConcurrentAccess,
            Transient,
            "The object was changed by somebody else at the same time.",
        ),
        (
            Error::ResourceInUse {
                name: Some(text("bridge")),
            },
            Blocked,
            "bridge is still in use.",
        ),
        (
            Error::ResourceInUse { name: None },
            Blocked,
            "The object is still in use.",
        ),
        (
            Error::ManagedObjectNotFound { object: Some(vm()) },
            Transient,
            "VirtualMachine:vm-1 does not exist in vCenter.",
        ),
        (
            Error::InvalidState {
                message: String::new(),
            },
            Transient,
            "The state of the object does not allow this.",
        ),
        (
            Error::InvalidState {
                message: text("busy"),
            },
            Transient,
            "The state of the object does not allow this: busy.",
        ),
        (
            Error::InvalidPowerState {
                existing: Some(PowerState::Suspended),
            },
            Transient,
            "The virtual machine is suspended, which does not allow this.",
        ),
    ]
}

/// Errors of files, of arguments, and of what runs in vCenter.
fn of_files_and_tasks() -> Vec<Row> {
    vec![
        (
            Error::FileNotFound { path: text("[ds] x") },
            Transient,
            "The file [ds] x does not exist.",
        ),
        (
            Error::FileAlreadyExists { path: text("[ds] x") },
            Blocked,
            "The file [ds] x exists already.",
        ),
        (
            Error::InvalidArgument {
                property: text("spec.name"),
                message: String::new(),
            },
            Terminal,
            "vCenter refuses the value of spec.name.",
        ),
        (
            Error::Busy { fault: fault() },
            Transient,
            "vCenter is busy with the object (SystemError).",
        ),
        (
            Error::TaskFailed { fault: fault() },
            Transient,
            "A task of vCenter failed with SystemError.",
        ),
        (
            Error::Datacenter {
                datacenter: text("DC9"),
                problem: "does not exist",
            },
            Blocked,
            "The datacenter DC9 does not exist.",
        ),
        (
            Error::UnknownDatastore {
                datastore: text("ds"),
            },
            Blocked,
            "The datastore ds does not exist.",
        ),
        (
            Error::UploadSource {
                path: text("[ds] x"),
                reason: text("gone"),
            },
            Transient,
            "The upload of [ds] x ended early: gone.",
        ),
        (
            Error::UploadIncomplete {
                path: text("[ds] x"),
                expected: 5,
                found: 3,
            },
            Transient,
            "The upload of [ds] x is not whole: 3 of 5 bytes arrived.",
        ),
    ]
}

fn all() -> impl Iterator<Item = Row> {
    of_the_way()
        .into_iter()
        .chain(of_objects())
        .chain(of_files_and_tasks())
}

#[test]
fn every_error_says_one_sentence_and_what_to_do() {
    for (error, class, sentence) in all() {
        assert_eq!(error.to_string(), sentence);
        assert_eq!(error.class(), class, "{error:?}");
    }
}

#[test]
fn only_what_is_missing_is_not_found() {
    for (error, _, _) in all() {
        let missing = matches!(
            error,
            Error::ManagedObjectNotFound { .. } | Error::FileNotFound { .. }
        );
        assert_eq!(error.is_not_found(), missing, "{error:?}");
    }
}
