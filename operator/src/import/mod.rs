//! `vic-operator import vic-machine`: manifests of a VCH from the command line that made it.
//!
//! [`parse`] reads the words, this module looks at what they name outside (images, vCenter's certificate),
//! [`translate`] makes manifests of both without any I/O, and [`print`] writes them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use sha2::{Digest as _, Sha256};

pub mod options;
pub mod parse;
pub mod print;
pub mod translate;
pub mod values;

use crate::images::Publisher;
use crate::trust::{Anchor, client_config};
use options::{Answer, OPTIONS};
use parse::{Given, Line};
use translate::Settings;

/// How long a look at vCenter's certificate may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The publisher's field of an ISO image: offset and length.
const PUBLISHER_OFFSET: u64 = 0x8000 + 318;
const PUBLISHER_LENGTH: usize = 128;

/// Prints manifests for a command line of vic-machine create.
#[derive(Args, Clone, Debug)]
pub struct VicMachine {
    /// Namespace of the VCH and its networks.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// The operator's own namespace, where the Secrets of Sites lie.
    #[arg(long, default_value = "vic-operator-system")]
    operator_namespace: String,
    /// A Site that exists; without it one is printed, named after the VCH.
    #[arg(long)]
    site: Option<String>,
    /// URL of the folder that serves both images to the operator.
    #[arg(long)]
    images: Option<String>,
    /// Do not connect to vCenter to see the certificate that --thumbprint names.
    #[arg(long)]
    offline: bool,
    /// Leave passwords out of what is printed.
    #[arg(long)]
    redact: bool,
    /// `create` and its options, as vic-machine takes them.
    #[arg(last = true, required = true)]
    words: Vec<String>,
}

/// What lies outside the command line.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// vCenter's certificate.
    pub vcenter: Thumbprint,
    /// The images that the command line names, if they are here.
    pub release: Option<ReleaseFiles>,
}

/// What is known of vCenter's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Thumbprint {
    /// Nothing: no SHA-1 thumbprint is given.
    #[default]
    Absent,
    /// It could not be looked at, and why.
    Unreached(String),
    /// SHA-256 of the certificate that has the given SHA-1.
    Seen(String),
}

/// The two images of a release, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFiles {
    /// From the appliance's publisher, such as `v1.5.8`.
    pub version: String,
    /// Name and SHA-256 of the appliance's image.
    pub appliance: (String, String),
    /// The same of the bootstrap image.
    pub bootstrap: (String, String),
}

/// What is to be printed where, and how the program ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub err: String,
    /// 0, or 2 where the command line is wrong.
    pub code: u8,
}

/// Runs the command.
pub async fn run(command: VicMachine, env: impl Fn(&str) -> Option<String>) -> Said {
    let given = match parse::read(&command.words, env) {
        Ok(Line::Help) => {
            return Said {
                out: help(),
                err: String::new(),
                code: 0,
            };
        }
        Ok(Line::Create(given)) => given,
        Err(problems) => return refused(&problems),
    };
    let outside = Outside {
        vcenter: thumbprint(&given, command.offline).await,
        release: release(&given),
    };
    let settings = Settings {
        namespace: command.namespace,
        operator_namespace: command.operator_namespace,
        site: command.site,
        images: command.images,
        redact: command.redact,
    };
    match translate::translate(&given, &settings, &outside) {
        Err(problems) => refused(&problems),
        Ok(import) => match print::yaml(&import.documents) {
            Ok(out) => Said {
                out,
                err: lines(&import.notes),
                code: 0,
            },
            Err(error) => Said {
                out: String::new(),
                err: lines(&[error.to_string()]),
                code: 1,
            },
        },
    }
}

fn lines<T: ToString>(items: &[T]) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        let _ = writeln!(text, "{}", item.to_string());
        text
    })
}

fn refused(problems: &[parse::Problem]) -> Said {
    Said {
        out: String::new(),
        err: lines(problems),
        code: 2,
    }
}

/// Each option, and what becomes of it.
fn help() -> String {
    let mut text = "vic-machine create, as it can be imported:\n".to_owned();
    for option in OPTIONS {
        let others: Vec<String> = option.others.iter().map(|name| format!("-{name}")).collect();
        let answer = match option.answer {
            Answer::Manifest => "shows in a manifest",
            Answer::Sentence(why) => why,
        };
        let _ = writeln!(text, "  --{} {}\n      {answer}", option.name, others.join(" "));
    }
    text
}

/// Looks for the certificate that the command line names by its SHA-1.
async fn thumbprint(given: &Given, offline: bool) -> Thumbprint {
    let (Some(sha1), Some(target)) = (given.text("thumbprint"), given.text("target")) else {
        return Thumbprint::Absent;
    };
    if offline {
        return Thumbprint::Unreached("--offline".to_owned());
    }
    let authority = target.rsplit_once("://").map_or(target, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or(authority);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    match look(host, sha1).await {
        Ok(sha256) => Thumbprint::Seen(sha256),
        Err(why) => Thumbprint::Unreached(why),
    }
}

async fn look(host: &str, sha1: &str) -> Result<String, String> {
    let (tls, seen) =
        client_config(&Anchor::Sha1(sha1.to_uppercase()), None).map_err(|error| error.to_string())?;
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(PATIENCE)
        .no_proxy();
    let client = client.build().map_err(|error| error.to_string())?;
    let answer = client.get(format!("https://{host}/")).send().await;
    // Whatever the server answers: its certificate was seen before.
    seen.sha256_thumbprint().ok_or_else(|| {
        answer
            .err()
            .map_or_else(|| "nothing was shown".to_owned(), |error| error.to_string())
    })
}

fn release(given: &Given) -> Option<ReleaseFiles> {
    let (version, appliance) = image(given.text("appliance-iso").unwrap_or("appliance.iso"))?;
    let (_, bootstrap) = image(given.text("bootstrap-iso").unwrap_or("bootstrap.iso"))?;
    Some(ReleaseFiles {
        version: version?,
        appliance,
        bootstrap,
    })
}

type Image = (Option<String>, (String, String));

fn image(path: &str) -> Option<Image> {
    let name = Path::new(path).file_name()?.to_str()?.to_owned();
    let mut file = File::open(path).ok()?;
    let mut digest = Sha256::new();
    io::copy(&mut file, &mut digest).ok()?;
    let sha256 = digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let mut field = [0; PUBLISHER_LENGTH];
    file.seek(SeekFrom::Start(PUBLISHER_OFFSET)).ok()?;
    let publisher = file
        .read_exact(&mut field)
        .ok()
        .and_then(|()| Publisher::from_field(&field));
    Some((
        publisher.map(|publisher| publisher.version().to_lowercase()),
        (name, sha256),
    ))
}
