//! The options of `vic-machine create`: their names, what they take, and what becomes of them here.

use super::values;

/// What an option takes on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or a boolean after `=`.
    Nothing,
    /// A text; the last one counts.
    Text,
    /// A whole number; the last one counts.
    Whole,
    /// A length of time in Go's notation; the last one counts.
    Time,
    /// A text each time it is given.
    Texts,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It shows in a manifest.
    Manifest,
    /// Nothing is needed for it, or nothing can be said yet: a sentence tells why. It is the remark of
    /// `docs/vic-machine-options.md`.
    Sentence(&'static str),
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Its name, without dashes.
    pub name: &'static str,
    /// Its other names: a short form, and names that older releases had.
    pub others: &'static [&'static str],
    /// What it takes.
    pub takes: Takes,
    /// The environment variable that speaks where the command line does not.
    pub env: Option<&'static str>,
    /// What becomes of it.
    pub answer: Answer,
}

impl Opt {
    /// Whether a text is one that the option takes; else the rule.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match self.takes {
            Takes::Nothing => values::boolean(text).map(|_| ()),
            Takes::Whole => values::whole(text).map(|_| ()),
            Takes::Time => values::time(text),
            Takes::Text | Takes::Texts => Ok(()),
        }
    }
}

const fn told(name: &'static str, others: &'static [&'static str], takes: Takes, why: &'static str) -> Opt {
    Opt {
        name,
        others,
        takes,
        env: None,
        answer: Answer::Sentence(why),
    }
}

const fn made(name: &'static str, others: &'static [&'static str], takes: Takes) -> Opt {
    Opt {
        name,
        others,
        takes,
        env: None,
        answer: Answer::Manifest,
    }
}

const fn with_env(option: Opt, env: &'static str) -> Opt {
    Opt {
        env: Some(env),
        ..option
    }
}

/// The option of a name, in any of its forms.
#[must_use]
pub fn named(name: &str) -> Option<&'static Opt> {
    OPTIONS
        .iter()
        .find(|option| option.name == name || option.others.contains(&name))
}

use Takes::{Nothing, Text, Texts, Time, Whole};

/// Every option of release 1.5.8, in the order of its help.
pub const OPTIONS: &[Opt] = &[
    with_env(made("target", &["t"], Text), "VIC_MACHINE_TARGET"),
    with_env(made("user", &["u"], Text), "VIC_MACHINE_USER"),
    with_env(made("password", &["p"], Text), "VIC_MACHINE_PASSWORD"),
    with_env(made("thumbprint", &[], Text), "VIC_MACHINE_THUMBPRINT"),
    made("name", &["n"], Text),
    told(
        "force",
        &["f"],
        Nothing,
        "Nothing here is done by force: trust is always required, and what would be overridden is a condition.",
    ),
    told(
        "timeout",
        &[],
        Time,
        "The operator waits as long as it takes, and the condition says what for.",
    ),
    made("debug", &["v"], Whole),
    made("asymmetric-routes", &["ar"], Nothing),
    told(
        "extended-help",
        &["x"],
        Nothing,
        "Every field is in the reference.",
    ),
    made("compute-resource", &["r"], Text),
    made("memory", &["mem"], Whole),
    made("memory-reservation", &["memr"], Whole),
    made("memory-shares", &["mems"], Text),
    made("cpu", &[], Whole),
    made("cpu-reservation", &["cpur"], Whole),
    made("cpu-shares", &["cpus"], Text),
    made("endpoint-cpu", &[], Whole),
    made("endpoint-memory", &[], Whole),
    told(
        "affinity-vm-group",
        &[],
        Nothing,
        "There is no field yet: a DRS rule for a VCH is made by hand.",
    ),
    made("containers", &[], Whole),
    made("image-store", &["i"], Text),
    made("base-image-size", &[], Text),
    made("volume-store", &["vs"], Texts),
    made("storage-quota", &["sq"], Whole),
    made("bridge-network", &["b"], Text),
    made("bridge-network-range", &["bnr"], Text),
    made("bridge-network-width", &["bnw"], Whole),
    made("public-network", &["pn"], Text),
    made("client-network", &["cln"], Text),
    made("management-network", &["mn"], Text),
    made("public-network-ip", &[], Text),
    made("client-network-ip", &[], Text),
    made("management-network-ip", &[], Text),
    made("public-network-gateway", &[], Text),
    made("client-network-gateway", &[], Text),
    made("management-network-gateway", &[], Text),
    made("dns-server", &[], Texts),
    made("container-network", &["cn"], Texts),
    made("container-network-gateway", &["cng"], Texts),
    made("container-network-ip-range", &["cnr"], Texts),
    made("container-network-dns", &["cnd"], Texts),
    made("container-network-firewall", &["cnf"], Texts),
    made("no-tls", &["k"], Nothing),
    made("no-tlsverify", &["kv"], Nothing),
    made("tls-cname", &[], Text),
    told(
        "tls-server-cert",
        &["cert"],
        Text,
        "There is no field yet: the operator makes the certificate.",
    ),
    told(
        "tls-server-key",
        &["key"],
        Text,
        "There is no field yet: the operator makes the key.",
    ),
    made("tls-cert-path", &["cert-path"], Text),
    told(
        "tls-ca",
        &["ca"],
        Texts,
        "There is no field yet: clients are known by certificates of the VCH's own authority.",
    ),
    told("organization", &[], Texts, "It is always the VCH's name."),
    told(
        "certificate-key-size",
        &["ksz"],
        Whole,
        "Keys are as strong as today's clients expect.",
    ),
    told("registry-ca", &["rc"], Texts, "There is no field yet."),
    made("insecure-registry", &["dir"], Texts),
    made("whitelist-registry", &["wr"], Texts),
    made("http-proxy", &[], Text),
    made("https-proxy", &[], Text),
    made("no-proxy", &[], Text),
    made("ops-user", &[], Text),
    made("ops-password", &[], Text),
    told(
        "ops-grant-perms",
        &[],
        Nothing,
        "There is no field yet: whoever makes the account gives it its rights.",
    ),
    made("container-name-convention", &["cnc"], Text),
    made("syslog-address", &[], Text),
    made("appliance-iso", &["ai"], Text),
    made("bootstrap-iso", &["bi"], Text),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Rows of the options' page: the option, its field and the remark.
    fn page() -> Vec<[String; 3]> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vic-machine-options.md");
        let text = fs::read_to_string(file).unwrap();
        text.lines()
            .filter_map(|line| line.strip_prefix("| `--"))
            .map(|line| {
                let mut cells = line.split('|').map(|cell| cell.trim().to_owned());
                let mut next = || cells.next().unwrap_or_default();
                [next().trim_end_matches('`').to_owned(), next(), next()]
            })
            .collect()
    }

    #[test]
    fn the_page_and_this_table_tell_the_same_of_each_option() {
        let page = page();
        let told: Vec<&str> = page.iter().map(|[option, ..]| option.as_str()).collect();
        let here: Vec<&str> = OPTIONS.iter().map(|option| option.name).collect();
        assert_eq!(told, here);
        for ([option, field, remark], here) in page.iter().zip(OPTIONS) {
            match here.answer {
                Answer::Manifest => assert_ne!(field, "–", "--{option}"),
                Answer::Sentence(why) => {
                    assert_eq!((field.as_str(), remark.as_str()), ("–", why), "--{option}");
                }
            }
        }
    }

    #[test]
    fn no_two_options_share_a_name() {
        let names: Vec<&str> = OPTIONS
            .iter()
            .flat_map(|option| std::iter::once(option.name).chain(option.others.iter().copied()))
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for name in names {
            assert!(named(name).is_some(), "{name}");
        }
        assert!(named("container-store").is_none());
    }

    #[test]
    fn a_value_is_checked_by_what_the_option_takes() {
        for (option, text, fits) in [
            ("no-tls", "true", true),
            ("no-tls", "yes", false),
            ("cpu", "4000", true),
            ("cpu", "4GHz", false),
            ("timeout", "3m0s", true),
            ("timeout", "3", false),
            ("name", "anything", true),
        ] {
            assert_eq!(
                named(option).unwrap().check(text).is_ok(),
                fits,
                "--{option}={text}"
            );
        }
    }
}
