//! YAML text becomes documents of nodes that know where they stand.
//!
//! The parser below gives events with positions; what kubectl takes for granted on top of them is here: the words of YAML
//! 1.1 (`0644` is octal, `yes` is no text), anchors and merge keys, JSON as YAML, byte order marks. Text from anywhere is
//! safe to read: its size, its depth and what its aliases unfold to are bounded, and a broken document does not hide
//! the problems of the next.

mod scalar;

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

pub(crate) use scalar::{Scalar, Word};

/// Bytes of one file. A ConfigMap may hold 1 MiB, a file many of them.
const MAX_BYTES: usize = 32 << 20;
/// Levels of nesting; Kubernetes' own objects need about fifteen.
const MAX_DEPTH: usize = 100;
/// Nodes of one file, aliases unfolded.
const MAX_NODES: usize = 1_000_000;
/// Bytes of text that the aliases of one file may unfold to.
const MAX_UNFOLDED: usize = 8 << 20;

/// Where something begins in a file: both from 1, 0 for "nowhere".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Position,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    /// As written, merge keys unfolded. A key is there once.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: Rc<str>,
    pub(crate) at: Position,
}

/// What is wrong with the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: Position,
    /// Keys and indices from the document's root, as they are shown.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) hint: Option<String>,
}

/// All documents of a file that could be read, and all flaws of the text. Empty documents are left out.
pub(crate) fn read(text: &str) -> (Vec<Node>, Vec<Flaw>) {
    let mut flaws = Vec::new();
    if text.len() > MAX_BYTES {
        let text = format!("the file is larger than {} MiB", MAX_BYTES >> 20);
        flaws.push(Flaw { at: Position::default(), path: String::new(), text, hint: None });
        return (Vec::new(), flaws);
    }
    if let Some(at) = text.chars().position(|char| char == '\0') {
        let line = text.chars().take(at).filter(|char| *char == '\n').count() as u32 + 1;
        let text = "the file holds a zero byte: this is no text".to_owned();
        flaws.push(Flaw { at: Position { line, column: 0 }, path: String::new(), text, hint: None });
        return (Vec::new(), flaws);
    }
    let mut documents = Vec::new();
    let mut composer = Composer { parser: Parser::new_from_str(text), nodes: 0, unfolded: 0, flaws };
    composer.documents(&mut documents);
    (documents, composer.flaws)
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    nodes: usize,
    unfolded: usize,
    flaws: Vec<Flaw>,
}

/// An anchored node, and what a copy of it costs.
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// The document cannot be read on; the flaw is noted.
struct Broken;

/// What one document knows while it is read.
#[derive(Default)]
struct Document {
    anchors: HashMap<usize, Anchored>,
    /// Anchors whose node is not finished: an alias to them would be endless.
    path: Vec<String>,
}

impl<'a> Composer<'a> {
    fn documents(&mut self, documents: &mut Vec<Node>) {
        loop {
            match self.parser.next_event() {
                None | Some(Ok((Event::StreamEnd, _))) => return,
                Some(Ok((Event::DocumentStart(..), _))) => match self.document() {
                    Ok(node) if node.is_null() => {}
                    Ok(node) => documents.push(node),
                    Err(Broken) => {
                        if self.nodes > MAX_NODES || !self.parser.proceed_next_document().unwrap_or(false) {
                            return;
                        }
                    }
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.note(error, String::new());
                    if !self.parser.proceed_next_document().unwrap_or(false) {
                        return;
                    }
                }
            }
        }
    }

    fn document(&mut self) -> Result<Node, Broken> {
        let mut document = Document::default();
        let (event, span) = self.event(&document)?;
        self.node(event, span, 0, &mut document)
    }

    fn event(&mut self, document: &Document) -> Result<(Event<'a>, Span), Broken> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                self.note(error, document.path.concat());
                Err(Broken)
            }
            None => Err(Broken),
        }
    }

    fn note(&mut self, error: granit_parser::ScanError, path: String) {
        let at = Position { line: error.marker().line() as u32, column: error.marker().col() as u32 + 1 };
        let text = error.info();
        let hint = if text.contains("tabs") {
            Some("indent with spaces".to_owned())
        } else if text.contains("unexpected character") || text.contains("unknown anchor") {
            Some("quote a text that begins with a sign".to_owned())
        } else if text.contains("mapping values are not allowed") {
            Some("quote a text that holds \": \"".to_owned())
        } else {
            None
        };
        self.flaws.push(Flaw { at, path: path.trim_start_matches('.').to_owned(), text, hint });
    }

    fn refuse(&mut self, at: Position, document: &Document, text: impl Into<String>) -> Broken {
        let path = document.path.concat();
        self.flaws.push(Flaw { at, path: path.trim_start_matches('.').to_owned(), text: text.into(), hint: None });
        Broken
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize, document: &mut Document) -> Result<Node, Broken> {
        let at = Position { line: span.start.line() as u32, column: span.start.col() as u32 + 1 };
        if depth > MAX_DEPTH {
            return Err(self.refuse(at, document, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.refuse(at, document, format!("more than {MAX_NODES} values")));
        }
        let before = self.nodes;
        let (value, anchor) = match event {
            Event::Alias(id) => return self.alias(id, at, depth, document),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = self.tag(tag.as_deref(), at, document)?;
                let plain = style == ScalarStyle::Plain;
                match Scalar::resolve(text.into_owned(), plain, tag.as_deref()) {
                    Ok(scalar) => (Value::Scalar(scalar), anchor),
                    Err(text) => return Err(self.refuse(at, document, text)),
                }
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), at, document)?;
                (self.list(depth, document)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), at, document)?;
                (self.map(depth, document)?, anchor)
            }
            _ => return Err(self.refuse(at, document, "a value was expected here")),
        };
        let node = Node { value, at };
        if anchor != 0 {
            let anchored = Anchored {
                nodes: self.nodes - before + 1,
                bytes: node.bytes(),
                depth: node.depth(),
                node: node.clone(),
            };
            self.pay(&anchored, at, document)?;
            document.anchors.insert(anchor, anchored);
        }
        Ok(node)
    }

    /// The core schema's tag word; others mean something only to the program that made them up.
    fn tag(&mut self, tag: Option<&Tag>, at: Position, document: &Document) -> Result<Option<String>, Broken> {
        match tag {
            None => Ok(None),
            Some(tag) => match tag.core_suffix() {
                Some(word) => Ok(Some(word.to_owned())),
                None if tag.original() == "!" => Ok(Some("str".to_owned())),
                None => Err(self.refuse(at, document, format!("the tag {} is unknown", tag.original()))),
            },
        }
    }

    fn alias(&mut self, id: usize, at: Position, depth: usize, document: &mut Document) -> Result<Node, Broken> {
        let Some(anchored) = document.anchors.remove(&id) else {
            return Err(self.refuse(at, document, "an alias inside of what it stands for"));
        };
        let paid = if depth + anchored.depth > MAX_DEPTH {
            Err(self.refuse(at, document, format!("nested more than {MAX_DEPTH} levels deep")))
        } else {
            self.pay(&anchored, at, document)
        };
        // A copy keeps the positions of what it stands for: that is the text to mend.
        let node = anchored.node.clone();
        document.anchors.insert(id, anchored);
        paid.map(|()| node)
    }

    fn pay(&mut self, anchored: &Anchored, at: Position, document: &Document) -> Result<(), Broken> {
        self.nodes += anchored.nodes;
        self.unfolded += anchored.bytes;
        if self.nodes > MAX_NODES || self.unfolded > MAX_UNFOLDED {
            self.nodes = MAX_NODES + 1;
            return Err(self.refuse(at, document, "the aliases unfold to too much"));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize, document: &mut Document) -> Result<Value, Broken> {
        let mut list = Vec::new();
        loop {
            document.path.push(format!("[{}]", list.len()));
            let (event, span) = self.event(document)?;
            if matches!(event, Event::SequenceEnd) {
                document.path.pop();
                return Ok(Value::List(list));
            }
            list.push(self.node(event, span, depth + 1, document)?);
            document.path.pop();
        }
    }

    fn map(&mut self, depth: usize, document: &mut Document) -> Result<Value, Broken> {
        let mut map: Vec<(Key, Node)> = Vec::new();
        let mut known: HashMap<Rc<str>, Position> = HashMap::new();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.event(document)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let node = self.node(event, span, depth + 1, document)?;
            let Value::Scalar(scalar) = node.value else {
                return Err(self.refuse(node.at, document, "a key must be one word, not a list or a map"));
            };
            let key = Key { name: scalar.key().into(), at: node.at };
            document.path.push(step(&key.name));
            let (event, span) = self.event(document)?;
            let value = self.node(event, span, depth + 1, document)?;
            if merges {
                merged.push(value);
            } else if let Some(first) = known.get(&key.name) {
                let text = format!("the key \"{}\" is there twice, first in line {}", key.name, first.line);
                self.flaws.push(Flaw {
                    at: key.at,
                    path: document.path.concat().trim_start_matches('.').to_owned(),
                    text,
                    hint: None,
                });
            } else {
                known.insert(key.name.clone(), key.at);
                map.push((key, value));
            }
            document.path.pop();
        }
        // What is written wins over what is merged, and an earlier map of a list of them over a later one.
        for node in merged {
            let at = node.at;
            let maps = match node.value {
                Value::List(list) => list,
                Value::Map(_) => vec![node],
                Value::Scalar(_) => return Err(self.refuse(at, document, "\"<<\" takes a map or a list of maps")),
            };
            for node in maps {
                let Value::Map(entries) = node.value else {
                    return Err(self.refuse(node.at, document, "\"<<\" takes a map or a list of maps"));
                };
                for (key, value) in entries {
                    if !known.contains_key(&key.name) {
                        known.insert(key.name.clone(), key.at);
                        map.push((key, value));
                    }
                }
            }
        }
        Ok(Value::Map(map))
    }
}

/// One step of a path as it is shown: `.name`, or `["a.b"]` where a dot would mislead.
pub(crate) fn step(name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || "-_/".contains(char));
    if plain { format!(".{name}") } else { format!("[{name:?}]") }
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.word == Word::Null)
    }

    /// The value below a key of a map.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| &*key.name == name).map(|(_, node)| node),
            Value::List(_) | Value::Scalar(_) => None,
        }
    }

    /// As JSON: what the document says, without how it says it.
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar(scalar) => scalar.json(),
            Value::List(list) => list.iter().map(Node::json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|(key, node)| (key.name.to_string(), node.json())).collect::<serde_json::Map<_, _>>()
            }
            .into(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.value {
            Value::Scalar(scalar) => scalar.text.len(),
            Value::List(list) => list.iter().map(Node::bytes).sum(),
            Value::Map(entries) => entries.iter().map(|(key, node)| key.name.len() + node.bytes()).sum(),
        }
    }

    fn depth(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 0,
            Value::List(list) => 1 + list.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
        }
    }
}

impl Node {
    /// Itself; an empty value as an empty text: `key:` in a ConfigMap.
    pub(crate) fn or_text(&self) -> Node {
        match self.is_null() {
            true => Node { value: Value::Scalar(Scalar { text: String::new(), word: Word::Text }), at: self.at },
            false => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
