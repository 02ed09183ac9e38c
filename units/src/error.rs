use crate::file::At;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a unit file cannot be read or translated. Each names what is to be changed in it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("file contains line {}: “{text}” which is not a key-value pair, group, or comment ({at})", at.line)]
    Syntax { at: At, text: String },
    #[error("key file does not start with a group ({at})")]
    NoSection { at: At },
    #[error("invalid group name: {name} ({at})")]
    SectionName { at: At, name: String },
    #[error("unsupported key '{key}' in group '{section}' in {at}{}", nearest.map(|known| format!(" (did you mean {known}=?)")).unwrap_or_default())]
    UnknownKey { key: String, section: String, at: At, nearest: Option<&'static str> },
    #[error("{0}")]
    Missing(&'static str),
    /// Keys that are each right, but not together.
    #[error("{0}")]
    Conflict(&'static str),
    /// The text says what is wrong with the value.
    #[error("{why} ({at})")]
    Value { why: String, at: At },
    /// Another Quadlet is named that is not there; the text says which.
    #[error("{why} ({at})")]
    Reference { why: String, at: At },
    #[error("{service} is made of {first} already; give one of the two another ServiceName=")]
    SameService { service: String, first: String },
}
