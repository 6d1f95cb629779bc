//! XML as SOAP uses it: a writer that keeps the schema's order by construction, and an element tree.

mod node;
mod write;

pub(crate) use node::Node;
pub(crate) use write::Writer;
