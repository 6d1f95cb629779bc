//! The kinds this operator reconciles, and how one object of them is named.

use std::fmt;

/// A kind of `vic-operator.io/v1alpha1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `Site`.
    Site,
    /// `EdgeGateway`.
    EdgeGateway,
    /// `ContainerNetwork`.
    ContainerNetwork,
    /// `VirtualContainerHost`.
    VirtualContainerHost,
    /// `EdgeNatRule`.
    EdgeNatRule,
    /// `MicrosegmentationPolicy`.
    MicrosegmentationPolicy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Site,
        Self::EdgeGateway,
        Self::ContainerNetwork,
        Self::VirtualContainerHost,
        Self::EdgeNatRule,
        Self::MicrosegmentationPolicy,
    ];

    /// The kind as manifests write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Site => "Site",
            Self::EdgeGateway => "EdgeGateway",
            Self::ContainerNetwork => "ContainerNetwork",
            Self::VirtualContainerHost => "VirtualContainerHost",
            Self::EdgeNatRule => "EdgeNatRule",
            Self::MicrosegmentationPolicy => "MicrosegmentationPolicy",
        }
    }

    /// The kind as URLs and roles write it.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Site => "sites",
            Self::EdgeGateway => "edgegateways",
            Self::ContainerNetwork => "containernetworks",
            Self::VirtualContainerHost => "virtualcontainerhosts",
            Self::EdgeNatRule => "edgenatrules",
            Self::MicrosegmentationPolicy => "microsegmentationpolicies",
        }
    }

    /// The kind that manifests write so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One object: kind, namespace (empty for a Site) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// The namespace; empty for a cluster-scoped kind.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// Names an object.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.name())?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}
