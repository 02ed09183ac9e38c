//! Go's `text/template`, as far as `--format` reaches: fields, pipelines, variables, `if`, `range`, `with`, `define`,
//! `template`, `block`, `break`, `continue`, comments and trimming. Messages are those of Go.
//!
//! The one crate for this (gtmpl) has no maintainer, works on another value model and has other texts.

use super::functions;
use super::value::{Kind, Nil, Value};

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Call(String, Option<Pipeline>),
    Break,
    Continue,
}

#[derive(Clone, Debug)]
struct Pipeline {
    variables: Vec<String>,
    /// `$x = ...` instead of `$x := ...`.
    assigns: bool,
    commands: Vec<Command>,
}

#[derive(Clone, Debug)]
struct Command {
    operands: Vec<Operand>,
    text: String,
    position: usize,
}

#[derive(Clone, Debug)]
struct Operand {
    kind: OperandKind,
    /// `.a.b` after it.
    fields: Vec<String>,
    text: String,
    position: usize,
}

#[derive(Clone, Debug)]
enum OperandKind {
    Dot,
    Constant(Value),
    Nil,
    Variable(String),
    Function(String),
    Parenthesis(Box<Pipeline>),
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    name: &'static str,
    source: String,
    nodes: Vec<Node>,
    definitions: Vec<(String, Vec<Node>)>,
}

type Result<T> = std::result::Result<T, String>;

impl Template {
    /// `name` appears in messages, as Podman names its templates after the command.
    pub fn parse(name: &'static str, source: &str) -> Result<Template> {
        let pieces = split(source).map_err(|(line, problem)| format!("template: {name}:{line}: {problem}"))?;
        let mut parser = Parser { name, source, pieces, at: 0, definitions: Vec::new(), loops: 0 };
        let (nodes, end) = parser.list()?;
        if let Some(word) = end {
            return Err(parser.error(format!("unexpected {{{{{word}}}}}")));
        }
        let definitions = parser.definitions;
        Ok(Template { name, source: source.to_owned(), nodes, definitions })
    }

    /// Whether the template itself goes over the list it is given.
    pub fn begins_with_range(&self) -> bool {
        matches!(self.nodes.first(), Some(Node::Range(..)))
    }

    pub fn run(&self, data: &Value) -> Result<String> {
        let mut run = Run { template: self, out: String::new(), variables: vec![("$".into(), data.clone())], depth: 0 };
        run.nodes(&self.nodes, data)?;
        Ok(run.out)
    }
}

/// Text, or the inside of an action with its position.
enum Piece {
    Text(String),
    Action { body: String, position: usize },
}

fn split(source: &str) -> std::result::Result<Vec<Piece>, (usize, String)> {
    let mut pieces = Vec::new();
    let mut position = 0;
    let mut trim = false;
    let line_of = |position: usize| source[..position].matches('\n').count() + 1;
    while let Some(open) = source[position..].find("{{").map(|at| at + position) {
        let mut text = &source[position..open];
        if trim {
            text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        }
        let mut start = open + 2;
        let trims_left = source[start..].starts_with('-') && source[start + 1..].starts_with([' ', '\t', '\r', '\n']);
        if trims_left {
            text = text.trim_end_matches([' ', '\t', '\r', '\n']);
            start += 2;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        let inside = &source[start..];
        let body_start = inside.trim_start();
        let end = if body_start.starts_with("/*") {
            let Some(close) = inside.find("*/") else { return Err((line_of(open), "unclosed comment".into())) };
            let after = &inside[close + 2..];
            let Some(end) = after.find("}}") else {
                return Err((line_of(open), "comment ends before closing delimiter".into()));
            };
            close + 2 + end
        } else {
            close(inside).ok_or((line_of(open), "unclosed action".to_owned()))?
        };
        let mut body = &inside[..end];
        trim = body.ends_with('-') && body[..body.len() - 1].ends_with([' ', '\t', '\r', '\n']);
        if trim {
            body = &body[..body.len() - 1];
        }
        if !body.trim_start().starts_with("/*") {
            pieces.push(Piece::Action { body: body.to_owned(), position: start });
        }
        position = start + end + 2;
    }
    let mut text = &source[position..];
    if trim {
        text = text.trim_start_matches([' ', '\t', '\r', '\n']);
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(pieces)
}

/// Where `}}` ends an action that begins here: not inside of a quoted text.
fn close(inside: &str) -> Option<usize> {
    let bytes = inside.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            quote @ (b'"' | b'\'' | b'`') => {
                at += 1;
                while *bytes.get(at)? != quote {
                    at += if bytes[at] == b'\\' && quote != b'`' { 2 } else { 1 };
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    None
}

struct Parser<'a> {
    name: &'static str,
    source: &'a str,
    pieces: Vec<Piece>,
    at: usize,
    definitions: Vec<(String, Vec<Node>)>,
    loops: usize,
}

impl Parser<'_> {
    fn error(&self, problem: impl std::fmt::Display) -> String {
        let position = self.pieces[..self.at.min(self.pieces.len())]
            .iter()
            .rev()
            .find_map(|piece| match piece {
                Piece::Action { position, .. } => Some(*position),
                Piece::Text(_) => None,
            })
            .unwrap_or(0);
        let line = self.source[..position.min(self.source.len())].matches('\n').count() + 1;
        format!("template: {}:{line}: {problem}", self.name)
    }

    /// Nodes up to the end, or up to an `end` or `else`, which is given back.
    fn list(&mut self) -> Result<(Vec<Node>, Option<String>)> {
        let mut nodes = Vec::new();
        while self.at < self.pieces.len() {
            let (body, position) = match &self.pieces[self.at] {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.clone()));
                    self.at += 1;
                    continue;
                }
                Piece::Action { body, position } => (body.clone(), *position),
            };
            self.at += 1;
            let trimmed = body.trim();
            let (word, rest) = match trimmed.split_once(|c: char| !c.is_ascii_alphabetic()) {
                Some((word, _)) => (word, &trimmed[word.len()..]),
                None => (trimmed, ""),
            };
            let rest_position = position + (body.len() - body.trim_start().len()) + word.len();
            match word {
                "end" if rest.trim().is_empty() => return Ok((nodes, Some("end".into()))),
                "else" => return Ok((nodes, Some(trimmed.to_owned()))),
                "if" => nodes.push(self.branch("if", rest, rest_position)?),
                "with" => nodes.push(self.branch("with", rest, rest_position)?),
                "range" => nodes.push(self.branch("range", rest, rest_position)?),
                "break" | "continue" if rest.trim().is_empty() => {
                    if self.loops == 0 {
                        return Err(self.error(format!("{{{{{word}}}}} outside {{{{range}}}}")));
                    }
                    nodes.push(if word == "break" { Node::Break } else { Node::Continue });
                }
                "define" => {
                    let name = self.quoted_name(word, rest.trim())?.0;
                    let body = self.body(word)?;
                    self.definitions.push((name, body));
                }
                "block" => {
                    let (name, rest) = self.quoted_name(word, rest.trim())?;
                    let pipeline = self.pipeline(&rest, rest_position, word)?;
                    let body = self.body(word)?;
                    self.definitions.push((name.clone(), body));
                    nodes.push(Node::Call(name, Some(pipeline)));
                }
                "template" => {
                    let (name, rest) = self.quoted_name(word, rest.trim())?;
                    let pipeline = match rest.trim() {
                        "" => None,
                        rest => Some(self.pipeline(rest, rest_position, word)?),
                    };
                    nodes.push(Node::Call(name, pipeline));
                }
                _ => nodes.push(Node::Action(self.pipeline(&body, position, "command")?)),
            }
        }
        Ok((nodes, None))
    }

    /// The nodes of a `define` or `block`.
    fn body(&mut self, word: &str) -> Result<Vec<Node>> {
        match self.list()? {
            (nodes, Some(end)) if end == "end" => Ok(nodes),
            (_, Some(other)) => Err(self.error(format!("unexpected {{{{{other}}}}} in {word} clause"))),
            (_, None) => Err(self.error("unexpected EOF")),
        }
    }

    fn quoted_name(&self, word: &str, text: &str) -> Result<(String, String)> {
        let mut words = Words::new(text, 0);
        match words.next() {
            Ok(Some((Word::Text(name), _, _))) => Ok((name, words.rest().to_owned())),
            _ => Err(self.error(format!("unexpected {} in {word} clause", crate::arguments::go_quote(text)))),
        }
    }

    fn branch(&mut self, word: &'static str, rest: &str, position: usize) -> Result<Node> {
        let pipeline = self.pipeline(rest, position, word)?;
        self.loops += usize::from(word == "range");
        let listed = self.list();
        self.loops -= usize::from(word == "range");
        let (then, end) = listed?;
        let otherwise = match end.as_deref() {
            None => return Err(self.error("unexpected EOF")),
            Some("end") => Vec::new(),
            Some(end) => {
                let condition = end.trim_start_matches("else").trim();
                if condition.is_empty() {
                    match self.list()? {
                        (nodes, Some(end)) if end == "end" => nodes,
                        (_, Some(other)) => return Err(self.error(format!("expected end; found {{{{{other}}}}}"))),
                        (_, None) => return Err(self.error("unexpected EOF")),
                    }
                } else {
                    // `else if` and `else with` share the one `end`.
                    let next = if condition.starts_with("if") { "if" } else { "with" };
                    let Some(condition) = condition.strip_prefix(next) else {
                        return Err(self.error(format!("unexpected <{condition}> in {{{{else}}}}")));
                    };
                    vec![self.branch(next, condition, position)?]
                }
            }
        };
        Ok(match word {
            "if" => Node::If(pipeline, then, otherwise),
            "with" => Node::With(pipeline, then, otherwise),
            _ => Node::Range(pipeline, then, otherwise),
        })
    }

    fn pipeline(&self, text: &str, position: usize, context: &str) -> Result<Pipeline> {
        let mut words = Words::new(text, position);
        let pipeline = self.pipeline_of(&mut words, context, false)?;
        Ok(pipeline)
    }

    fn pipeline_of(&self, words: &mut Words<'_>, context: &str, inside: bool) -> Result<Pipeline> {
        let mut pipeline = Pipeline { variables: Vec::new(), assigns: false, commands: Vec::new() };
        if let Some((variables, assigns)) = words.declaration() {
            pipeline.variables = variables;
            pipeline.assigns = assigns;
        }
        let mut command = Command { operands: Vec::new(), text: String::new(), position: 0 };
        loop {
            let next = words.next().map_err(|problem| self.error(problem))?;
            match next {
                None if inside => return Err(self.error("unclosed left paren")),
                Some((Word::Close, _, _)) if !inside => return Err(self.error("unexpected right paren")),
                None | Some((Word::Close, _, _)) => {
                    if command.operands.is_empty() {
                        return Err(self.error(format!("missing value for {context}")));
                    }
                    pipeline.commands.push(command);
                    break;
                }
                Some((Word::Pipe, _, _)) => {
                    if command.operands.is_empty() {
                        return Err(self.error(format!("missing value for {context}")));
                    }
                    pipeline.commands.push(command);
                    command = Command { operands: Vec::new(), text: String::new(), position: 0 };
                }
                Some((word, start, text)) => {
                    let (kind, fields) = match word {
                        Word::Dot(fields) => (OperandKind::Dot, fields),
                        Word::Variable(name, fields) => (OperandKind::Variable(name), fields),
                        Word::Text(text) => (OperandKind::Constant(Value::String(text)), Vec::new()),
                        Word::Number(value) => (OperandKind::Constant(value), Vec::new()),
                        Word::Name(name) => match name.as_str() {
                            "true" => (OperandKind::Constant(Value::Bool(true)), Vec::new()),
                            "false" => (OperandKind::Constant(Value::Bool(false)), Vec::new()),
                            "nil" => (OperandKind::Nil, Vec::new()),
                            _ if functions::exists(&name) => (OperandKind::Function(name), Vec::new()),
                            _ => {
                                return Err(
                                    self.error(format!("function {} not defined", crate::arguments::go_quote(&name)))
                                );
                            }
                        },
                        Word::Open => {
                            let inner = self.pipeline_of(words, "parenthesized pipeline", true)?;
                            let fields = words.fields_right_here();
                            (OperandKind::Parenthesis(Box::new(inner)), fields)
                        }
                        Word::Pipe | Word::Close => continue,
                    };
                    if command.operands.is_empty() {
                        command.position = start;
                    } else {
                        command.text.push(' ');
                    }
                    command.text.push_str(&text);
                    command.operands.push(Operand { kind, fields, text, position: start });
                }
            }
        }
        for (index, command) in pipeline.commands.iter().enumerate() {
            let first = &command.operands[0];
            if matches!(first.kind, OperandKind::Constant(_)) && index > 0 {
                return Err(self.error(format!("non executable command in pipeline stage {}", index + 1)));
            }
        }
        Ok(pipeline)
    }
}

enum Word {
    /// `.`, `.a.b`
    Dot(Vec<String>),
    Variable(String, Vec<String>),
    Text(String),
    Number(Value),
    Name(String),
    Open,
    Close,
    Pipe,
}

struct Words<'a> {
    text: &'a str,
    at: usize,
    offset: usize,
}

impl<'a> Words<'a> {
    fn new(text: &'a str, offset: usize) -> Words<'a> {
        Words { text, at: 0, offset }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn name(&mut self) -> String {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_owned()
    }

    /// `.a.b` directly behind the last word.
    fn fields_right_here(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while self.rest().starts_with('.') {
            self.at += 1;
            fields.push(self.name());
        }
        fields
    }

    /// `$a :=`, `$a, $b :=`, `$a =`
    fn declaration(&mut self) -> Option<(Vec<String>, bool)> {
        let rest = self.rest();
        if !rest.trim_start().starts_with('$') {
            return None;
        }
        let end = rest.find('=')?;
        let (names, assigns) = match rest[..end].strip_suffix(':') {
            Some(names) => (names, false),
            None => (&rest[..end], true),
        };
        let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
        let well_formed = names.len() <= 2
            && names.iter().all(|name| {
                name.strip_prefix('$').is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
            });
        if !well_formed {
            return None;
        }
        self.at += end + 1;
        Some((names, assigns))
    }

    fn next(&mut self) -> Result<Option<(Word, usize, String)>> {
        self.skip_space();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let word = match first {
            '|' => {
                self.at += 1;
                Word::Pipe
            }
            '(' => {
                self.at += 1;
                Word::Open
            }
            ')' => {
                self.at += 1;
                Word::Close
            }
            '"' => Word::Text(self.quoted()?),
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                self.at += end + 2;
                Word::Text(rest[1..=end].to_owned())
            }
            '\'' => {
                let end = rest[1..].find('\'').ok_or("unterminated character constant")?;
                let inner = &rest[1..=end];
                self.at += end + 2;
                let c = unescape(inner)?
                    .chars()
                    .next()
                    .ok_or_else(|| format!("malformed character constant: '{inner}'"))?;
                Word::Number(Value::Int(i64::from(u32::from(c))))
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                if rest[1..].starts_with(|c: char| c.is_alphabetic() || c == '_') {
                    Word::Dot(self.fields_right_here())
                } else {
                    self.at += 1;
                    Word::Dot(Vec::new())
                }
            }
            '$' => {
                self.at += 1;
                let name = format!("${}", self.name());
                Word::Variable(name, self.fields_right_here())
            }
            c if c.is_ascii_digit() || matches!(c, '.' | '-' | '+') => {
                let end = rest
                    .char_indices()
                    .skip(1)
                    .find(|&(at, c)| {
                        let exponent_sign =
                            matches!(c, '+' | '-') && rest[..at].ends_with(['e', 'E']) && !rest.starts_with("0x");
                        !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || exponent_sign)
                    })
                    .map_or(rest.len(), |(at, _)| at);
                self.at += end;
                let text = rest[..end].replace('_', "");
                Word::Number(
                    number(&text)
                        .ok_or_else(|| format!("bad number syntax: {}", crate::arguments::go_quote(&rest[..end])))?,
                )
            }
            c if c.is_alphabetic() || c == '_' => {
                let name = self.name();
                if self.rest().starts_with('.') {
                    return Err(format!("unexpected . after term {}", crate::arguments::go_quote(&name)));
                }
                Word::Name(name)
            }
            other => {
                return Err(format!("bad character U+{:04X} {}", u32::from(other), {
                    let mut shown = String::from("'");
                    shown.push(other);
                    shown.push('\'');
                    shown
                }));
            }
        };
        Ok(Some((word, self.offset + start, self.text[start..self.at].to_owned())))
    }

    fn quoted(&mut self) -> Result<String> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut at = 1;
        loop {
            match bytes.get(at) {
                None | Some(b'\n') => return Err("unterminated quoted string".into()),
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
            }
        }
        self.at += at + 1;
        unescape(&rest[1..at])
    }
}

fn number(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let sign = if negative { -1 } else { 1 };
    let radix = |prefix: [&str; 2], radix| {
        prefix.iter().find_map(|prefix| digits.strip_prefix(prefix)).map(|digits| i64::from_str_radix(digits, radix))
    };
    let whole = radix(["0x", "0X"], 16).or_else(|| radix(["0o", "0O"], 8)).or_else(|| radix(["0b", "0B"], 2));
    match whole {
        Some(parsed) => parsed.ok().map(|value| Value::Int(sign * value)),
        None => digits
            .parse::<i64>()
            .map(|value| Value::Int(sign * value))
            .or_else(|_| digits.parse::<f64>().map(|value| Value::Float(sign as f64 * value)))
            .ok(),
    }
}

fn unescape(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escape) = chars.next() else { return Err("invalid syntax".into()) };
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            _ => 0,
        };
        if digits > 0 {
            let digits: String = chars.by_ref().take(digits).collect();
            out.push(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or("invalid syntax")?);
            continue;
        }
        out.push(match escape {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '"' | '\'' => escape,
            _ => return Err("invalid syntax".into()),
        });
    }
    Ok(out)
}

struct Run<'a> {
    template: &'a Template,
    out: String,
    variables: Vec<(String, Value)>,
    depth: usize,
}

/// Why a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Run<'_> {
    fn error(&self, position: usize, text: &str, problem: impl std::fmt::Display) -> String {
        let name = self.template.name;
        let before = &self.template.source[..position.min(self.template.source.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let text: String = if text.chars().count() > 20 {
            text.chars().take(20).chain("...".chars()).collect()
        } else {
            text.to_owned()
        };
        format!("template: {name}:{line}:{column}: executing \"{name}\" at <{text}>: {problem}")
    }

    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow> {
        let scope = self.variables.len();
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                self.variables.truncate(scope);
                return Ok(flow);
            }
        }
        self.variables.truncate(scope);
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    let text = value.go_string();
                    self.out.push_str(&text);
                }
            }
            Node::If(pipeline, then, otherwise) => {
                let scope = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                let flow = self.nodes(if value.truth() { then } else { otherwise }, dot);
                self.variables.truncate(scope);
                return flow;
            }
            Node::With(pipeline, then, otherwise) => {
                let scope = self.variables.len();
                let value = self.pipeline(pipeline, dot)?;
                let flow = if value.truth() { self.nodes(then, &value) } else { self.nodes(otherwise, dot) };
                self.variables.truncate(scope);
                return flow;
            }
            Node::Range(pipeline, body, otherwise) => return self.range(pipeline, body, otherwise, dot),
            Node::Call(name, pipeline) => {
                let Some((_, nodes)) = self.template.definitions.iter().rev().find(|(defined, _)| defined == name)
                else {
                    return Err(self.error(
                        0,
                        name,
                        format!("template {} not defined", crate::arguments::go_quote(name)),
                    ));
                };
                let value = match pipeline {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Nil(Nil::NoValue),
                };
                if self.depth > 100 {
                    return Err(self.error(0, name, "exceeded maximum template depth"));
                }
                self.depth += 1;
                let outer = std::mem::replace(&mut self.variables, vec![("$".into(), value.clone())]);
                let flow = self.nodes(nodes, &value);
                self.variables = outer;
                self.depth -= 1;
                flow?;
            }
        }
        Ok(Flow::On)
    }

    fn range(&mut self, pipeline: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<Flow> {
        let scope = self.variables.len();
        let bare = Pipeline { variables: Vec::new(), ..pipeline.clone() };
        let value = self.pipeline(&bare, dot)?;
        let items: Vec<(Value, Value)> = match value {
            Value::List(items) => {
                items.into_iter().enumerate().map(|(index, item)| (Value::Int(index as i64), item)).collect()
            }
            Value::Map(map) => map.into_iter().map(|(key, value)| (Value::String(key), value)).collect(),
            Value::Nil(_) => Vec::new(),
            Value::Int(count) => (0..count).map(|index| (Value::Int(index), Value::Int(index))).collect(),
            heading @ Value::Heading { .. } => vec![(Value::Int(0), heading)],
            other => {
                let command = &pipeline.commands[0];
                let problem = format!("range can't iterate over {}", other.go_string());
                return Err(self.error(command.position, &command.text, problem));
            }
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, item) in items {
            match pipeline.variables.as_slice() {
                [only] => self.set(only, item.clone(), pipeline.assigns),
                [first, second] => {
                    self.set(first, key, pipeline.assigns);
                    self.set(second, item.clone(), pipeline.assigns);
                }
                _ => {}
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn set(&mut self, name: &str, value: Value, assigns: bool) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some((_, known)) if assigns => *known = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil(Nil::NoValue));
        if let [name] = pipeline.variables.as_slice() {
            let exists = self.variables.iter().any(|(known, _)| known == name);
            if pipeline.assigns && !exists {
                return Err(self.error(0, name, format!("undefined variable {}", crate::arguments::go_quote(name))));
            }
            self.set(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn command(&mut self, command: &Command, dot: &Value, piped: Option<Value>) -> Result<Value> {
        let first = &command.operands[0];
        let rest = &command.operands[1..];
        if let OperandKind::Function(name) = &first.kind {
            // These two stop at the first operand that decides.
            if name == "and" || name == "or" {
                if rest.is_empty() && piped.is_none() {
                    let problem = format!("wrong number of args for {name}: want at least 1 got 0");
                    return Err(self.error(command.position, &command.text, problem));
                }
                let mut value = Value::Nil(Nil::NoValue);
                for operand in rest {
                    value = self.operand(operand, dot)?;
                    if value.truth() == (name == "or") {
                        return Ok(value);
                    }
                }
                return Ok(piped.unwrap_or(value));
            }
            let mut args = Vec::with_capacity(rest.len() + 1);
            for operand in rest {
                args.push(self.operand(operand, dot)?);
            }
            args.extend(piped);
            return functions::call(name, args).map_err(|problem| self.error(command.position, &command.text, problem));
        }
        if matches!(first.kind, OperandKind::Nil) {
            return Err(self.error(first.position, &first.text, "nil is not a command"));
        }
        if rest.is_empty() && piped.is_none() {
            return self.operand(first, dot);
        }
        // A field with arguments is a method: `.Label "key"`, `.Created.Format "2006"`.
        if let Some((method, path)) = first.fields.split_last() {
            let mut bare = first.clone();
            bare.fields = path.to_vec();
            let receiver = self.operand(&bare, dot)?;
            let mut args = Vec::new();
            for operand in rest {
                args.push(self.operand(operand, dot)?);
            }
            args.extend(piped);
            if let Some(value) = functions::method(&receiver, method, &args) {
                return Ok(value);
            }
            let problem = format!("{method} has arguments but cannot be invoked as function");
            return Err(self.error(first.position, &first.text, problem));
        }
        let problem = format!("can't give argument to non-function {}", first.text);
        Err(self.error(first.position, &first.text, problem))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value> {
        let base = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Constant(value) => value.clone(),
            OperandKind::Nil => Value::Nil(Nil::Pointer),
            OperandKind::Variable(name) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => value.clone(),
                None => {
                    let problem = format!("undefined variable {}", crate::arguments::go_quote(name));
                    return Err(self.error(operand.position, &operand.text, problem));
                }
            },
            OperandKind::Function(name) => functions::call(name, Vec::new())
                .map_err(|problem| self.error(operand.position, &operand.text, problem))?,
            OperandKind::Parenthesis(pipeline) => self.pipeline(pipeline, dot)?,
        };
        let mut value = base;
        let mut position = operand.position;
        for field in &operand.fields {
            value = field_of(value, field).map_err(|problem| self.error(position, &operand.text, problem))?;
            position += field.len() + 1;
        }
        Ok(value)
    }
}

/// One step of `.a.b`.
fn field_of(value: Value, name: &str) -> Result<Value> {
    match value {
        Value::Struct(mut fields) => {
            let plain = |kind: Kind| kind != Kind::JsonOnly;
            let found = fields
                .iter()
                .position(|field| field.kind == Kind::Method && field.name == name)
                .or_else(|| fields.iter().position(|field| plain(field.kind) && field.name == name))
                .or_else(|| fields.iter().position(|field| plain(field.kind) && field.json == name))
                // Field names of Go and of JSON differ in case and underscores; nobody has two that differ only there.
                .or_else(|| fields.iter().position(|field| plain(field.kind) && same_letters(field.name, name)));
            match found {
                Some(index) => Ok(fields.swap_remove(index).value),
                None => Err(format!("can't evaluate field {name} in type struct")),
            }
        }
        Value::Map(mut map) => Ok(map.remove(name).unwrap_or(Value::Nil(Nil::NoValue))),
        Value::Nil(Nil::Map | Nil::NoValue) => Ok(Value::Nil(Nil::NoValue)),
        Value::Nil(_) => Err(format!("nil pointer evaluating {name}")),
        Value::Heading { words, .. } => {
            let text = words.iter().find(|(field, _)| *field == name).map(|(_, word)| (*word).to_owned());
            Ok(Value::Heading { text: text.unwrap_or_else(|| super::table::heading(name)), words })
        }
        other => functions::method(&other, name, &[])
            .ok_or_else(|| format!("can't evaluate field {name} in type {}", super::printf::type_name(&other))),
    }
}

fn same_letters(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect::<String>();
    letters(a) == letters(b)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::object;

    fn host() -> Value {
        object! {
            "os" as "OS": "linux",
            "memTotal" as "MemTotal": 25276510208u64,
            "swapFree" as "SwapFree": 0i64,
            "idMappings" as "IDMappings": object! {
                "uidmap" as "UIDMap": vec![
                    object! { "container_id" as "ContainerID": 0i64, "host_id" as "HostID": 1001i64, "size" as "Size": 1i64 },
                    object! { "container_id" as "ContainerID": 1i64, "host_id" as "HostID": 100000i64, "size" as "Size": 65536i64 },
                ],
            },
        }
    }

    fn info() -> Value {
        let status =
            BTreeMap::from([("Backing Filesystem".to_owned(), "extfs"), ("Using metacopy".to_owned(), "false")]);
        object! {
            "host" as "Host": host(),
            "plugins" as "Plugins": object! {
                "log" as "Log": vec!["k8s-file".to_owned(), "none".into(), "journald".into()],
                "volume" as "Volume": vec!["local".to_owned()],
                "authorization" as "Authorization": Value::Nil(Nil::List),
            },
            "registries" as "Registries": Value::Nil(Nil::Map),
            "graphStatus" as "GraphStatus": Value::map(&status),
        }
    }

    fn run(source: &str) -> String {
        Template::parse("info", source).and_then(|template| template.run(&info())).unwrap_or_else(|error| error)
    }

    #[test]
    fn templates_print_what_podman_prints() {
        // Each expectation was printed by Podman's `info --format`.
        let table = [
            ("{{.Host.IDMappings}}", "{[{0 1001 1} {1 100000 65536}]}"),
            ("{{len .Host.OS}} {{index .Host.IDMappings.UIDMap 0}}", "5 {0 1001 1}"),
            ("{{if .Host.SwapFree}}a{{else if .Host.OS}}b{{else}}c{{end}}", "b"),
            ("{{with .Host.OS}}{{.}}{{else}}none{{end}}", "linux"),
            ("{{range $i, $e := .Host.IDMappings.UIDMap}}{{$i}}:{{$e.Size}},{{end}}", "0:1,1:65536,"),
            ("{{range .Plugins.Volume}}[{{.}}]{{else}}no{{end}}", "[local]"),
            ("{{ .Host.OS | upper | printf \"%s!\" }}", "LINUX!"),
            ("{{- \"a\" -}}  b  {{- /* c */ -}} c", "abc"),
            (
                "{{eq .Host.OS \"linux\"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 1 2}} {{and 1 0}} {{or 0 \"x\"}} {{not true}}",
                "true true true true false false 0 x false",
            ),
            ("{{$x := .Host.OS}}{{$x}} {{$x = \"y\"}}{{$x}}", "linux y"),
            (
                "{{join .Plugins.Log \",\"}} {{split \"a,b\" \",\"}} {{title \"abc def\"}} {{truncate \"abcdef\" 3}} {{pad \"a\" 2 3}}| {{lower \"ABC\"}}",
                "k8s-file,none,journald [a b] Abc Def abc   a   | abc",
            ),
            ("{{print 1 2 \"a\" \"b\" 3}} {{println \"x\" 1}}", "1 2ab3 x 1\n"),
            ("{{slice \"abcdef\" 1 3}} {{html \"<a>\"}} {{urlquery \"a b\"}} {{js \"a\"}}", "bc &lt;a&gt; a+b a"),
            ("{{.Plugins}}", "{[k8s-file none journald] [local] []}"),
            ("{{.Registries}}", "map[]"),
            ("{{1.5}} {{true}} {{\"a\\tb\"}} {{`raw\\t`}} {{0x10}} {{-3}} {{'a'}}", "1.5 true a\tb raw\\t 16 -3 97"),
            ("{{(index .Host.IDMappings.UIDMap 0).Size}}", "1"),
            ("{{define \"T\"}}x{{.}}{{end}}{{template \"T\" .Host.OS}}", "xlinux"),
            ("{{block \"B\" .}}z{{end}}", "z"),
            ("{{range .Plugins.Log}}{{if eq . \"none\"}}{{continue}}{{end}}{{.}}{{break}}{{end}}", "k8s-file"),
            ("{{range 3}}{{.}}{{end}}", "012"),
            ("{{ index .GraphStatus \"Backing Filesystem\" }}|{{ index .GraphStatus \"nope\" }}|", "extfs||"),
            ("{{printf \"%v %v\" .Plugins.Log nil}}", "[k8s-file none journald] <nil>"),
            ("{{json .Plugins.Log}}", "[\"k8s-file\",\"none\",\"journald\"]"),
        ];
        for (source, expected) in table {
            assert_eq!(run(source), expected, "{source}");
        }
    }

    #[test]
    fn mistakes_are_named_as_go_names_them() {
        let table = [
            (
                "{{.Host.Nope}}",
                "template: info:1:7: executing \"info\" at <.Host.Nope>: can't evaluate field Nope in type struct",
            ),
            ("{{nope .}}", "template: info:1: function \"nope\" not defined"),
            ("{{.Host.OS", "template: info:1: unclosed action"),
            ("{{if}}x{{end}}", "template: info:1: missing value for if"),
            ("{{end}}", "template: info:1: unexpected {{end}}"),
            ("{{if .Host}}", "template: info:1: unexpected EOF"),
            (
                "{{index .Plugins.Log 9}}",
                "template: info:1:2: executing \"info\" at <index .Plugins.Log 9>: error calling index: index out of range: 9",
            ),
            ("{{nil}}", "template: info:1:2: executing \"info\" at <nil>: nil is not a command"),
            (
                "{{eq 1 1.0}}",
                "template: info:1:2: executing \"info\" at <eq 1 1.0>: error calling eq: incompatible types for comparison: int and float64",
            ),
            ("{{len 3}}", "template: info:1:2: executing \"info\" at <len 3>: error calling len: len of type int"),
            (
                "{{and}}",
                "template: info:1:2: executing \"info\" at <and>: wrong number of args for and: want at least 1 got 0",
            ),
            ("{{true.x}}", "template: info:1: unexpected . after term \"true\""),
            ("{{.Names", "template: info:1: unclosed action"),
            ("{{break}}", "template: info:1: {{break}} outside {{range}}"),
        ];
        for (source, expected) in table {
            assert_eq!(run(source), expected, "{source}");
        }
    }

    #[test]
    fn unknown_keys_of_maps_have_no_value() {
        assert_eq!(run("{{.GraphStatus.nope}}"), "<no value>");
    }

    #[test]
    fn a_method_hides_the_field_of_its_name() {
        let value = object! { "Names": vec!["c1".to_owned()], fn "Names": "c1" };
        let template = Template::parse("ps", "{{.Names}} {{.}} {{json .}}").unwrap();
        assert_eq!(template.run(&value).unwrap(), "c1 {[c1]} {\"Names\":[\"c1\"]}");
    }

    #[test]
    fn a_label_is_asked_for_by_name() {
        let value = object! { "Labels": Value::map(&BTreeMap::from([("a".to_owned(), "b")])) };
        let template = Template::parse("ps", "{{.Label \"a\"}}|{{.Label \"x\"}}").unwrap();
        assert_eq!(template.run(&value).unwrap(), "b|");
    }
}
