//! What every object has: names, labels, annotations; and selectors over labels.

use std::collections::BTreeMap;

use crate::decode::{Decode, Label, Reader, Shape, object, words};
use crate::names;
use crate::yaml::{Node, step};

object! {
    /// The name of an object and what is tied to it.
    ObjectMeta {
        "name" name: Option<String>,
        /// A scope of names with a network of its own; `default` where none is written.
        "namespace" namespace: Option<Label>,
        "labels" labels: Labels,
        /// Podman's own annotations are obeyed.
        "annotations" annotations: Annotations,
    }
    no_effect {
        /// removal waits for nobody
        "finalizers",
        /// owners are known by what played them
        "ownerReferences",
    }
    quiet {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generateName",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    }
}

/// Labels whose keys and values follow the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels(pub(crate) BTreeMap<String, String>);

/// Annotations: keys as those of labels, any text as value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations(pub(crate) BTreeMap<String, String>);

fn texts(node: &Node, reader: &mut Reader, labels: bool) -> Option<BTreeMap<String, String>> {
    let entries = reader.map(node, "a map of strings")?;
    let mut map = BTreeMap::new();
    let mut whole = true;
    for (key, node) in entries {
        let value = reader.inside(step(&key.name), |reader| {
            // Kubernetes compares the keys of annotations in lower case.
            let word = if labels { key.name.to_string() } else { key.name.to_ascii_lowercase() };
            if let Err(rule) = names::qualified(&word) {
                return reader.wrong(node, format!("{:?} is not valid as a key: {rule}", &*key.name));
            }
            if node.is_null() {
                return Some(String::new());
            }
            let text = String::decode(node, reader)?;
            match names::label_value(&text) {
                Err(rule) if labels => reader.wrong(node, format!("{text:?} is not valid as a label: {rule}")),
                _ => Some(text),
            }
        });
        match value {
            Some(value) => drop(map.insert(key.name.to_string(), value)),
            None => whole = false,
        }
    }
    whole.then_some(map)
}

impl Decode for Labels {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        texts(node, reader, true).map(Labels)
    }

    fn absent() -> Option<Self> {
        Some(Labels::default())
    }

    fn shape() -> Shape {
        Shape::Plain("map of strings")
    }
}

impl Decode for Annotations {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        texts(node, reader, false).map(Annotations)
    }

    fn absent() -> Option<Self> {
        Some(Annotations::default())
    }

    fn shape() -> Shape {
        Shape::Plain("map of strings")
    }
}

object! {
    /// Which pods are meant, by their labels. All parts must hold.
    LabelSelector {
        "matchLabels" match_labels: Labels,
        "matchExpressions" match_expressions: Vec<LabelRequirement>,
    }
}

object! {
    LabelRequirement {
        "key" key: String,
        "operator" operator: SelectorOperator,
        "values" values: Vec<String>,
    }
}

words! {
    pub SelectorOperator {
        #[default]
        In = "In",
        NotIn = "NotIn",
        Exists = "Exists",
        DoesNotExist = "DoesNotExist",
    }
}
