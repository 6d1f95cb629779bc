//! Manifests as a user would write them, each from a plain one and what differs.

use lab::Lab;
use lab::kinds::{KINDS, Key, Kind};
use serde_json::{Value, json};

use crate::failure::Outcome;

/// `Site`.
pub const SITE: Kind = KINDS[0];
/// `ContainerNetwork`.
pub const NETWORK: Kind = KINDS[1];
/// `VirtualContainerHost`.
pub const HOST: Kind = KINDS[2];
/// `EdgeNatRule`.
pub const RULE: Kind = KINDS[3];
/// `EdgeGateway`.
pub const EDGE_GATEWAY: Kind = KINDS[4];
/// `MicrosegmentationPolicy`.
pub const POLICY: Kind = KINDS[5];

/// Name of the Site that manifests name unless they say otherwise.
pub const POC: &str = "poc";
/// The version of the release that the laboratory serves.
pub const RELEASE: &str = "v1.5.8";
/// The label by which the Site's tenant knows a test's namespaces.
pub const TEAM: (&str, &str) = ("team", "e2e");
/// The external address that most rules publish on.
pub const EDGE: &str = "203.0.113.10";

/// The key of a namespaced object.
#[must_use]
pub fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    Key {
        kind,
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}

/// The key of a Site.
#[must_use]
pub fn site_key(name: &str) -> Key {
    Key {
        kind: SITE,
        namespace: None,
        name: name.to_owned(),
    }
}

/// The key of a manifest.
#[must_use]
pub fn key_of(manifest: &Value) -> Option<Key> {
    let text = |pointer: &str| {
        manifest
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let kind = Kind::named(&text("/kind")?)?;
    Some(Key {
        kind,
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name")?,
    })
}

/// Puts `changes` over `value` as a JSON merge patch does: `null` takes a field away.
#[must_use]
pub fn merged(mut value: Value, changes: &Value) -> Value {
    let Some(fields) = changes.as_object() else {
        return changes.clone();
    };
    if !value.is_object() {
        value = json!({});
    }
    if let Some(object) = value.as_object_mut() {
        for (name, change) in fields {
            if change.is_null() {
                object.remove(name);
            } else {
                let before = object.remove(name).unwrap_or_default();
                object.insert(name.clone(), merged(before, change));
            }
        }
    }
    value
}

fn object(key: &Key, spec: &Value) -> Value {
    let mut metadata = json!({"name": key.name});
    if let (Some(namespace), Some(metadata)) = (&key.namespace, metadata.as_object_mut()) {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    json!({"apiVersion": "vic-operator.io/v1alpha1", "kind": key.kind.name, "metadata": metadata, "spec": spec})
}

/// A Site of the laboratory's simulators, which grants [`grants`] to every namespace of the team.
///
/// # Errors
/// The laboratory serves no images.
pub fn site(lab: &Lab, name: &str, changes: &Value) -> Outcome<Value> {
    let spec = json!({
        "vcenter": {
            "url": lab.vcenter.url,
            "datacenter": "DC0",
            "credentialsRef": {"name": "vcenter-credentials"},
            "endpointCredentialsRef": {"name": "vcenter-endpoint"},
            "trust": {"caBundleRef": {"name": "vcenter-ca"}},
        },
        "nsx": {
            "urls": lab.nsx.nodes,
            "credentialsRef": {"name": "nsx-credentials"},
            "trust": {"caBundleRef": {"name": "nsx-ca"}},
        },
        "defaults": {
            "resourcePool": "DC0_C0/Resources/Containers",
            "datastore": "LocalDS_0",
            "distributedSwitch": "DVS0",
            "overlayTransportZone": "overlay",
        },
        "releases": releases(lab)?,
        "tenants": tenants(&grants(lab, &json!({}))),
    });
    Ok(object(&site_key(name), &merged(spec, changes)))
}

/// What the team may use.
#[must_use]
pub fn grants(lab: &Lab, changes: &Value) -> Value {
    let grants = json!({
        "resourcePools": ["DC0_C0/Resources/Containers"],
        "datastores": ["LocalDS_0"],
        "vlanIDs": ["100-199"],
        "subnets": [lab.network().subnet(), "10.30.0.0/16"],
        "gateways": [{"tier1": "vic-edge"}],
        "externalAddresses": ["203.0.113.0/24"],
    });
    merged(grants, changes)
}

/// A VLAN port group.
#[must_use]
pub fn vlan(namespace: &str, name: &str, vlan: u16, changes: &Value) -> Value {
    let spec = json!({
        "siteRef": {"name": POC},
        "backing": {"type": "PortGroup", "portGroup": {"vlanID": vlan}},
    });
    object(&key(NETWORK, namespace, name), &merged(spec, changes))
}

/// The VLAN on which VCHs of the laboratory are reached.
#[must_use]
pub fn public(lab: &Lab, namespace: &str, vlan_id: u16) -> Value {
    let subnets =
        json!([{"gatewayAddress": format!("{}/24", lab.network().gateway()), "dnsServers": ["10.20.0.53"]}]);
    vlan(namespace, "public", vlan_id, &json!({"subnets": subnets}))
}

/// An isolated segment.
#[must_use]
pub fn segment(namespace: &str, name: &str, changes: &Value) -> Value {
    let spec = json!({"siteRef": {"name": POC}, "backing": {"type": "Segment"}});
    object(&key(NETWORK, namespace, name), &merged(spec, changes))
}

/// A segment on the edge gateway with subnet `10.30.<third>.0/24`, without DHCP.
#[must_use]
pub fn routed(namespace: &str, name: &str, third: u8, changes: &Value) -> Value {
    let spec = json!({
        "backing": {"segment": {"gateway": {"tier1": "vic-edge"}}},
        "subnets": [{"gatewayAddress": format!("10.30.{third}.1/24"), "dnsServers": ["10.20.0.53"]}],
    });
    segment(namespace, name, &merged(spec, changes))
}

/// The DHCP of a routed segment: server `.2`, range `.11` to `.199`.
#[must_use]
pub fn dhcp(third: u8) -> Value {
    json!({"subnets": [{
        "gatewayAddress": format!("10.30.{third}.1/24"),
        "dnsServers": ["10.20.0.53"],
        "dhcp": {
            "mode": "Server",
            "serverAddress": format!("10.30.{third}.2"),
            "ranges": [format!("10.30.{third}.11-10.30.{third}.199")],
            "leaseTime": "1h",
        },
    }]})
}

/// A Tier-1 gateway below `vic-t0`, on the Tier-0's edge cluster.
#[must_use]
pub fn edge_gateway(namespace: &str, name: &str, changes: &Value) -> Value {
    let spec = json!({
        "siteRef": {"name": POC},
        "backing": {"type": "Tier1", "tier1": {"tier0": "vic-t0"}},
    });
    object(&key(EDGE_GATEWAY, namespace, name), &merged(spec, changes))
}

/// An existing gateway.
#[must_use]
pub fn existing_gateway(namespace: &str, name: &str, gateway: &Value) -> Value {
    let spec = json!({
        "siteRef": {"name": POC},
        "backing": {"type": "Existing", "existing": gateway},
    });
    object(&key(EDGE_GATEWAY, namespace, name), &spec)
}

/// A DNAT rule: TCP `port` of the edge's address to port 80 of `address` on network `web`, open to everyone.
#[must_use]
pub fn dnat(namespace: &str, name: &str, port: u16, address: &str, changes: &Value) -> Value {
    let spec = json!({
        "siteRef": {"name": POC},
        "action": "DNAT",
        "protocol": "TCP",
        "external": {"address": EDGE, "port": port},
        "internal": {"networkRef": {"name": "web"}, "address": address, "port": 80},
        "firewall": {"mode": "Exclusive", "allowFrom": [{"cidr": "0.0.0.0/0"}]},
    });
    object(&key(RULE, namespace, name), &merged(spec, changes))
}

/// A rule of another action; everything about it is in `spec`.
#[must_use]
pub fn rule(namespace: &str, name: &str, spec: &Value) -> Value {
    object(
        &key(RULE, namespace, name),
        &merged(json!({"siteRef": {"name": POC}}), spec),
    )
}

/// A policy of the distributed firewall; everything about it is in `spec`.
#[must_use]
pub fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    object(
        &key(POLICY, namespace, name),
        &merged(json!({"siteRef": {"name": POC}}), spec),
    )
}

/// An address of the laboratory's network, by its last number: from 10 on they are the VCHs'.
#[must_use]
pub fn address(lab: &Lab, last: u8) -> String {
    let [a, b, c, _] = lab.network().subnet().network().octets();
    format!("{a}.{b}.{c}.{last}")
}

/// What a Site declares of its one release.
///
/// # Errors
/// The laboratory serves no images.
pub fn releases(lab: &Lab) -> Outcome<Value> {
    let image = |name: &str| {
        lab.images
            .image(name)
            .map(|(url, sha256)| json!({"url": url, "sha256": sha256}))
    };
    Ok(json!([{
        "version": RELEASE,
        "applianceISO": image("appliance.iso")?,
        "bootstrapISO": image("bootstrap.iso")?,
    }]))
}

/// A tenant entry: the team, with these grants.
#[must_use]
pub fn tenants(grants: &Value) -> Value {
    json!([{
        "name": "team",
        "namespaces": {"selector": {"matchLabels": {TEAM.0: TEAM.1}}},
        "allow": grants,
    }])
}

/// A VCH on networks `bridge` and `public`, at the laboratory's address for one.
#[must_use]
pub fn vch(lab: &Lab, namespace: &str, name: &str, changes: &Value) -> Value {
    let spec = json!({
        "siteRef": {"name": POC},
        "version": RELEASE,
        "endpoint": {"cpus": 1, "memory": "2Gi"},
        "compute": {"cpu": {"limitMHz": 8000}, "memory": {"limit": "32Gi"}},
        "networks": {
            "bridge": {"networkRef": {"name": "bridge"}},
            "public": {"networkRef": {"name": "public"}, "static": {"address": lab.network().vch()}},
            "dnsServers": ["10.20.0.53"],
        },
        "tls": {"mode": "Verify"},
        "connectionSecretRef": {"name": format!("{name}-docker")},
    });
    object(&key(HOST, namespace, name), &merged(spec, changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_reach_deep_and_null_takes_away() {
        let rule = dnat(
            "a",
            "b",
            80,
            "10.30.0.11",
            &json!({"external": {"port": 81, "endPort": 90}, "firewall": null}),
        );
        assert_eq!(
            rule["spec"]["external"],
            json!({"address": EDGE, "port": 81, "endPort": 90})
        );
        assert!(rule["spec"].get("firewall").is_none());
        assert_eq!(key_of(&rule), Some(key(RULE, "a", "b")));
    }
}
