//! Turns the options of a command line into manifests. Pure: what lies outside was looked at before.

use vic_crds::{ObjectRef, VchName, Version, VirtualContainerHost, VirtualContainerHostSpec};

use super::Outside;
use super::options::{Answer, OPTIONS};
use super::parse::{Given, Problem, Problems};
use super::print::Document;
use super::values;

mod compute;
mod containers;
mod networks;
mod security;
mod services;
mod site;
mod storage;
#[cfg(test)]
mod tests;

/// The name that `vic-machine` gives where none is given.
const DEFAULT_NAME: &str = "virtual-container-host";
/// The release whose options these are.
const RELEASE: &str = "v1.5.8";

/// How manifests are made of it, beside the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the VCH and its networks.
    pub namespace: String,
    /// The operator's own namespace, where Secrets of Sites lie.
    pub operator_namespace: String,
    /// A Site that exists; without it one is made.
    pub site: Option<String>,
    /// URL of the folder that serves both images.
    pub images: Option<String>,
    /// Whether passwords are left out.
    pub redact: bool,
}

/// What a command line became.
#[derive(Debug)]
pub struct Import {
    /// In the order in which they are to be applied.
    pub documents: Vec<Document>,
    /// What is to be known of options that no manifest shows, a sentence each.
    pub notes: Vec<String>,
}

/// What is gathered while options are translated.
struct Sheet<'a> {
    given: &'a Given,
    settings: &'a Settings,
    outside: &'a Outside,
    problems: Problems,
    notes: Vec<String>,
    /// What the Site has to grant.
    grants: vic_crds::Grants,
}

impl Sheet<'_> {
    fn note(&mut self, option: &str, sentence: impl AsRef<str>) {
        self.notes.push(format!("--{option}: {}", sentence.as_ref()));
    }

    /// The text of an option as a field takes it.
    fn field<T>(&mut self, option: &str) -> Option<T>
    where
        T: schemars::JsonSchema + for<'t> From<&'t str>,
    {
        let text = self.given.text(option)?;
        self.problems.take(option, values::field::<T, &str>(text))
    }

    /// The number of an option, if it is at least `least`.
    fn at_least(&mut self, option: &str, least: i64) -> Option<i64> {
        let number = self.given.whole(option)?;
        let rule = || format!("{number} is less than {least}");
        let outcome = (number >= least).then_some(number).ok_or_else(rule);
        self.problems.take(option, outcome)
    }

    /// The same as a number of 32 bits.
    fn small(&mut self, option: &str, least: i64, most: i32) -> Option<i32> {
        let number = self.at_least(option, least)?;
        let small = i32::try_from(number).ok().filter(|number| *number <= most);
        let rule = || format!("{number} is more than {most}");
        self.problems.take(option, small.ok_or_else(rule))
    }
}

/// The manifests of a VCH that `vic-machine create` would have made with these options.
///
/// # Errors
/// All that `vic-machine`, or the API, does not take.
pub fn translate(given: &Given, settings: &Settings, outside: &Outside) -> Result<Import, Vec<Problem>> {
    let mut sheet = Sheet {
        given,
        settings,
        outside,
        problems: Problems::default(),
        notes: Vec::new(),
        grants: vic_crds::Grants::default(),
    };
    sheet.sentences();
    let name = given.text("name").unwrap_or(DEFAULT_NAME);
    let display_name = sheet.problems.take("name", values::field::<VchName, &str>(name));
    let object_name = slug(name);
    let endpoint = compute::endpoint(&mut sheet);
    let compute = compute::compute(&mut sheet);
    let storage = storage::storage(&mut sheet);
    let networks = networks::networks(&mut sheet, name, &object_name);
    let tls = security::tls(
        &mut sheet,
        networks.as_ref().is_some_and(|networks| networks.client_is_fixed),
    );
    let containers = services::containers(&mut sheet);
    let registries = services::registries(&mut sheet);
    let proxies = services::proxies(&mut sheet);
    let site = site::site(&mut sheet, &object_name);
    let secret = (!given.is_on("no-tls")).then(|| object_ref(&format!("{object_name}-docker")));
    let version = outside
        .release
        .as_ref()
        .map_or(RELEASE, |release| release.version.as_str());
    let documents = || {
        let networks = networks?;
        let site = site?;
        let spec = VirtualContainerHostSpec {
            site_ref: object_ref(&site.name),
            display_name: Some(display_name?),
            version: Version::from(version),
            endpoint,
            compute,
            storage,
            networks: networks.spec,
            containers,
            registries,
            proxies,
            tls,
            connection_secret_ref: secret,
            on_delete: None,
            readiness: None,
            management_policy: None,
            maintenance: None,
            deletion_policy: None,
        };
        let mut vch = VirtualContainerHost::new(&object_name, spec);
        vch.metadata.namespace = Some(settings.namespace.clone());
        let mut documents = site.documents;
        for mut network in networks.objects {
            network.spec.site_ref = object_ref(&site.name);
            documents.push(Document::of(&network));
        }
        documents.push(Document::of(&vch));
        Some(documents)
    };
    let (notes, documents) = (std::mem::take(&mut sheet.notes), documents());
    let documents = sheet.problems.conclude(documents)?;
    Ok(Import { documents, notes })
}

impl Sheet<'_> {
    /// What is said of options that no manifest shows.
    fn sentences(&mut self) {
        for option in OPTIONS {
            if let (Answer::Sentence(why), true) = (option.answer, self.given.has(option.name)) {
                self.note(option.name, why);
            }
        }
    }
}

fn object_ref(name: &str) -> ObjectRef {
    ObjectRef { name: name.into() }
}

/// A name that Kubernetes takes: lower case letters, digits and dashes.
fn slug(text: &str) -> String {
    let dashed: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let parts: Vec<&str> = dashed.split('-').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        "vch".to_owned()
    } else {
        parts.join("-")
    }
}
