//! A small element tree, read with namespaces.

use std::str::FromStr;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use crate::moref::Moref;

const XSI: Namespace<'_> = Namespace("http://www.w3.org/2001/XMLSchema-instance");
/// Deeper than any answer of vCenter; a bound against a peer that is none.
const MAX_DEPTH: usize = 128;

/// One element: its local name, its type, its text and its children.
///
/// Prefixes say nothing (vCenter writes `xsi:type`, others another prefix), so elements are known
/// by local name, and `xsi:type` by namespace and local name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// Local name of the element.
    pub name: String,
    /// Local part of `xsi:type`.
    pub kind: Option<String>,
    /// The plain `type` attribute: the type of the managed object that the text names.
    pub reference: Option<String>,
    /// Character data directly within.
    pub text: String,
    /// Elements directly within, in order.
    pub children: Vec<Node>,
}

impl Node {
    /// Reads one document.
    pub fn parse(xml: &str) -> Result<Self, String> {
        let mut reader = NsReader::from_str(xml);
        let mut open: Vec<Self> = Vec::new();
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let closed = match event {
                Event::Start(start) => {
                    if open.len() >= MAX_DEPTH {
                        return Err("it is nested too deeply".to_owned());
                    }
                    open.push(Self::open(&reader, &start)?);
                    None
                }
                Event::Empty(start) => Some(Self::open(&reader, &start)?),
                Event::End(_) => open.pop(),
                Event::Text(text) => {
                    append(&mut open, &text.xml_content(XmlVersion::Implicit1_0));
                    None
                }
                Event::CData(text) => {
                    append(&mut open, &text.xml_content(XmlVersion::Implicit1_0));
                    None
                }
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                    let character = character.or_else(|| predefined(&reference.into_inner()));
                    let character = character.ok_or("it has an undefined entity")?;
                    append(&mut open, character.encode_utf8(&mut [0; 4]));
                    None
                }
                Event::Eof => return Err("it ends early".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => None,
            };
            if let Some(node) = closed {
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => return Ok(node),
                }
            }
        }
    }

    fn open(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Self, String> {
        let mut node = Self {
            name: start.local_name().into_inner().to_owned(),
            ..Self::default()
        };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
            if local.into_inner() != "type" {
                continue;
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| error.to_string())?
                .into_owned();
            match namespace {
                ResolveResult::Bound(XSI) => {
                    node.kind = Some(value.rsplit(':').next().unwrap_or_default().to_owned());
                }
                ResolveResult::Unbound => node.reference = Some(value),
                _ => {}
            }
        }
        Ok(node)
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The child's text; an empty element is an empty text.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The child's text as an owned, non-empty text.
    pub fn string(&self, name: &str) -> Option<String> {
        self.text_of(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    /// The child's text as a number or another value.
    pub fn value<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text_of(name).and_then(|text| text.trim().parse().ok())
    }

    /// The child's text as a boolean.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.child(name).and_then(Self::boolean)
    }

    /// This element's text as a boolean (`true`, `1`, `false`, `0`).
    pub fn boolean(&self) -> Option<bool> {
        match self.text.trim() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// This element as a reference to a managed object.
    pub fn moref(&self) -> Option<Moref> {
        let kind = self.reference.as_ref()?;
        (!self.text.is_empty()).then(|| Moref::new(kind, &self.text))
    }

    /// The child as a reference to a managed object.
    pub fn moref_of(&self, name: &str) -> Option<Moref> {
        self.child(name).and_then(Self::moref)
    }

    /// The references within an `ArrayOfManagedObjectReference`.
    pub fn morefs(&self) -> Vec<Moref> {
        self.children.iter().filter_map(Self::moref).collect()
    }
}

fn append(open: &mut [Node], text: &str) {
    if let Some(node) = open.last_mut() {
        node.text.push_str(text);
    }
}

fn predefined(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
