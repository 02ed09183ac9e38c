//! Nodes become typed objects, and whatever does not fit becomes a problem with its place.
//!
//! Every object of the model is declared once, with [`object!`]: its fields, those that are accepted without an effect on
//! one machine, and those that are refused, each with the reason. The declaration is the type, the check and the row in
//! docs/kubernetes.md.

pub(crate) mod values;

use std::collections::BTreeMap;

use crate::problem::{Origin, Problem, Severity, meant};
use crate::yaml::{Key, Node, Position, Value, Word, step};

pub(crate) use values::*;

/// What becomes of fields that creel does not know or does not carry out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validate {
    /// They are passed over in silence, as Podman does.
    Ignore,
    /// They are passed over, and said.
    Warn,
    /// They are an error.
    #[default]
    Strict,
}

impl std::str::FromStr for Validate {
    type Err = String;

    fn from_str(text: &str) -> Result<Validate, String> {
        match text {
            "ignore" | "false" => Ok(Validate::Ignore),
            "warn" => Ok(Validate::Warn),
            "strict" | "true" => Ok(Validate::Strict),
            _ => Err(format!("{text:?} is none of strict, warn, ignore")),
        }
    }
}

/// What a field is made of, for the table of fields.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// In the words of Kubernetes' own reference: `string`, `integer`, `Quantity`.
    Plain(&'static str),
    Object(fn() -> &'static Table),
    List(fn() -> Shape),
    Map(fn() -> Shape),
}

/// Of fields that are not read.
pub(crate) const UNSHAPED: Shape = Shape::Plain("");

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    Full,
    /// Read and without an effect on one machine; the note says why. A warning says so once per field.
    NoEffect,
    /// Read and without an effect, which nobody needs to hear: bookkeeping of a cluster.
    Quiet,
    Refused,
}

pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) support: Support,
    pub(crate) note: &'static str,
}

/// An object's fields as declared.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
    pub(crate) fields: &'static [Field],
}

/// Reads one file's documents and gathers what is wrong with them.
pub(crate) struct Reader {
    pub(crate) file: String,
    pub(crate) validate: Validate,
    pub(crate) object: Option<String>,
    path: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

impl Reader {
    pub(crate) fn new(file: &str, validate: Validate) -> Reader {
        Reader { file: file.to_owned(), validate, object: None, path: Vec::new(), problems: Vec::new() }
    }

    pub(crate) fn path(&self) -> String {
        self.path.concat().trim_start_matches('.').to_owned()
    }

    pub(crate) fn report(&mut self, severity: Severity, at: Position, text: impl Into<String>, hint: Option<String>) {
        let origin = Origin { file: self.file.clone(), line: at.line, column: at.column };
        let (object, path) = (self.object.clone(), self.path());
        self.problems.push(Problem { severity, origin, object, path, text: text.into(), hint });
    }

    /// An error at the node; gives `None` so that a decoder can end with it.
    pub(crate) fn wrong<T>(&mut self, node: &Node, text: impl Into<String>) -> Option<T> {
        self.report(Severity::Error, node.at, text, None);
        None
    }

    pub(crate) fn inside<T>(&mut self, step: String, work: impl FnOnce(&mut Reader) -> T) -> T {
        self.path.push(step);
        let result = work(self);
        self.path.pop();
        result
    }

    /// As [`Reader::inside`], for whoever holds the reader in a larger thing.
    pub(crate) fn enter(&mut self, step: String) {
        self.path.push(step);
    }

    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    /// A key that has no place here.
    pub(crate) fn stray(&mut self, key: &Key, known: &[&str]) {
        let hint = meant(&key.name, known.iter().copied()).map(|meant| format!("did you mean \"{meant}\"?"));
        self.passed_over(key, "unknown field".to_owned(), hint);
    }

    pub(crate) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            Value::List(_) => self.wrong(node, format!("must be {what}, and this is a list")),
            Value::Scalar(scalar) => self.wrong(node, format!("must be {what}, and this is {}", scalar.described())),
        }
    }

    /// A declared field: its value, or what its absence means, or `None` with the problem reported.
    pub(crate) fn field<T: Decode>(&mut self, object: &Node, entries: &[(Key, Node)], name: &str) -> Option<T> {
        let found = entries.iter().find(|(key, _)| &*key.name == name).map(|(_, node)| node);
        match found {
            Some(node) if !node.is_null() => self.inside(step(name), |reader| T::decode(node, reader)),
            found => T::absent().or_else(|| {
                let at = found.map_or(object.at, |node| node.at);
                self.inside(step(name), |reader| reader.report(Severity::Error, at, "is required", None));
                None
            }),
        }
    }

    /// Fields that are not carried out: unknown, refused, or without an effect here.
    pub(crate) fn rest(&mut self, entries: &[(Key, Node)], table: &'static Table) {
        for (key, node) in entries {
            match table.fields.iter().find(|field| field.name == &*key.name) {
                Some(field) => match field.support {
                    Support::Full | Support::Quiet => {}
                    Support::NoEffect if self.validate == Validate::Ignore || node.is_empty() => {}
                    Support::NoEffect if is_filled_in(&key.name, node) => {}
                    Support::NoEffect => self.inside(step(&key.name), |reader| {
                        let text = format!("has no effect here: {}", field.note);
                        reader.report(Severity::Warning, key.at, text, None);
                    }),
                    Support::Refused if node.is_empty() => {}
                    Support::Refused => self.passed_over(key, format!("is not supported: {}", field.note), None),
                },
                None => self.stray(key, &table.fields.iter().map(|field| field.name).collect::<Vec<_>>()),
            }
        }
    }

    fn passed_over(&mut self, key: &Key, text: String, hint: Option<String>) {
        let severity = match self.validate {
            Validate::Ignore => return,
            Validate::Warn => Severity::Warning,
            Validate::Strict => Severity::Error,
        };
        self.inside(step(&key.name), |reader| reader.report(severity, key.at, text, hint));
    }
}

/// What an API server writes where the user has written nothing (everything that was read from a cluster has it), and what
/// is so on one machine anyway.
fn is_filled_in(name: &str, node: &Node) -> bool {
    const FILLED_IN: [(&str, &str); 7] = [
        ("kubernetes.io/os", "linux"),
        ("persistentVolumeReclaimPolicy", "Retain"),
        ("podReplacementPolicy", "TerminatingOrFailed"),
        ("preemptionPolicy", "PreemptLowerPriority"),
        ("priority", "0"),
        ("schedulerName", "default-scheduler"),
        ("supplementalGroupsPolicy", "Merge"),
    ];
    match &node.value {
        Value::Scalar(scalar) => FILLED_IN.contains(&(name, scalar.text.as_str())),
        Value::Map(entries) => {
            name == "nodeSelector" && entries.iter().all(|(key, node)| is_filled_in(&key.name, node))
        }
        Value::List(_) => false,
    }
}

impl Node {
    /// Nothing is asked for: null, `{}`, `[]`, an empty text, `false`.
    fn is_empty(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => match scalar.word {
                Word::Null | Word::Bool(false) => true,
                Word::Text => scalar.text.is_empty(),
                Word::Bool(true) | Word::Integer(_) | Word::Float(_) => false,
            },
            Value::List(list) => list.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }
}

/// A type that a node can become. `None` means: no, and the reader knows why.
pub(crate) trait Decode: Sized {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// What it is when nothing is written; `None` where it must be.
    fn absent() -> Option<Self> {
        None
    }

    fn shape() -> Shape;
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::decode(node, reader).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let list = match &node.value {
            Value::List(list) => list,
            Value::Map(_) => return reader.wrong(node, "must be a list, and this is a map"),
            Value::Scalar(scalar) => {
                return reader.wrong(node, format!("must be a list, and this is {}", scalar.described()));
            }
        };
        let mut values = Vec::with_capacity(list.len());
        let mut whole = true;
        for (index, node) in list.iter().enumerate() {
            let value = reader.inside(format!("[{index}]"), |reader| match node.is_null() {
                true => reader.wrong(node, "is empty"),
                false => T::decode(node, reader),
            });
            match value {
                Some(value) => values.push(value),
                None => whole = false,
            }
        }
        whole.then_some(values)
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }

    fn shape() -> Shape {
        Shape::List(T::shape)
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let entries = reader.map(node, "a map")?;
        let mut map = BTreeMap::new();
        let mut whole = true;
        for (key, node) in entries {
            let value = reader.inside(step(&key.name), |reader| match node.is_null() {
                true => T::absent().or_else(|| T::decode(node, reader)),
                false => T::decode(node, reader),
            });
            match value {
                Some(value) => drop(map.insert(key.name.to_string(), value)),
                None => whole = false,
            }
        }
        whole.then_some(map)
    }

    fn absent() -> Option<Self> {
        Some(BTreeMap::new())
    }

    fn shape() -> Shape {
        Shape::Map(T::shape)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::decode(node, reader).map(Box::new)
    }

    fn shape() -> Shape {
        T::shape()
    }
}

/// Declares an object: the struct, how it is read, and its rows in the table of fields. What is `checked` is read and, as
/// there is only one thing it can say, not kept.
macro_rules! object {
    (
        $(#[doc = $note:literal])*
        $name:ident {
            $( $(#[doc = $field_note:literal])* $yaml:literal $field:ident: $type:ty, )*
        }
        $( checked { $( $(#[doc = $checked_note:literal])* $checked:literal: $checked_type:ty, )* } )?
        $( no_effect { $( $(#[doc = $none_note:literal])* $none:literal, )* } )?
        $( quiet { $( $quiet:literal, )* } )?
        $( refused { $( $(#[doc = $refused_note:literal])* $refused:literal, )* } )?
    ) => {
        $(#[doc = $note])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            $( $(#[doc = $field_note])* pub(crate) $field: $type, )*
        }

        impl $name {
            pub(crate) fn table() -> &'static $crate::decode::Table {
                use $crate::decode::{Decode, Field, Support, Table};
                static FIELDS: std::sync::LazyLock<Vec<Field>> = std::sync::LazyLock::new(|| vec![
                    $( Field {
                        name: $yaml,
                        shape: <$type as Decode>::shape(),
                        support: Support::Full,
                        note: concat!($($field_note),*).trim_ascii(),
                    }, )*
                    $( $( Field {
                        name: $checked,
                        shape: <$checked_type as Decode>::shape(),
                        support: Support::Full,
                        note: concat!($($checked_note),*).trim_ascii(),
                    }, )* )?
                    $( $( Field {
                        name: $none,
                        shape: $crate::decode::UNSHAPED,
                        support: Support::NoEffect,
                        note: concat!($($none_note),*).trim_ascii(),
                    }, )* )?
                    $( $( Field { name: $quiet, shape: $crate::decode::UNSHAPED, support: Support::Quiet, note: "" }, )* )?
                    $( $( Field {
                        name: $refused,
                        shape: $crate::decode::UNSHAPED,
                        support: Support::Refused,
                        note: concat!($($refused_note),*).trim_ascii(),
                    }, )* )?
                ]);
                static TABLE: std::sync::LazyLock<Table> = std::sync::LazyLock::new(|| Table {
                    name: stringify!($name),
                    note: concat!($($note),*).trim_ascii(),
                    fields: &FIELDS,
                });
                &TABLE
            }
        }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::yaml::Node, reader: &mut $crate::decode::Reader) -> Option<Self> {
                let entries = reader.map(node, "a map")?;
                $( let $field = reader.field::<$type>(node, entries, $yaml); )*
                $( $( let _ = reader.field::<Option<$checked_type>>(node, entries, $checked); )* )?
                reader.rest(entries, Self::table());
                Some($name { $( $field: $field?, )* })
            }

            fn shape() -> $crate::decode::Shape {
                $crate::decode::Shape::Object(Self::table)
            }
        }
    };
}

/// Declares a choice of words.
macro_rules! words {
    ( $(#[doc = $note:literal])* $vis:vis $name:ident { $( $(#[$attribute:meta])* $variant:ident = $word:literal, )* } ) => {
        $(#[doc = $note])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $( $(#[$attribute])* #[serde(rename = $word)] $variant, )*
        }

        impl $name {
            /// Kubernetes' word for it.
            $vis fn word(self) -> &'static str {
                match self {
                    $( $name::$variant => $word, )*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.word())
            }
        }

        impl $crate::decode::Decode for $name {
            fn decode(node: &$crate::yaml::Node, reader: &mut $crate::decode::Reader) -> Option<Self> {
                let text = String::decode(node, reader)?;
                match text.as_str() {
                    $( $word => Some($name::$variant), )*
                    other => $crate::decode::unsupported(other, &[$($word),*], node, reader),
                }
            }

            fn shape() -> $crate::decode::Shape {
                $crate::decode::Shape::Plain(concat!("" $(, $word, " ")*))
            }
        }
    };
}

/// A word that is none of the known ones.
pub(crate) fn unsupported<T>(word: &str, known: &[&str], node: &Node, reader: &mut Reader) -> Option<T> {
    let list = known.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let hint = meant(word, known.iter().copied()).map(|meant| format!("did you mean \"{meant}\"?"));
    reader.report(Severity::Error, node.at, format!("unsupported value {word:?}: supported are {list}"), hint);
    None
}

pub(crate) use object;
pub(crate) use words;
