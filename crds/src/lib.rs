//! vic-crds
