//! The one place where CRDs are made: what derive says, and what derive cannot say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::{
    ContainerNetwork, EdgeGateway, EdgeNatRule, MicrosegmentationPolicy, Site, VirtualContainerHost,
};

/// Every CRD of the group, in the order in which a user meets them.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        Site::crd(),
        EdgeGateway::crd(),
        ContainerNetwork::crd(),
        VirtualContainerHost::crd(),
        EdgeNatRule::crd(),
        MicrosegmentationPolicy::crd(),
    ]
    .into_iter()
    .map(with_birth_status)
    .collect()
}

/// A CRD as the text of its file.
///
/// # Errors
/// Where the CRD cannot be written as YAML.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String, serde_yaml_ng::Error> {
    serde_yaml_ng::to_string(crd)
}

/// Objects are born `Ready=Unknown, Reconciling=True`: no reader ever sees a false green, and no
/// write is spent on saying so.
fn with_birth_status(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let schemas = crd
        .spec
        .versions
        .iter_mut()
        .filter_map(|v| v.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        if let Some(status) = status_of(schema) {
            status.default = Some(JSON(birth_status()));
        }
    }
    crd
}

fn status_of(schema: &mut JSONSchemaProps) -> Option<&mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut("status")
}

fn birth_status() -> serde_json::Value {
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind,
            "status": status,
            "reason": "Pending",
            "message": "Waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        })
    };
    json!({"conditions": [condition("Ready", "Unknown"), condition("Reconciling", "True")]})
}
