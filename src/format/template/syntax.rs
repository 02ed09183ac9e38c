//! What a template is made of, once it is parsed.

use crate::format::value::Value;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{template "NAME" PIPELINE}}`.
    Call(Call),
    Break,
    Continue,
}

#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `$x = ...` instead of `$x := ...`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) operands: Vec<Operand>,
    pub(super) text: String,
    pub(super) position: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) kind: OperandKind,
    /// `.a.b` after it.
    pub(super) fields: Vec<String>,
    pub(super) text: String,
    pub(super) position: usize,
}

#[derive(Clone, Debug)]
pub(super) enum OperandKind {
    Dot,
    Constant(Value),
    Nil,
    Variable(String),
    Function(String),
    Parenthesis(Box<Pipeline>),
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) argument: Option<Pipeline>,
    /// As it stands in the source, for messages.
    pub(super) text: String,
    pub(super) position: usize,
}
