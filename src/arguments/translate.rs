//! clap's errors in pflag's words.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::invalid;
use crate::error::Failure;

/// What clap says of a line that [`normalise`](super::normalise) has put in order: only wrong values are left.
pub fn translate(command: &Command, error: clap::Error) -> Failure {
    let text_of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let shown = text_of(ContextKind::InvalidArg);
            let long = shown.trim_start_matches("--").split([' ', '=', '<', '[']).next().unwrap_or_default();
            let why =
                std::error::Error::source(&error).map_or_else(|| "invalid value".into(), |source| source.to_string());
            let flag = command.get_arguments().find(|arg| arg.get_long() == Some(long));
            match flag {
                Some(flag) => invalid(flag, &text_of(ContextKind::InvalidValue), &why),
                None => Failure::usage(why),
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(shown)) => shown.as_slice(),
                _ => &[],
            };
            let name = |shown: &String| {
                format!("\"{}\"", shown.trim_start_matches("--").split([' ', '=', '<']).next().unwrap_or_default())
            };
            Failure::usage(format!(
                "required flag(s) {} not set",
                missing.iter().map(name).collect::<Vec<_>>().join(", ")
            ))
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            Failure::usage(line.trim_start_matches("error: "))
        }
    }
}
