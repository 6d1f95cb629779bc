//! What serves containers and the host: limits, registries, proxies, logs.

use vic_crds::{
    AllowedRegistry, ContainerSettings, Host, NameConvention, Proxies, ProxyException, ProxyUrl, Registries,
    Registry, Syslog, SyslogProtocol,
};

use super::Sheet;
use crate::import::values;

/// The most containers that a VCH can be limited to.
const MOST_CONTAINERS: i32 = 100_000;
/// Where syslog servers listen.
const SYSLOG_PORT: i32 = 514;

pub(super) fn containers(sheet: &mut Sheet<'_>) -> Option<ContainerSettings> {
    let convention = sheet.given.text("container-name-convention");
    if convention.is_some_and(|text| !text.contains("{name}") && !text.contains("{id}")) {
        let rule = "must contain {name} or {id}";
        sheet.problems.note("container-name-convention", rule);
    }
    let settings = ContainerSettings {
        limit: sheet
            .small("containers", 0, MOST_CONTAINERS)
            .filter(|limit| *limit > 0),
        name_convention: sheet.field::<NameConvention>("container-name-convention"),
    };
    (settings != ContainerSettings::default()).then_some(settings)
}

pub(super) fn registries(sheet: &mut Sheet<'_>) -> Option<Registries> {
    let mut registries = Registries::default();
    let given = sheet.given;
    for text in given.texts("insecure-registry") {
        let registry = values::field::<Registry, &str>(host_of(text));
        registries
            .insecure
            .extend(sheet.problems.take("insecure-registry", registry));
    }
    for text in given.texts("whitelist-registry") {
        let registry = values::field::<AllowedRegistry, &str>(host_of(text));
        registries
            .allowed
            .extend(sheet.problems.take("whitelist-registry", registry));
    }
    (registries != Registries::default()).then_some(registries)
}

/// A registry may be given as a URL; its host is what counts.
fn host_of(text: &str) -> &str {
    let plain = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    plain.unwrap_or(text).trim_end_matches('/')
}

pub(super) fn proxies(sheet: &mut Sheet<'_>) -> Option<Proxies> {
    let exceptions = sheet.given.text("no-proxy").unwrap_or_default();
    let exceptions = exceptions
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty());
    let mut no_proxy = Vec::new();
    for host in exceptions {
        let host = values::field::<ProxyException, &str>(host);
        no_proxy.extend(sheet.problems.take("no-proxy", host));
    }
    let proxies = Proxies {
        http: sheet.field::<ProxyUrl>("http-proxy"),
        https: sheet.field::<ProxyUrl>("https-proxy"),
        no_proxy,
    };
    (proxies != Proxies::default()).then_some(proxies)
}

pub(super) fn syslog(sheet: &mut Sheet<'_>) -> Option<Syslog> {
    let text = sheet.given.text("syslog-address")?;
    sheet.problems.take("syslog-address", syslog_of(text))
}

fn syslog_of(text: &str) -> Result<Syslog, String> {
    let refuse = || format!("{text} is no address such as udp://logs.example.com:514 or tcp://10.0.0.5");
    let (scheme, rest) = text.split_once("://").ok_or_else(refuse)?;
    let protocol = match scheme {
        "udp" => SyslogProtocol::Udp,
        "tcp" => SyslogProtocol::Tcp,
        _ => return Err(refuse()),
    };
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => {
            let port: u16 = port.parse().map_err(|_| refuse())?;
            (host, Some(i32::from(port)).filter(|port| *port != SYSLOG_PORT))
        }
        None => (rest, None),
    };
    Ok(Syslog {
        protocol,
        host: values::field::<Host, &str>(host)?,
        port,
    })
}
