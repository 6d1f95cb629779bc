//! The manager's nodes: each serves by itself, all have one state behind them.

use std::sync::OnceLock;

use serde::Serialize;
use tokio::sync::watch;

use crate::world::new_uuid;

/// All nodes of the cluster.
pub struct Nodes {
    nodes: Vec<Node>,
}

struct Node {
    uuid: String,
    url: OnceLock<String>,
    up: watch::Sender<bool>,
}

/// A node as it is told.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct View {
    /// Its place among the nodes, from 0.
    pub node: usize,
    /// Its id.
    pub uuid: String,
    /// Its own address, `https://…`.
    pub url: String,
    /// Does it serve?
    pub up: bool,
}

impl Nodes {
    /// That many nodes, at least one; all are up.
    pub fn new(count: usize) -> Self {
        let node = |_| Node {
            uuid: new_uuid(),
            url: OnceLock::new(),
            up: watch::Sender::new(true),
        };
        Self {
            nodes: (0..count.max(1)).map(node).collect(),
        }
    }

    /// Notes where a node serves; only the first time counts.
    pub fn serves_at(&self, node: usize, url: String) {
        if let Some(node) = self.nodes.get(node) {
            node.url.get_or_init(|| url);
        }
    }

    /// Takes a node down or up; `false` if there is no such node.
    pub fn set(&self, node: usize, up: bool) -> bool {
        let Some(node) = self.nodes.get(node) else {
            return false;
        };
        node.up.send_replace(up);
        true
    }

    /// Follows whether a node is up; `None` if there is no such node.
    pub fn watch(&self, node: usize) -> Option<watch::Receiver<bool>> {
        self.nodes.get(node).map(|n| n.up.subscribe())
    }

    /// All nodes.
    pub fn views(&self) -> Vec<View> {
        let view = |(node, n): (usize, &Node)| View {
            node,
            uuid: n.uuid.clone(),
            url: n.url.get().cloned().unwrap_or_default(),
            up: *n.up.borrow(),
        };
        self.nodes.iter().enumerate().map(view).collect()
    }

    /// The node that has the virtual address: the first that is up.
    pub fn owner(&self) -> Option<usize> {
        self.nodes.iter().position(|n| *n.up.borrow())
    }

    /// Are most nodes up? Without a majority the cluster takes no requests.
    pub fn has_majority(&self) -> bool {
        let up = self.nodes.iter().filter(|n| *n.up.borrow()).count();
        up.saturating_mul(2) > self.nodes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_that_is_up_has_the_address_and_most_must_be_up() {
        // nodes that are down, owner, majority
        let cases: [(&[usize], Option<usize>, bool); 5] = [
            (&[], Some(0), true),
            (&[0], Some(1), true),
            (&[2], Some(0), true),
            (&[0, 1], Some(2), false),
            (&[0, 1, 2], None, false),
        ];
        for (down, owner, majority) in cases {
            let nodes = Nodes::new(3);
            for node in down {
                assert!(nodes.set(*node, false));
            }
            assert_eq!(
                (nodes.owner(), nodes.has_majority()),
                (owner, majority),
                "{down:?}"
            );
        }
    }

    #[test]
    fn nodes_are_told_with_their_place() {
        let nodes = Nodes::new(0);
        nodes.serves_at(0, "https://127.0.0.1:1".into());
        nodes.serves_at(0, "https://127.0.0.1:2".into());
        assert!(!nodes.set(1, false));
        assert!(nodes.watch(1).is_none());
        let told = nodes.views();
        assert_eq!((told.len(), told[0].url.as_str()), (1, "https://127.0.0.1:1"));
    }
}
