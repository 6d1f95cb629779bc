//! The Site that a command line needs: its vCenter, accounts, trust, release, and what it grants.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use vic_crds::{
    DownloadUrl, EndpointUrl, Image, NamespaceMatch, OutsideName, Release, Sha256, Site, SiteSpec, Tenant,
    Trust, VCenter, Version,
};

use super::{Sheet, object_ref};
use crate::import::Thumbprint;
use crate::import::print::Document;
use crate::import::values;

/// Stands where only the user knows the datacenter.
const UNKNOWN_DATACENTER: &str = "NAME-OF-THE-DATACENTER";

/// A Site and what goes before it.
pub(super) struct Made {
    pub(super) name: String,
    pub(super) documents: Vec<Document>,
}

/// What `--target` says.
struct Target {
    url: EndpointUrl,
    datacenter: Option<OutsideName>,
    user: Option<String>,
    password: Option<String>,
}

pub(super) fn site(sheet: &mut Sheet<'_>, object_name: &str) -> Option<Made> {
    let target = target(sheet);
    let accounts = accounts(sheet, target.as_ref());
    let (target, accounts) = (target?, accounts?);
    let tenant = Tenant {
        name: object_name.into(),
        namespaces: NamespaceMatch {
            names: vec![sheet.settings.namespace.as_str().into()],
            selector: None,
        },
        allow: sheet.grants.clone(),
        on_revoke: None,
    };
    if let Some(name) = &sheet.settings.site {
        return Some(Made {
            name: name.clone(),
            documents: vec![existing(name, &target, &tenant)],
        });
    }
    let name = object_name.to_owned();
    let (own, endpoint) = (format!("{name}-vcenter"), format!("{name}-vcenter-endpoint"));
    let mut documents = vec![
        account(sheet, &own, "the operator's own account", accounts.own),
        account(
            sheet,
            &endpoint,
            "what the VCH logs in to vCenter with",
            accounts.endpoint,
        ),
    ];
    let trust = trust(sheet, &name, &mut documents);
    let spec = SiteSpec {
        vcenter: VCenter {
            url: target.url,
            datacenter: target.datacenter.unwrap_or_else(|| UNKNOWN_DATACENTER.into()),
            credentials_ref: object_ref(&own),
            endpoint_credentials_ref: Some(object_ref(&endpoint)),
            trust,
        },
        nsx: None,
        defaults: None,
        releases: releases(sheet, &mut documents),
        tenants: vec![tenant],
    };
    documents.push(Document::of(&Site::new(&name, spec)));
    Some(Made { name, documents })
}

/// What a Site that exists has to be, to be checked by eye.
fn existing(name: &str, target: &Target, tenant: &Tenant) -> Document {
    let mut lines = vec![format!(
        "Site {name} must be that of {}, and have this entry among spec.tenants:",
        target.url
    )];
    let entry = serde_yaml_ng::to_string(&[tenant]).unwrap_or_default();
    lines.extend(entry.lines().map(str::to_owned));
    Document::comment(lines)
}

fn target(sheet: &mut Sheet<'_>) -> Option<Target> {
    const OPTION: &str = "target";
    let Some(text) = sheet.given.text(OPTION) else {
        sheet
            .problems
            .note(OPTION, "must be given, or VIC_MACHINE_TARGET");
        return None;
    };
    let target = sheet.problems.take(OPTION, read_target(text))?;
    if target.datacenter.is_none() {
        sheet.note(
            OPTION,
            "it names no datacenter, and vic-machine takes the only one there is: put its name into spec.vcenter.datacenter of the Site.",
        );
    }
    Some(target)
}

/// `[https://][user[:password]@]host[:port][/datacenter]`
fn read_target(text: &str) -> Result<Target, String> {
    let plain = match text.split_once("://") {
        Some(("https", rest)) => rest,
        Some((scheme, _)) => return Err(format!("{scheme} is not spoken to a vCenter; use https")),
        None => text,
    };
    let (authority, path) = plain.split_once('/').unwrap_or((plain, ""));
    let (account, host) = match authority.rsplit_once('@') {
        Some((account, host)) => (Some(account), host),
        None => (None, authority),
    };
    let (user, password) = match account.map(|account| account.split_once(':').unwrap_or((account, ""))) {
        Some((user, password)) => (unescaped(user), unescaped(password)),
        None => (None, None),
    };
    let datacenter = path.trim_end_matches('/');
    if datacenter.contains('/') {
        return Err(format!(
            "{text}: behind the host only the name of a datacenter may stand"
        ));
    }
    let datacenter = (!datacenter.is_empty()).then(|| values::field::<OutsideName, &str>(datacenter));
    Ok(Target {
        url: values::field::<EndpointUrl, &str>(&format!("https://{host}"))?,
        datacenter: datacenter.transpose()?,
        user,
        password,
    })
}

/// A part of a URL without its percent signs; nothing if it is empty.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hexadecimal = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(hexadecimal.unwrap_or(*first));
        rest = hexadecimal.map_or(after, |_| after.get(2..).unwrap_or_default());
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// The operator's account and the endpoint VM's: user, and the password if it is known.
struct Accounts {
    own: (String, Option<String>),
    endpoint: (String, Option<String>),
}

fn accounts(sheet: &mut Sheet<'_>, target: Option<&Target>) -> Option<Accounts> {
    let given = sheet.given;
    let text = |name: &str| given.text(name).map(str::to_owned);
    let user = text("user").or_else(|| target?.user.clone());
    let password = text("password").or_else(|| target?.password.clone());
    let ops = (text("ops-user"), text("ops-password"));
    if ops.0.is_none() && ops.1.is_some() {
        sheet.problems.note("ops-password", "needs --ops-user");
    }
    if ops.0.is_none() && given.is_on("ops-grant-perms") {
        sheet.problems.note("ops-grant-perms", "needs --ops-user");
    }
    let Some(user) = user else {
        sheet
            .problems
            .note("user", "must be given, in --target or in VIC_MACHINE_USER too");
        return None;
    };
    let own = (user, password);
    let endpoint = if let (Some(user), password) = ops {
        (user, password)
    } else {
        sheet.note(
            "ops-user",
            "none is given: as with vic-machine the VCH carries the account of --user; better give it one of its own.",
        );
        own.clone()
    };
    Some(Accounts { own, endpoint })
}

/// A Secret with an account, or what has to be done where its password is not to be had.
fn account(sheet: &mut Sheet<'_>, name: &str, what: &str, account: (String, Option<String>)) -> Document {
    let namespace = &sheet.settings.operator_namespace;
    match account {
        (user, Some(password)) if !sheet.settings.redact => Document::of(&Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            string_data: Some(BTreeMap::from([
                ("username".to_owned(), user),
                ("password".to_owned(), password),
            ])),
            ..Secret::default()
        }),
        (user, _) => {
            sheet.notes.push(format!(
                "Secret {namespace}/{name} has to be made by hand: {what}, with keys username and password."
            ));
            Document::comment(vec![
                format!("To be made by hand, {what}:"),
                format!("kubectl create secret generic {name} --namespace {namespace} \\"),
                format!("  --from-literal=username='{user}' --from-literal=password='...'"),
            ])
        }
    }
}

fn trust(sheet: &mut Sheet<'_>, name: &str, documents: &mut Vec<Document>) -> Trust {
    let namespace = &sheet.settings.operator_namespace;
    if let Thumbprint::Seen(sha256) = &sheet.outside.vcenter {
        return Trust {
            ca_bundle_ref: None,
            sha256: Some(sha256.as_str().into()),
        };
    }
    let bundle = format!("{name}-vcenter-ca");
    let why = match &sheet.outside.vcenter {
        Thumbprint::Unreached(why) => format!("vCenter's certificate could not be seen ({why})"),
        _ => "no thumbprint is given".to_owned(),
    };
    documents.push(Document::comment(vec![
        format!("To be made by hand, since {why}: the authorities of vCenter's certificate."),
        format!("kubectl create configmap {bundle} --namespace {namespace} --from-file=ca.crt=..."),
    ]));
    sheet.notes.push(format!(
        "--thumbprint: {why}: ConfigMap {namespace}/{bundle} has to be made by hand, with the authorities' certificates at key ca.crt; or put the certificate's SHA-256 into spec.vcenter.trust of the Site."
    ));
    Trust {
        ca_bundle_ref: Some(object_ref(&bundle)),
        sha256: None,
    }
}

fn releases(sheet: &mut Sheet<'_>, documents: &mut Vec<Document>) -> Vec<Release> {
    let version = sheet.outside.release.as_ref();
    if let (Some(folder), Some(release)) = (&sheet.settings.images, version) {
        let image = |file: &str, sha256: &str| Image {
            url: DownloadUrl::from(format!("{}/{file}", folder.trim_end_matches('/')).as_str()),
            sha256: Sha256::from(sha256),
        };
        return vec![Release {
            version: Version::from(release.version.as_str()),
            appliance_iso: image(&release.appliance.0, &release.appliance.1),
            bootstrap_iso: image(&release.bootstrap.0, &release.bootstrap.1),
        }];
    }
    let missing = match version {
        None => "the files that --appliance-iso and --bootstrap-iso name are not here",
        Some(_) => "it is not told where the images are served; give --images",
    };
    sheet.notes.push(format!(
        "--appliance-iso: {missing}: spec.releases of the Site has to be filled in, with URL and SHA-256 of both images."
    ));
    documents.push(Document::comment(vec![
        format!("To be filled in at spec.releases of the Site, since {missing}:"),
        "- version: v1.5.8".to_owned(),
        "  applianceISO: {url: ..., sha256: ...}".to_owned(),
        "  bootstrapISO: {url: ..., sha256: ...}".to_owned(),
    ]));
    Vec::new()
}
