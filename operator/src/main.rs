//! The vic-operator binary.
fn main() {}
