//! Strings with a form: each is one type with one schema, so that a rule is written once.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Declares a transparent string type and its structural schema.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident { $($schema:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", $($schema)* })
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text! {
    /// The name of another Kubernetes object.
    ObjectName {
        "minLength": 1, "maxLength": 253,
        "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
    }
}
text! {
    /// A DNS label: the name of one item of a list.
    ItemName {
        "minLength": 1, "maxLength": 63,
        "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    }
}
text! {
    /// A name that Docker's users type: a container network's alias, a volume store's label.
    Label {
        "minLength": 1, "maxLength": 63,
        "pattern": "^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$"
    }
}
text! {
    /// An id or moref, a unique name, or an inventory path below the datacenter.
    OutsideName { "minLength": 1, "maxLength": 255 }
}
text! {
    /// A VCH's name in vSphere: at most 31 characters, none that vic-machine refuses.
    VchName {
        "minLength": 1, "maxLength": 31,
        "pattern": "^[^%&*$#@!\\\\/:?\"<>;'|]+$"
    }
}
text! {
    /// A network's name in vSphere or NSX: at most 80 characters, without `/` and `\`.
    NetworkName { "minLength": 1, "maxLength": 80, "pattern": "^[^/\\\\%]+$" }
}
text! {
    /// An IPv4 address.
    Address {
        "maxLength": 15,
        "x-kubernetes-validations": [
            {"rule": "isIP(self) && ip(self).family() == 4", "message": "must be an IPv4 address, such as 10.30.0.11"}
        ]
    }
}
text! {
    /// An IPv4 network in CIDR form, host bits zero.
    Cidr {
        "maxLength": 18,
        "x-kubernetes-validations": [
            {"rule": "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self) == cidr(self).masked()",
             "message": "must be an IPv4 network in CIDR form without host bits, such as 10.30.0.0/24"}
        ]
    }
}
text! {
    /// An IPv4 interface: a host's address with the prefix of its network.
    InterfaceAddress {
        "maxLength": 18,
        "x-kubernetes-validations": [
            {"rule": "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self).prefixLength() <= 30 && !(cidr(self) == cidr(self).masked())",
             "message": "must be a host's IPv4 address with a prefix of at most 30, such as 10.30.0.1/24"}
        ]
    }
}
text! {
    /// An IPv4 network or a single address.
    AddressOrCidr {
        "maxLength": 18,
        "x-kubernetes-validations": [
            {"rule": "(isIP(self) && ip(self).family() == 4) || (isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self) == cidr(self).masked())",
             "message": "must be an IPv4 address or a network in CIDR form, such as 203.0.113.10 or 203.0.113.0/28"}
        ]
    }
}
text! {
    /// A range of IPv4 addresses, first and last.
    AddressRange {
        "maxLength": 31,
        "x-kubernetes-validations": [
            {"rule": "self.split('-').size() == 2 && self.split('-').all(a, isIP(a) && ip(a).family() == 4)",
             "message": "must be two IPv4 addresses, first and last, such as 10.30.0.11-10.30.0.199"}
        ]
    }
}
text! {
    /// An `https` URL without a path.
    EndpointUrl {
        "maxLength": 255,
        "pattern": "^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$"
    }
}
text! {
    /// Where an image is fetched from.
    DownloadUrl { "maxLength": 2048, "pattern": "^https?://[^\\s]+$" }
}
text! {
    /// SHA-256 of a file, as 64 hexadecimal digits.
    Sha256 { "maxLength": 64, "pattern": "^[0-9a-f]{64}$" }
}
text! {
    /// SHA-256 thumbprint of a certificate, bytes in upper case separated by colons.
    Thumbprint { "maxLength": 95, "pattern": "^([0-9A-F]{2}:){31}[0-9A-F]{2}$" }
}
text! {
    /// A VLAN or a range of VLANs, such as `120` or `100-199`.
    VlanRange {
        "maxLength": 9,
        "x-kubernetes-validations": [
            {"rule": "self.matches('^[0-9]{1,4}(-[0-9]{1,4})?$') && self.split('-').all(v, int(v) <= 4094)",
             "message": "must be a VLAN between 0 and 4094 or a range of them, such as 120 or 100-199"}
        ]
    }
}
text! {
    /// A length of time in whole hours, minutes or seconds, such as `1h`.
    Period { "maxLength": 16, "pattern": "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$", "minLength": 2 }
}
text! {
    /// When something happens, in the five fields of cron, such as `0 2 * * SAT`.
    Schedule { "maxLength": 96, "pattern": "^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$" }
}
text! {
    /// A time zone of the IANA database, such as `Europe/Berlin`.
    TimeZone { "maxLength": 64, "pattern": "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$" }
}
text! {
    /// The name of a plan: twelve hexadecimal digits.
    PlanId { "pattern": "^[0-9a-f]{12}$" }
}
text! {
    /// An amount of memory in Kubernetes' notation, such as `2Gi`.
    Memory { "maxLength": 16, "pattern": "^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$" }
}
text! {
    /// A container's name as Docker takes it.
    ContainerName { "minLength": 1, "maxLength": 128, "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_.-]*$" }
}
text! {
    /// The scope of a tag in NSX.
    TagScope {
        "minLength": 1, "maxLength": 128,
        "x-kubernetes-validations": [{"rule": "!self.contains('|')", "message": "must not contain |, which separates scope and tag in NSX"}]
    }
}
text! {
    /// The value of a tag in NSX.
    TagValue {
        "minLength": 1, "maxLength": 256,
        "x-kubernetes-validations": [{"rule": "!self.contains('|')", "message": "must not contain |, which separates scope and tag in NSX"}]
    }
}
text! {
    /// A MAC address in six pairs of hexadecimal digits.
    MacAddress { "maxLength": 17, "pattern": "^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$" }
}
text! {
    /// The policy path of a gateway's interface.
    InterfacePath {
        "maxLength": 512,
        "pattern": "^/infra/tier-[01]s/[^/ ]+/locale-services/[^/ ]+/(interfaces|service-interfaces)/[^/ ]+$"
    }
}
text! {
    /// A folder on a datastore, relative to its root.
    FolderPath { "minLength": 1, "maxLength": 200, "pattern": "^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$" }
}
text! {
    /// A release's version, such as `v1.5.8`.
    Version { "minLength": 1, "maxLength": 32, "pattern": "^v?[0-9]+(\\.[0-9]+)*([-+][0-9A-Za-z.-]+)?$" }
}
text! {
    /// A DNS name.
    HostName { "minLength": 1, "maxLength": 253, "pattern": "^(\\*\\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$" }
}
text! {
    /// A DNS name or an IPv4 address.
    Host { "minLength": 1, "maxLength": 253, "pattern": "^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$" }
}
text! {
    /// A registry's host, perhaps with its port, or all below a domain: `registry.example.com:5000`, `*.example.com`.
    Registry {
        "minLength": 1, "maxLength": 260,
        "pattern": "^(\\*\\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$"
    }
}
text! {
    /// A registry, or all in a network: `registry.example.com`, `10.0.0.0/8`.
    AllowedRegistry {
        "minLength": 1, "maxLength": 260,
        "pattern": "^(\\*\\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5}|/[0-9]{1,2})?$"
    }
}
text! {
    /// A proxy's URL.
    ProxyUrl { "maxLength": 255, "pattern": "^https?://[A-Za-z0-9.:@_-]+/?$" }
}
text! {
    /// What needs no proxy: a host, a domain with a dot in front, or a network.
    ProxyException { "minLength": 1, "maxLength": 253, "pattern": "^[A-Za-z0-9.*/:-]+$" }
}
text! {
    /// How containers' VMs are named: some text with `{name}` or `{id}`, of at most 71 characters so that the name fits
    /// vSphere's 80.
    NameConvention {
        "minLength": 4, "maxLength": 71,
        "pattern": "^[^%&*$#@!\\\\/:?\"<>;'|]*\\{(name|id)\\}[^%&*$#@!\\\\/:?\"<>;'|]*$"
    }
}
text! {
    /// The path of an NFS export.
    NfsPath { "minLength": 1, "maxLength": 200, "pattern": "^/[A-Za-z0-9_./-]*$" }
}

impl Memory {
    /// The amount in bytes, or `None` where it does not fit 63 bits.
    #[must_use]
    pub fn bytes(&self) -> Option<i64> {
        let digits = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (number, unit) = self.0.split_at(digits);
        let factor: i64 = match unit {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            _ => return None,
        };
        number.parse::<i64>().ok()?.checked_mul(factor)
    }
}

impl Period {
    /// The length in seconds, or `None` where it does not fit.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        let mut rest = self.0.as_str();
        let mut total = 0_u64;
        for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
            if let Some((number, after)) = rest.split_once(unit) {
                total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
                rest = after;
            }
        }
        rest.is_empty().then_some(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_both_bases() {
        for (text, bytes) in [
            ("2Gi", Some(2 << 30)),
            ("1500M", Some(1_500_000_000)),
            ("7", Some(7)),
            ("9999999999Ti", None),
        ] {
            assert_eq!(Memory::from(text).bytes(), bytes, "{text}");
        }
    }

    #[test]
    fn a_period_adds_its_units() {
        for (text, seconds) in [
            ("1h", Some(3600)),
            ("1h30m", Some(5400)),
            ("45s", Some(45)),
            ("1x", None),
        ] {
            assert_eq!(Period::from(text).seconds(), seconds, "{text}");
        }
    }
}
