//! The datacenter that the engine works in, found by what the user wrote.

use std::collections::HashMap;

use crate::error::Error;
use crate::moref::Moref;
use crate::objects::{path_name, unescape_name};
use crate::session::Session;
use crate::spec::filter;
use crate::updates::{ObjectUpdate, retrieve};

/// A datacenter, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub moref: Moref,
    /// Names of the folders above it, from the top, without the root folder.
    pub folders: Vec<String>,
    pub name: String,
}

impl Place {
    /// The path as uploads want it (`dcPath`), given the name it has now.
    pub fn path(&self, name: &str) -> String {
        let names = self.folders.iter().map(String::as_str).chain([name]);
        names.flat_map(|name| ["/".to_owned(), path_name(name)]).collect()
    }
}

/// Finds the datacenter by reference, unique name, or path.
pub(crate) async fn find(session: &Session, text: &str) -> Result<Place, Error> {
    let root = &session.content().root_folder;
    let objects = retrieve(session, |w| filter::datacenters(w, root)).await?;
    choose(places(&objects, root), text).map_err(|problem| Error::Datacenter {
        datacenter: text.to_owned(),
        problem,
    })
}

fn places(objects: &[ObjectUpdate], root: &Moref) -> Vec<Place> {
    let text = |object: &ObjectUpdate, path: &str| {
        let value = object
            .changes
            .iter()
            .find(|(name, _)| name == path)
            .and_then(|(_, value)| value.clone());
        value.unwrap_or_default()
    };
    let by_moref: HashMap<&Moref, (String, Option<Moref>)> = objects
        .iter()
        .map(|object| {
            let name = unescape_name(&text(object, "name").text);
            (&object.moref, (name, text(object, "parent").moref()))
        })
        .collect();
    let place = |moref: &Moref| {
        let (name, mut parent) = by_moref.get(moref).cloned()?;
        let mut folders = Vec::new();
        while let Some(above) = parent.filter(|above| above != root && folders.len() < objects.len()) {
            let (name, next) = by_moref.get(&above).cloned()?;
            folders.push(name);
            parent = next;
        }
        folders.reverse();
        Some(Place {
            moref: moref.clone(),
            folders,
            name,
        })
    };
    objects
        .iter()
        .filter(|object| object.moref.kind == "Datacenter")
        .filter_map(|object| place(&object.moref))
        .collect()
}

fn choose(places: Vec<Place>, text: &str) -> Result<Place, &'static str> {
    let path: Vec<String> = text
        .split('/')
        .filter(|part| !part.is_empty())
        .map(unescape_name)
        .collect();
    let by_reference = |place: &Place| place.moref.value == text || place.moref.to_string() == text;
    let by_path = |place: &Place| place.folders.iter().chain([&place.name]).eq(&path);
    let by_name = |place: &Place| place.name == text;
    if let Some(place) = places.iter().find(|place| by_reference(place) || by_path(place)) {
        return Ok(place.clone());
    }
    let mut named = places.into_iter().filter(by_name);
    match (named.next(), named.next()) {
        (Some(place), None) => Ok(place),
        (None, _) => Err("does not exist"),
        (Some(_), Some(_)) => Err("is not unique"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::updates::Kind;
    use crate::xml::Node;

    fn object(moref: &Moref, name: &str, parent: Option<&Moref>) -> ObjectUpdate {
        let name = Node {
            text: name.to_owned(),
            ..Node::default()
        };
        let parent = parent.map(|parent| Node {
            reference: Some(parent.kind.clone()),
            text: parent.value.clone(),
            ..Node::default()
        });
        ObjectUpdate {
            kind: Kind::Enter,
            moref: moref.clone(),
            changes: vec![("name".to_owned(), Some(name)), ("parent".to_owned(), parent)],
        }
    }

    #[test]
    fn by_reference_path_or_unique_name() {
        let folder = |id: &str| Moref::new("Folder", id);
        let datacenter = |id: &str| Moref::new("Datacenter", id);
        let root = folder("group-d1");
        let objects = [
            object(&root, "Datacenters", None),
            object(&folder("group-d2"), "a%2fb", Some(&root)),
            object(&datacenter("datacenter-1"), "DC0", Some(&root)),
            object(&datacenter("datacenter-2"), "DC1", Some(&folder("group-d2"))),
            object(&datacenter("datacenter-3"), "DC2", Some(&root)),
            object(&datacenter("datacenter-4"), "DC2", Some(&folder("group-d2"))),
        ];
        let find = |text: &str| choose(places(&objects, &root), text).map(|place| place.moref.value);
        for (text, expected) in [
            ("DC0", Ok("datacenter-1")),
            ("/DC0", Ok("datacenter-1")),
            ("Datacenter:datacenter-1", Ok("datacenter-1")),
            ("datacenter-4", Ok("datacenter-4")),
            ("DC1", Ok("datacenter-2")),
            ("a%2fb/DC1", Ok("datacenter-2")),
            ("/a%2fb/DC2", Ok("datacenter-4")),
            // At the top the name is a path, and a path is one.
            ("DC2", Ok("datacenter-3")),
            ("b/DC1", Err("does not exist")),
            ("DC9", Err("does not exist")),
            ("", Err("does not exist")),
        ] {
            assert_eq!(find(text), expected.map(str::to_owned), "{text}");
        }
        let place = choose(places(&objects, &root), "datacenter-2").unwrap();
        assert_eq!(place.path("New name"), "/a%2fb/New name");
    }

    #[test]
    fn a_name_in_two_folders_is_not_unique() {
        let place = |id: &str, folder: &str| Place {
            moref: Moref::new("Datacenter", id),
            folders: vec![folder.to_owned()],
            name: "DC".to_owned(),
        };
        assert_eq!(
            choose(vec![place("1", "a"), place("2", "b")], "DC"),
            Err("is not unique")
        );
    }
}
