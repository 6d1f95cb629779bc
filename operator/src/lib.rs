//! The operator
