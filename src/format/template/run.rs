//! From nodes and a value to text.

use std::borrow::Cow;

use super::syntax::{Command, Node, Operand, OperandKind, Pipeline};
use super::{Result, Template};
use crate::format::functions::{self, Parameter};
use crate::format::printf::type_name;
use crate::format::value::{Kind, Nil, Value};

pub(super) fn run(template: &Template, data: &Value) -> Result<String> {
    let mut run = Run { template, out: String::new(), variables: vec![("$".into(), Cow::Borrowed(data))], depth: 0 };
    run.nodes(&template.nodes, data)?;
    Ok(run.out)
}

struct Run<'a> {
    template: &'a Template,
    out: String,
    variables: Vec<(String, Cow<'a, Value>)>,
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
        let column = if line == 1 { column + self.template.column } else { column };
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
            Node::Call(call) => {
                let found = self.template.definitions.iter().rev().find(|(defined, _)| *defined == call.name);
                let Some((_, nodes)) = found else {
                    let problem = format!("template {} not defined", crate::arguments::go_quote(&call.name));
                    return Err(self.error(call.position, &call.text, problem));
                };
                let value = match &call.argument {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Nil(Nil::NoValue),
                };
                if self.depth > 100 {
                    return Err(self.error(call.position, &call.text, "exceeded maximum template depth"));
                }
                self.depth += 1;
                let outer = std::mem::replace(&mut self.variables, vec![("$".into(), Cow::Owned(value.clone()))]);
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
                let position = command.operands.first().map_or(command.position, |operand| operand.position);
                let problem = format!("range can't iterate over {}", other.go_string());
                return Err(self.error(position, &command.text, problem));
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
            Some((_, known)) if assigns => *known = Cow::Owned(value),
            _ => self.variables.push((name.to_owned(), Cow::Owned(value))),
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
                let command = &pipeline.commands[0];
                return Err(self.error(command.position, &command.text, format!("undefined variable: {name}")));
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
            let count = rest.len() + usize::from(piped.is_some());
            functions::check_count(name, count).map_err(|problem| self.error(command.position, name, problem))?;
            let mut args = Vec::with_capacity(count);
            for (index, operand) in rest.iter().enumerate() {
                args.push(self.argument(operand, dot, functions::parameter(name, index))?);
            }
            if let Some(piped) = piped {
                check_type(&piped, functions::parameter(name, args.len()))
                    .map_err(|problem| self.error(command.position, &command.text, problem))?;
                args.push(piped);
            }
            if name == "call" {
                let what = rest.first().map_or("nil", |operand| operand.text.as_str());
                let of = args.first().map_or("<nil>", type_name);
                let problem = format!("error calling call: non-function {what} of type {of}");
                return Err(self.error(command.position, &command.text, problem));
            }
            return functions::call(name, args).map_err(|problem| {
                self.error(command.position, &command.text, format!("error calling {name}: {problem}"))
            });
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
        let made;
        let base = match &operand.kind {
            OperandKind::Dot => dot,
            OperandKind::Constant(value) => value,
            OperandKind::Nil => &Value::Nil(Nil::Pointer),
            OperandKind::Variable(name) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => value,
                None => {
                    let problem = format!("undefined variable {}", crate::arguments::go_quote(name));
                    return Err(self.error(operand.position, &operand.text, problem));
                }
            },
            OperandKind::Function(name) => {
                made = functions::check_count(name, 0)
                    .and_then(|()| functions::call(name, Vec::new()))
                    .map_err(|problem| self.error(operand.position, &operand.text, problem))?;
                &made
            }
            OperandKind::Parenthesis(pipeline) => {
                made = self.pipeline(pipeline, dot)?;
                &made
            }
        };
        // A row has dozens of fields: only the one that is asked for is copied.
        let mut value = Cow::Borrowed(base);
        for field in &operand.fields {
            let found = match &value {
                Cow::Borrowed(value) => field_of(value, field),
                Cow::Owned(value) => field_of(value, field).map(|found| Cow::Owned(found.into_owned())),
            };
            value = found.map_err(|problem| self.error(operand.position, &operand.text, problem))?;
        }
        Ok(value.into_owned())
    }

    /// An operand where a function wants a certain type: Go looks at a constant before it is a value.
    fn argument(&mut self, operand: &Operand, dot: &Value, wanted: Parameter) -> Result<Value> {
        let value = self.operand(operand, dot)?;
        let constant = matches!(operand.kind, OperandKind::Constant(_)) && operand.fields.is_empty();
        let text = &operand.text;
        let problem = match (wanted, &value) {
            (Parameter::Text, value) if constant && !matches!(value, Value::String(_)) => {
                Some(format!("expected string; found {text}"))
            }
            (Parameter::Whole, value) if constant && !matches!(value, Value::Int(_)) => {
                Some(format!("expected integer; found {text}"))
            }
            (Parameter::Texts, _) if constant => Some(format!("can't handle {text} for arg of type []string")),
            _ => check_type(&value, wanted).err(),
        };
        match problem {
            Some(problem) => Err(self.error(operand.position, text, problem)),
            None => Ok(value),
        }
    }
}

fn check_type(value: &Value, wanted: Parameter) -> Result<()> {
    let wrong = |expected: &str| Err(format!("wrong type for value; expected {expected}; got {}", type_name(value)));
    match (wanted, value) {
        (Parameter::Any, _) | (_, Value::Heading { .. } | Value::Nil(_)) => Ok(()),
        (Parameter::Text, Value::String(_)) | (Parameter::Whole, Value::Int(_) | Value::Uint(_)) => Ok(()),
        (Parameter::Texts, Value::List(_)) => Ok(()),
        (Parameter::Text, _) => wrong("string"),
        (Parameter::Whole, _) => wrong("int"),
        (Parameter::Texts, _) => wrong("[]string"),
    }
}

/// One step of `.a.b`.
fn field_of<'a>(value: &'a Value, name: &str) -> Result<Cow<'a, Value>> {
    let owned = |value| Ok(Cow::Owned(value));
    match value {
        Value::Struct(fields) => {
            let plain = |kind: Kind| kind != Kind::JsonOnly;
            let found = fields
                .iter()
                .position(|field| field.kind == Kind::Method && field.name == name)
                .or_else(|| fields.iter().position(|field| plain(field.kind) && field.name == name))
                .or_else(|| fields.iter().position(|field| plain(field.kind) && field.json == name))
                // Field names of Go and of JSON differ in case and underscores; nobody has two that differ only there.
                .or_else(|| fields.iter().position(|field| plain(field.kind) && same_letters(field.name, name)));
            match found {
                Some(index) => Ok(Cow::Borrowed(&fields[index].value)),
                None => Err(format!("can't evaluate field {name} in type struct")),
            }
        }
        Value::Map(map) => {
            map.get(name).map_or_else(|| owned(Value::Nil(Nil::NoValue)), |found| Ok(Cow::Borrowed(found)))
        }
        Value::Nil(Nil::Map | Nil::NoValue) => owned(Value::Nil(Nil::NoValue)),
        Value::Nil(_) => Err(format!("nil pointer evaluating {name}")),
        Value::Heading { words, .. } => {
            let text = words.iter().find(|(field, _)| *field == name).map(|(_, word)| (*word).to_owned());
            owned(Value::Heading { text: text.unwrap_or_else(|| crate::format::table::heading(name)), words })
        }
        other => functions::method(other, name, &[])
            .map(Cow::Owned)
            .ok_or_else(|| format!("can't evaluate field {name} in type {}", type_name(other))),
    }
}

fn same_letters(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect::<String>();
    letters(a) == letters(b)
}
