//! The kustomize component that puts a run's own addresses into `examples/poc`.

use crate::error::{Context, Result};
use crate::images::ImageServer;
use crate::net::Network;
use crate::run_dir::workspace;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// First line of the generated file; the run's directory follows, so that a run recognizes its own.
const HEADING: &str = "# Written by the laboratory of ";

/// What differs between the reference topology as it is written and as a laboratory can apply it.
#[derive(Debug)]
pub struct Component {
    text: String,
}

impl Component {
    /// The component of a run: its simulators, images and network, and a VCH whose deletion does not wait for someone
    /// to remove its containers.
    ///
    /// # Errors
    /// An image is not served, or YAML cannot be written.
    pub fn new(
        run: &Path,
        vcenter: &str,
        nsx: &str,
        images: &ImageServer,
        network: &Network,
    ) -> Result<Self> {
        let image = |name: &str| {
            images
                .image(name)
                .map(|(url, sha256)| json!({ "url": url, "sha256": sha256 }))
        };
        let site = [
            replace("/spec/vcenter/url", &json!(vcenter)),
            replace("/spec/nsx/urls", &json!([nsx])),
            replace("/spec/releases/0/applianceISO", &image("appliance.iso")?),
            replace("/spec/releases/0/bootstrapISO", &image("bootstrap.iso")?),
            replace("/spec/tenants/0/allow/subnets/0", &json!(network.subnet())),
        ];
        let public = [replace(
            "/spec/subnets/0/gatewayAddress",
            &json!(format!("{}/24", network.gateway())),
        )];
        let vch = [
            replace("/spec/networks/public/static/address", &json!(network.vch())),
            replace("/spec/onDelete/runningContainers", &json!("Remove")),
        ];
        let component = json!({
            "apiVersion": "kustomize.config.k8s.io/v1alpha1",
            "kind": "Component",
            "patches": [
                patch("Site", "poc", &site)?,
                patch("ContainerNetwork", "docker-public", &public)?,
                patch("VirtualContainerHost", "vch1", &vch)?,
            ],
        });
        let yaml = serde_yaml_ng::to_string(&component).context(|| "write the overlay".to_owned())?;
        Ok(Self {
            text: format!("{HEADING}{}\n{yaml}", run.display()),
        })
    }

    /// Copies `examples/poc` to `folder` and adds this component: an overlay of the run's own.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn write_copy(&self, folder: &Path) -> Result<()> {
        copy_manifests(&example(), folder)?;
        self.write(&folder.join("lab"))
    }

    /// Puts the component into `examples/poc`, where it stays until the returned value is dropped or another run
    /// writes its own.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn publish(&self) -> Result<Published> {
        self.publish_in(&example())
    }

    /// The same in another folder than `examples/poc`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn publish_in(&self, folder: &Path) -> Result<Published> {
        let folder = folder.join("lab");
        self.write(&folder)?;
        Ok(Published {
            folder,
            text: self.text.clone(),
        })
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let what = || format!("write the overlay to {}", folder.display());
        fs::create_dir_all(folder).context(what)?;
        fs::write(folder.join("kustomization.yaml"), &self.text).context(what)
    }
}

/// The component in `examples/poc`, taken away with this value if it is still the same.
#[derive(Debug)]
pub struct Published {
    folder: PathBuf,
    text: String,
}

impl Drop for Published {
    fn drop(&mut self) {
        let file = self.folder.join("kustomization.yaml");
        if fs::read_to_string(&file).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&file);
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// `examples/poc`.
#[must_use]
pub fn example() -> PathBuf {
    workspace().join("examples/poc")
}

fn replace(path: &str, value: &Value) -> Value {
    json!({ "op": "replace", "path": path, "value": value })
}

/// A JSON patch of one object.
fn patch(kind: &str, name: &str, operations: &[Value]) -> Result<Value> {
    let text = serde_yaml_ng::to_string(operations).context(|| "write a patch".to_owned())?;
    Ok(json!({ "target": { "kind": kind, "name": name }, "patch": text }))
}

/// Copies the files of a folder and of those below it, except the component of another run.
fn copy_manifests(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to).context(what)?;
    for entry in fs::read_dir(from).context(what)? {
        let entry = entry.context(what)?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_file() {
            fs::copy(&path, &target).context(what)?;
        } else if entry.file_name() != "lab" {
            copy_manifests(&path, &target)?;
        }
    }
    Ok(())
}
