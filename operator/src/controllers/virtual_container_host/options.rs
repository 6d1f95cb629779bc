//! Turns the options of a spec into VIC's own units and forms.

use guestinfo::{Proxy, Syslog};
use vic_crds::{Memory, Proxies, Registries, Switch, SyslogProtocol, VirtualContainerHostSpec};

use crate::endpoint::Options;
use crate::failure::{Findings, ValidateError};

/// VIC counts a scratch disk in units of 1000 bytes.
const SCRATCH_UNIT: i64 = 1_000;
/// The smallest scratch disk: VIC formats it with ext4 and copies its own files to it.
const LEAST_SCRATCH: i64 = 100_000_000;
/// Where syslog servers listen.
const SYSLOG_PORT: i32 = 514;

pub(super) fn options(spec: &VirtualContainerHostSpec) -> Result<Options, ValidateError> {
    let storage = spec.storage.clone().unwrap_or_default();
    let containers = spec.containers.clone().unwrap_or_default();
    let registries = spec.registries.clone().unwrap_or_default();
    let default = Options::default();
    let mut findings = Findings::default();
    let scratch_size = storage.scratch_size.as_ref().map(scratch_size).transpose();
    let quota = storage.quota.as_ref().map(quota).transpose();
    let (scratch_size, quota) = (findings.take(scratch_size), findings.take(quota));
    let options = Options {
        asymmetric_routing: spec.networks.asymmetric_routing == Some(Switch::Enabled),
        syslog: spec
            .endpoint
            .as_ref()
            .and_then(|endpoint| endpoint.syslog.as_ref())
            .map(syslog),
        proxy: proxy(&spec.proxies.clone().unwrap_or_default()),
        scratch_size: scratch_size.flatten().unwrap_or(default.scratch_size),
        quota: quota.flatten().unwrap_or(default.quota),
        container_limit: containers.limit.unwrap_or_default().into(),
        name_convention: containers
            .name_convention
            .map(|convention| convention.to_string())
            .unwrap_or_default(),
        allowed_registries: allowed(&registries),
        insecure_registries: registries.insecure.iter().map(ToString::to_string).collect(),
    };
    findings.conclude(Some(options))
}

fn invalid(field: &str, rule: String) -> ValidateError {
    ValidateError::Invalid {
        field: field.to_owned(),
        rule,
    }
}

fn syslog(server: &vic_crds::Syslog) -> Syslog {
    let network = match server.protocol {
        SyslogProtocol::Udp => "udp",
        SyslogProtocol::Tcp => "tcp",
    };
    Syslog {
        network: network.to_owned(),
        address: format!("{}:{}", server.host, server.port.unwrap_or(SYSLOG_PORT)),
    }
}

fn proxy(proxies: &Proxies) -> Proxy {
    let no_proxy: Vec<&str> = proxies.no_proxy.iter().map(|host| &**host).collect();
    Proxy {
        http: proxies.http.as_ref().map(ToString::to_string),
        https: proxies.https.as_ref().map(ToString::to_string),
        no_proxy: (!no_proxy.is_empty()).then(|| no_proxy.join(",")),
    }
}

fn scratch_size(size: &Memory) -> Result<i64, ValidateError> {
    const FIELD: &str = "spec.storage.scratchSize";
    let bytes = size.bytes().filter(|bytes| *bytes >= LEAST_SCRATCH);
    let bytes = bytes.ok_or_else(|| {
        invalid(
            FIELD,
            format!("must be between {}M and 2^63 bytes", LEAST_SCRATCH / 1_000_000),
        )
    })?;
    Ok(bytes / SCRATCH_UNIT)
}

fn quota(size: &Memory) -> Result<i64, ValidateError> {
    let bytes = size.bytes().filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| {
        invalid(
            "spec.storage.quota",
            "must be between 1 and 2^63 bytes".to_owned(),
        )
    })
}

/// Where only some registries are allowed, insecure ones are allowed too: else they could not be used.
fn allowed(registries: &Registries) -> Vec<String> {
    let mut allowed: Vec<String> = registries.allowed.iter().map(ToString::to_string).collect();
    if allowed.is_empty() {
        return allowed;
    }
    for insecure in registries.insecure.iter().map(ToString::to_string) {
        if !allowed.contains(&insecure) {
            allowed.push(insecure);
        }
    }
    allowed
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(changes: &Value) -> Result<Options, String> {
        let mut spec = json!({
            "siteRef": {"name": "poc"}, "version": "v1.5.8", "tls": {"mode": "Verify"},
            "networks": {"bridge": {"networkRef": {"name": "b"}}, "public": {"networkRef": {"name": "p"}}},
        });
        for (name, value) in changes.as_object().unwrap() {
            match (
                spec.get_mut(name).and_then(Value::as_object_mut),
                value.as_object(),
            ) {
                (Some(known), Some(more)) => known.extend(more.clone()),
                _ => spec[name] = value.clone(),
            }
        }
        options(&serde_json::from_value(spec).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_vics_default() {
        assert_eq!(of(&json!({})).unwrap(), Options::default());
        assert_eq!(
            of(&json!({"networks": {"asymmetricRouting": "Disabled"}})).unwrap(),
            Options::default()
        );
    }

    #[test]
    fn sizes_are_in_vics_units() {
        for (size, expected) in [("8G", 8_000_000), ("1Gi", 1_073_741), ("100M", 100_000)] {
            let options = of(&json!({"storage": {"scratchSize": size}})).unwrap();
            assert_eq!(options.scratch_size, expected, "{size}");
        }
        for (field, size) in [
            ("scratchSize", "99M"),
            ("scratchSize", "9999999999Ti"),
            ("quota", "0"),
        ] {
            let refused = of(&json!({"storage": {field: size}})).unwrap_err();
            assert!(refused.contains(field), "{refused}");
        }
        assert_eq!(
            of(&json!({"storage": {"quota": "10Gi"}})).unwrap().quota,
            10 << 30
        );
    }

    #[test]
    fn syslog_has_a_port_always() {
        for (server, network, address) in [
            (
                json!({"protocol": "UDP", "host": "10.0.0.5"}),
                "udp",
                "10.0.0.5:514",
            ),
            (
                json!({"protocol": "TCP", "host": "logs.example.com", "port": 6514}),
                "tcp",
                "logs.example.com:6514",
            ),
        ] {
            let syslog = of(&json!({"endpoint": {"syslog": server}}))
                .unwrap()
                .syslog
                .unwrap();
            assert_eq!(
                (syslog.network.as_str(), syslog.address.as_str()),
                (network, address)
            );
        }
    }

    #[test]
    fn a_list_of_allowed_registries_takes_in_the_insecure_ones() {
        let lists = |registries: Value| {
            let options = of(&json!({"registries": registries})).unwrap();
            (options.insecure_registries, options.allowed_registries)
        };
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            lists(json!({"insecure": ["a:5000"]})),
            (texts(&["a:5000"]), Vec::new()),
            "all are allowed"
        );
        assert_eq!(
            lists(json!({"insecure": ["a:5000", "b"], "allowed": ["b", "10.0.0.0/8"]})),
            (texts(&["a:5000", "b"]), texts(&["b", "10.0.0.0/8", "a:5000"]))
        );
    }

    #[test]
    fn proxies_exceptions_are_one_text() {
        let proxies = json!({"http": "http://p:3128", "noProxy": ["localhost", ".example.com"]});
        let proxy = of(&json!({"proxies": proxies})).unwrap().proxy;
        assert_eq!(proxy.http.as_deref(), Some("http://p:3128"));
        assert_eq!(
            (proxy.https, proxy.no_proxy.as_deref()),
            (None, Some("localhost,.example.com"))
        );
    }
}
