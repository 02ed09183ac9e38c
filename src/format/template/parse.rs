//! From pieces to nodes.

use super::Result;
use super::lex::{Piece, Word, Words, split};
use super::syntax::{Call, Command, Node, Operand, OperandKind, Pipeline};
use crate::format::functions;
use crate::format::value::Value;

/// The nodes of a template, and of the templates that it defines.
pub(super) type Parsed = (Vec<Node>, Vec<(String, Vec<Node>)>);

pub(super) fn parse(name: &'static str, source: &str) -> Result<Parsed> {
    let pieces = split(source).map_err(|(line, problem)| format!("template: {name}:{line}: {problem}"))?;
    let mut parser =
        Parser { name, source, pieces, at: 0, definitions: Vec::new(), loops: 0, variables: vec!["$".to_owned()] };
    let (nodes, end) = parser.list()?;
    if let Some(word) = end {
        return Err(parser.error(format!("unexpected {{{{{word}}}}}")));
    }
    Ok((nodes, parser.definitions))
}

struct Parser<'a> {
    name: &'static str,
    source: &'a str,
    pieces: Vec<Piece>,
    at: usize,
    definitions: Vec<(String, Vec<Node>)>,
    loops: usize,
    /// Those that are known here.
    variables: Vec<String>,
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
                    nodes.push(Node::Call(Call {
                        name,
                        argument: Some(pipeline),
                        text: format!("{{{{{trimmed}}}}}"),
                        position: rest_position,
                    }));
                }
                "template" => {
                    let rest_of_word = rest;
                    let (name, rest) = self.quoted_name(word, rest.trim())?;
                    let pipeline = match rest.trim() {
                        "" => None,
                        rest => Some(self.pipeline(rest, rest_position, word)?),
                    };
                    // Where the name stands.
                    let position = rest_position + (rest_of_word.len() - rest_of_word.trim_start().len());
                    nodes.push(Node::Call(Call {
                        name,
                        argument: pipeline,
                        text: format!("{{{{{trimmed}}}}}"),
                        position,
                    }));
                }
                _ => nodes.push(Node::Action(self.pipeline(&body, position, "command")?)),
            }
        }
        Ok((nodes, None))
    }

    /// The nodes of a `define` or `block`.
    fn body(&mut self, word: &str) -> Result<Vec<Node>> {
        // It has no variables but its own.
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let listed = self.list();
        self.variables = outer;
        match listed? {
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
        let known = self.variables.len();
        let branch = self.branch_in_scope(word, rest, position);
        self.variables.truncate(known);
        branch
    }

    fn branch_in_scope(&mut self, word: &'static str, rest: &str, position: usize) -> Result<Node> {
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

    fn pipeline(&mut self, text: &str, position: usize, context: &str) -> Result<Pipeline> {
        let mut words = Words::new(text, position);
        let pipeline = self.pipeline_of(&mut words, context, false)?;
        Ok(pipeline)
    }

    fn pipeline_of(&mut self, words: &mut Words<'_>, context: &str, inside: bool) -> Result<Pipeline> {
        let mut pipeline = Pipeline { variables: Vec::new(), assigns: false, commands: Vec::new() };
        if let Some((variables, assigns)) = words.declaration() {
            self.variables.extend(variables.iter().cloned());
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
                    match (command.operands.is_empty(), pipeline.commands.is_empty()) {
                        (true, true) => return Err(self.error(format!("missing value for {context}"))),
                        // Go passes over a pipe at the end.
                        (true, false) => {}
                        (false, _) => pipeline.commands.push(command),
                    }
                    break;
                }
                Some((Word::Pipe, _, _)) => {
                    if command.operands.is_empty() {
                        return Err(self.error(format!("unexpected \"|\" in {context}")));
                    }
                    pipeline.commands.push(command);
                    command = Command { operands: Vec::new(), text: String::new(), position: 0 };
                }
                Some((word, start, text)) => {
                    let (kind, fields) = match word {
                        Word::Dot(fields) => (OperandKind::Dot, fields),
                        Word::Variable(name, fields) => {
                            if !self.variables.contains(&name) {
                                let name = crate::arguments::go_quote(&name);
                                return Err(self.error(format!("undefined variable {name}")));
                            }
                            (OperandKind::Variable(name), fields)
                        }
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
                    // Go's position of `.a.b` is that of its second step.
                    let position = match (&kind, fields.as_slice()) {
                        (OperandKind::Dot, [first, _, ..]) => start + 1 + first.len(),
                        (OperandKind::Variable(name), [_, ..]) => start + name.len(),
                        _ => start,
                    };
                    command.operands.push(Operand { kind, fields, text, position });
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
