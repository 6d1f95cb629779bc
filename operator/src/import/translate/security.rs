//! How the Docker API is secured.

use vic_crds::{GeneratedCertificates, HostName, Tls, TlsMode};

use super::Sheet;

/// Options that say nothing where there is no TLS.
const OF_TLS: [&str; 7] = [
    "no-tlsverify",
    "tls-cname",
    "tls-server-cert",
    "tls-server-key",
    "tls-cert-path",
    "tls-ca",
    "organization",
];

pub(super) fn tls(sheet: &mut Sheet<'_>, client_is_fixed: bool) -> Tls {
    let given = sheet.given;
    if given.is_on("no-tls") {
        for option in OF_TLS.into_iter().filter(|option| given.has(option)) {
            sheet.note(option, "it has no effect beside --no-tls.");
        }
        return Tls {
            mode: TlsMode::Disabled,
            generated: None,
        };
    }
    for (one, other) in [
        ("tls-server-cert", "tls-server-key"),
        ("tls-server-key", "tls-server-cert"),
    ] {
        if given.has(one) && !given.has(other) {
            sheet.problems.note(one, format!("needs --{other} beside it"));
        }
    }
    if given.has("tls-ca") && !given.has("tls-server-cert") {
        let rule = "needs --tls-server-cert: own authorities go with an own certificate";
        sheet.problems.note("tls-ca", rule);
    }
    let mode = if given.is_on("no-tlsverify") {
        TlsMode::NoVerify
    } else {
        TlsMode::Verify
    };
    let common_name = sheet.field::<HostName>("tls-cname");
    if common_name.is_none() && !client_is_fixed {
        let rule = "must be given where the client network has no fixed address: a certificate needs a name";
        sheet.problems.note("tls-cname", rule);
    }
    if given.has("tls-cert-path") {
        sheet.note(
            "tls-cert-path",
            "what a Docker client needs lies in the Secret that spec.connectionSecretRef names.",
        );
    }
    Tls {
        mode,
        generated: common_name.map(|name| GeneratedCertificates {
            common_name: Some(name),
            validity: None,
        }),
    }
}
