//! Where a value stands while its object becomes a plan.

use crate::manifest::Document;
use crate::problem::{Origin, Problem, Severity};
use crate::yaml::{Node, Position, Value, step};

/// A place in a document. What is not written has the place of what it would be in.
#[derive(Clone)]
pub(super) struct At<'a> {
    document: &'a Document,
    node: Option<&'a Node>,
    position: Position,
    path: String,
}

impl<'a> At<'a> {
    pub(super) fn document(document: &'a Document) -> At<'a> {
        let (node, position) = (Some(&document.node), document.node.at);
        At { document, node, position, path: document.prefix.clone() }
    }

    pub(super) fn key(&self, name: &str) -> At<'a> {
        let node = self.node.and_then(|node| node.get(name));
        self.below(node, step(name))
    }

    pub(super) fn index(&self, index: usize) -> At<'a> {
        let node = self.node.and_then(|node| match &node.value {
            Value::List(list) => list.get(index),
            Value::Map(_) | Value::Scalar(_) => None,
        });
        self.below(node, format!("[{index}]"))
    }

    fn below(&self, node: Option<&'a Node>, step: String) -> At<'a> {
        let path = match self.path.is_empty() {
            true => step.trim_start_matches('.').to_owned(),
            false => format!("{}{step}", self.path),
        };
        At { document: self.document, node, position: node.map_or(self.position, |node| node.at), path }
    }

    /// Down several keys: `spec.template`.
    pub(super) fn keys(&self, names: &str) -> At<'a> {
        names.split('.').fold(self.clone(), |at, name| at.key(name))
    }

    pub(super) fn written(&self) -> bool {
        self.node.is_some_and(|node| !node.is_null())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        self.node.map_or(serde_json::Value::Null, Node::json)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn origin(&self) -> Origin {
        Origin { file: self.document.file.clone(), line: self.position.line, column: self.position.column }
    }

    pub(super) fn problem(&self, severity: Severity, text: impl Into<String>, hint: Option<String>) -> Problem {
        Problem {
            severity,
            origin: self.origin(),
            object: Some(self.document.id.to_string()),
            path: self.path.clone(),
            text: text.into(),
            hint,
        }
    }
}
