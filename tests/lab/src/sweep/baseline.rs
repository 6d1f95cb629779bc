//! What was there before, to tell afterwards what was left behind.

use crate::error::Result;
use crate::lab::Lab;
use crate::poc::left_behind::{differences, inventory, is_own_doing, sorted};
use crate::poc::report::Kept;
use serde_json::Value;
use std::collections::BTreeSet;

/// Everything that the simulators and the cluster hold.
#[derive(Clone, Debug)]
pub struct Baseline {
    nsx: Value,
    vcenter: Value,
    kube: BTreeSet<String>,
}

impl Baseline {
    /// All as it is now.
    ///
    /// # Errors
    /// A system does not tell.
    pub async fn take(lab: &Lab, client: &kube::Client) -> Result<Self> {
        Ok(Self {
            nsx: lab.nsx.control.get("/dump").await?,
            vcenter: lab.vcenter.control.get("/dump").await?,
            kube: inventory(client).await?,
        })
    }

    /// What is there and was not, or the other way round; and what of it is kept on purpose.
    ///
    /// # Errors
    /// A system does not tell.
    pub async fn left(&self, lab: &Lab, client: &kube::Client) -> Result<(Vec<String>, Vec<Kept>)> {
        Ok(self.against(&Self::take(lab, client).await?))
    }

    fn against(&self, now: &Self) -> (Vec<String>, Vec<Kept>) {
        let came = now.kube.difference(&self.kube).map(|name| format!("+ {name}"));
        let went = self.kube.difference(&now.kube).map(|name| format!("- {name}"));
        let systems = [
            ("nsx", differences(&self.nsx, &now.nsx)),
            ("vcenter", differences(&self.vcenter, &now.vcenter)),
            ("kube", came.chain(went).collect()),
        ];
        let (mut left, mut kept) = (Vec::new(), Vec::new());
        for (system, mut differences) in systems {
            differences.retain(|difference| !is_own_doing(difference));
            let (stays, on_purpose) = sorted(system, differences);
            left.extend(stays.into_iter().map(|place| format!("{system}: {place}")));
            kept.extend(on_purpose);
        }
        (left, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn baseline(nsx: Value, files: &[&str], kube: &[&str]) -> Baseline {
        let files: Vec<Value> = files.iter().map(|path| json!({"name": path})).collect();
        Baseline {
            nsx,
            vcenter: json!({"files": files, "sessions": [{"user": files.len().to_string()}]}),
            kube: kube.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_left_is_told_by_system_and_what_is_kept_by_reason() {
        let before = baseline(json!({"intents": {}, "realized": []}), &[], &["Secret a/b"]);
        let kept = "[LocalDS_0] vic-operator/x.iso";
        let after = baseline(
            json!({"intents": {"/infra/x": {}}, "realized": [{"path": "y"}]}),
            &[kept, "stray"],
            &["Secret a/c"],
        );
        let (left, on_purpose) = before.against(&after);
        assert_eq!(
            left,
            [
                "nsx: + /intents//infra/x",
                "vcenter: + /files/stray",
                "kube: + Secret a/c",
                "kube: - Secret a/b",
            ]
        );
        assert_eq!(on_purpose.len(), 1);
        assert!(before.against(&before).0.is_empty());
    }
}
