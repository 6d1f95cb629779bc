//! Faults of calls and of tasks, and what they mean.

use super::*;
use crate::error::Class;
use crate::moref::Moref;

/// A fault's type, its properties, and the error it means.
type Row = (&'static str, String, Error);

/// An object in the XML of a fault, less the opening of its element.
const OBJECT: &str = r#"type="Folder">group-v3<"#;

fn object() -> Moref {
    Moref::new("Folder", "group-v3")
}

fn owned(text: &str) -> String {
    text.to_owned()
}

fn fault(kind: &str) -> Fault {
    Fault {
        kind: kind.to_owned(),
        message: "Why not".to_owned(),
    }
}

/// Faults of who asks, and of a vCenter that is busy.
fn of_the_caller() -> Vec<Row> {
    vec![
        ("InvalidLogin", String::new(), Error::InvalidLogin),
        (
            "NotAuthenticated",
            format!("<object {OBJECT}/object><privilegeId>System.View</privilegeId>"),
            Error::NotAuthenticated,
        ),
        (
            "NoPermission",
            format!("<object {OBJECT}/object><privilegeId>Folder.Create</privilegeId>"),
            Error::NoPermission {
                privilege: Some(owned("Folder.Create")),
                object: Some(object()),
            },
        ),
        (
            "NoPermission",
            format!(
                "<missingPrivileges><entity {OBJECT}/entity><privilegeIds>A.B</privilegeIds><privilegeIds>C.D\
                 </privilegeIds></missingPrivileges>"
            ),
            Error::NoPermission {
                privilege: Some(owned("A.B")),
                object: Some(object()),
            },
        ),
        (
            "TaskInProgress",
            owned("<task type=\"Task\">t</task>"),
            Error::Busy {
                fault: fault("TaskInProgress"),
            },
        ),
        (
            "VAppTaskInProgress",
            String::new(),
            Error::Busy {
                fault: fault("VAppTaskInProgress"),
            },
        ),
        (
            "HostCommunication",
            String::new(),
            Error::Busy {
                fault: fault("HostCommunication"),
            },
        ),
        (
            "HostNotConnected",
            String::new(),
            Error::Busy {
                fault: fault("HostNotConnected"),
            },
        ),
        (
            "NetworkDisruptedAndConfigRolledBack",
            String::new(),
            Error::Busy {
                fault: fault("NetworkDisruptedAndConfigRolledBack"),
            },
        ),
        (
            "FailToLockFaultToleranceVMs",
            String::new(),
            Error::Busy {
                fault: fault("FailToLockFaultToleranceVMs"),
            },
        ),
    ]
}

/// Faults of the object that is asked for.
fn of_the_object() -> Vec<Row> {
    vec![
        (
            "DuplicateName",
            format!("<name>a%2fb</name><object {OBJECT}/object>"),
            Error::DuplicateName {
                name: owned("a/b"),
                object: Some(object()),
            },
        ),
        ("ConcurrentAccess", String::new(), Error::ConcurrentAccess),
        (
            "ResourceInUse",
            owned("<type>X</type><name>bridge</name>"),
            Error::ResourceInUse {
                name: Some(owned("bridge")),
            },
        ),
        (
            "ManagedObjectNotFound",
            format!("<obj {OBJECT}/obj>"),
            Error::ManagedObjectNotFound {
                object: Some(object()),
            },
        ),
        (
            "InvalidPowerState",
            owned("<requestedState>poweredOff</requestedState><existingState>poweredOn</existingState>"),
            Error::InvalidPowerState {
                existing: Some(PowerState::On),
            },
        ),
        (
            "InvalidState",
            String::new(),
            Error::InvalidState {
                message: owned("Why not"),
            },
        ),
        (
            "FileNotFound",
            owned("<file>[ds] x</file>"),
            Error::FileNotFound {
                path: owned("[ds] x"),
            },
        ),
        (
            "FileAlreadyExists",
            owned("<file>[ds] x</file>"),
            Error::FileAlreadyExists {
                path: owned("[ds] x"),
            },
        ),
        (
            "InvalidArgument",
            owned("<invalidProperty>spec.name</invalidProperty>"),
            Error::InvalidArgument {
                property: owned("spec.name"),
                message: owned("Why not"),
            },
        ),
        (
            "InvalidName",
            owned("<name>x</name>"),
            Error::InvalidArgument {
                property: owned("x"),
                message: owned("Why not"),
            },
        ),
        (
            "InvalidDatastorePath",
            owned("<datastorePath>[x</datastorePath>"),
            Error::InvalidArgument {
                property: owned("[x"),
                message: owned("Why not"),
            },
        ),
    ]
}

fn properties() -> impl Iterator<Item = Row> {
    of_the_caller().into_iter().chain(of_the_object())
}

fn call_fault(kind: &str, inner: &str) -> Node {
    Node::parse(&format!(
        "<Fault xmlns:i='http://www.w3.org/2001/XMLSchema-instance'><faultcode>ServerFaultCode</faultcode>\
         <faultstring>Why not.</faultstring><detail><{kind}Fault xmlns='urn:vim25' i:type='{kind}'>{inner}\
         </{kind}Fault></detail></Fault>"
    ))
    .unwrap()
}

fn task_fault(kind: &str, inner: &str) -> Node {
    Node::parse(&format!(
        "<val xmlns:i='http://www.w3.org/2001/XMLSchema-instance'><fault i:type='{kind}'>{inner}</fault>\
         <localizedMessage>Why not.</localizedMessage></val>"
    ))
    .unwrap()
}

#[test]
fn a_fault_means_the_same_from_a_call_and_from_a_task() {
    for (kind, inner, error) in properties() {
        let call = Detail::from_call(&call_fault(kind, &inner)).into_error(Origin::Call("X"));
        assert_eq!(call, error, "{kind} {inner}");
        let task = Detail::from_localized(&task_fault(kind, &inner)).into_error(Origin::Task);
        assert_eq!(task, error, "{kind} {inner}");
    }
}

#[test]
fn other_faults_keep_their_kind_and_words() {
    let fault = Fault {
        kind: "InsufficientResourcesFault".to_owned(),
        message: "Why not".to_owned(),
    };
    let call = Detail::from_call(&call_fault("InsufficientResourcesFault", "")).into_error(Origin::Call("X"));
    assert_eq!(
        call,
        Error::Refused {
            method: "X".to_owned(),
            fault: fault.clone()
        }
    );
    assert_eq!(
        call.to_string(),
        "vCenter refused the call X with InsufficientResourcesFault (Why not)."
    );
    let task = Detail::from_localized(&task_fault("InsufficientResourcesFault", "")).into_error(Origin::Task);
    assert_eq!(task, Error::TaskFailed { fault });
}

#[test]
fn faults_without_a_type_or_detail_are_faults_still() {
    let untyped = Node::parse("<Fault><detail><InvalidLoginFault/></detail></Fault>").unwrap();
    assert_eq!(
        Detail::from_call(&untyped).into_error(Origin::Call("X")),
        Error::InvalidLogin
    );
    let bare = Node::parse("<Fault><faultstring>Out of memory</faultstring></Fault>").unwrap();
    let error = Detail::from_call(&bare).into_error(Origin::Call("X"));
    assert_eq!(
        error.to_string(),
        "vCenter refused the call X with UnknownFault (Out of memory)."
    );
    let nothing = Detail::from_localized(&Node::default()).into_error(Origin::Task);
    assert_eq!(nothing.class(), Class::Transient);
}
