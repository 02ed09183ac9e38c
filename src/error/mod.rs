//! What the user sees when a command fails: one line that begins with `Error: `, what to do about it on the next, and
//! an exit code. Hints are chosen in [`hints`], by looking at the error: the libraries say what is so.

mod exit_code;
mod hints;
mod words;

use std::fmt;
use std::io::{self, Write};

use crate::style::Style;

pub use exit_code::ExitCode;
pub use words::{folded, go_words};

/// Which part of the machine may be to blame for a failure; [`crate::doctor`] looks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    UserNamespace,
    Store,
    RootFileSystem,
    Network,
    Skopeo,
}

/// How a failure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// After the word `Error:`.
    Error,
    /// The same; the user's typing was at fault, so the command's help is pointed at.
    Usage,
    /// Without that word, as Podman does before it knows its configuration.
    Bare,
    /// Not at all: the reader of our output went away, or the message was printed already.
    Silent,
}

/// A failed command: what went wrong, what to do, and how the process ends.
#[derive(Debug)]
pub struct Failure {
    text: String,
    hint: Option<String>,
    manner: Manner,
    code: ExitCode,
    suspect: Option<Suspect>,
    /// What was looked for and is not there: its kind and the name that was typed.
    missing: Option<(&'static str, String)>,
}

impl Failure {
    /// A message of the surface itself.
    pub fn plain(text: impl Into<String>) -> Failure {
        Failure {
            text: text.into(),
            hint: None,
            manner: Manner::Error,
            code: ExitCode::Failed,
            suspect: None,
            missing: None,
        }
    }

    /// A message about flags: `See 'creel X --help'` follows.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure { manner: Manner::Usage, ..Failure::plain(text) }
    }

    /// An exit without a word.
    pub fn silent(code: ExitCode) -> Failure {
        Failure { manner: Manner::Silent, code, ..Failure::plain("") }
    }

    pub fn code(mut self, code: ExitCode) -> Failure {
        self.code = code;
        self
    }

    pub fn exit_code(&self) -> ExitCode {
        self.code
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// Something of that kind and name was looked for, and another name may have been meant.
    pub fn missing(mut self, kind: &'static str, name: &str) -> Failure {
        self.missing = Some((kind, name.to_owned()));
        self
    }

    pub fn looked_for(&self) -> Option<(&'static str, &str)> {
        self.missing.as_ref().map(|(kind, name)| (*kind, name.as_str()))
    }

    /// The machine may be to blame.
    pub fn suspect(mut self, suspect: Suspect) -> Failure {
        self.suspect = Some(suspect);
        self
    }

    pub fn suspected(&self) -> Option<Suspect> {
        self.suspect
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Without the word `Error:` before it.
    pub fn bare(mut self) -> Failure {
        self.manner = Manner::Bare;
        self
    }

    /// Puts what was being done before the message: `CONTEXT: TEXT`.
    pub fn context(mut self, context: impl fmt::Display) -> Failure {
        self.text = format!("{context}: {}", self.text);
        self
    }

    /// Writes it to standard error. `command` is the path of the command for the pointer at its help; its first word is
    /// the name by which the program was called.
    pub fn print(&self, command: Option<&str>) {
        if self.manner == Manner::Silent || crate::output::reader_is_gone() {
            return;
        }
        let program = command.and_then(|command| command.split(' ').next()).unwrap_or("creel");
        let palette = crate::style::stderr();
        let message = as_called(&self.text, program, command);
        let message = crate::output::for_stderr(&message);
        let mut text = match self.manner {
            Manner::Bare => format!("{message}\n"),
            _ => format!("{} {message}\n", palette.paint(Style::Red, "Error:")),
        };
        if let (Manner::Usage, Some(command)) = (self.manner, command) {
            text.push_str(&format!("See '{command} --help'\n"));
        }
        if let Some(hint) = &self.hint {
            let hint = hint.replace("creel ", &format!("{program} "));
            let hint = crate::output::for_stderr(&hint);
            text.push_str(&format!("{} {hint}\n", palette.paint(Style::Cyan, "hint:")));
        }
        // Nobody is left to tell when standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Commands that are quoted in a message, as the user calls them.
fn as_called(text: &str, program: &str, command: Option<&str>) -> String {
    if let Some(command) = command
        && text.starts_with("`creel ")
        && text.ends_with("` takes no arguments")
    {
        return format!("`{command}` takes no arguments");
    }
    let mut message = text.to_owned();
    for quote in ['`', '\'', '"'] {
        message = message.replace(&format!("{quote}creel "), &format!("{quote}{program} "));
    }
    // `container wait` and `wait` are one command with two names.
    if let Some(command) = command
        && let Some((_, verb)) = command.rsplit_once(' ')
    {
        for quote in ['`', '"'] {
            message = message.replace(&format!("{quote}{program} {verb}{quote}"), &format!("{quote}{command}{quote}"));
        }
    }
    message
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::silent(ExitCode::Success);
        }
        Failure::plain(folded(&error))
    }
}

/// For `map_err`: an I/O error with the deed and the path that Go would name: `open /x: no such file or directory`.
pub fn on_path(deed: &'static str, path: impl AsRef<std::path::Path>) -> impl FnOnce(io::Error) -> Failure {
    let path = path.as_ref().display().to_string();
    move |error| Failure::plain(format!("{deed} {path}: {}", folded(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_comes_first() {
        assert_eq!(Failure::plain("b").context("a").to_string(), "a: b");
    }

    #[test]
    fn commands_in_messages_are_called_as_the_user_calls_them() {
        let called = |text: &str, command| as_called(text, "podman", Some(command));
        assert_eq!(called("run `creel unshare` first", "podman mount"), "run `podman unshare` first");
        assert_eq!(called("`creel wait` failed", "podman container wait"), "`podman container wait` failed");
        assert_eq!(called("`creel ps` takes no arguments", "podman pod ps"), "`podman pod ps` takes no arguments");
    }
}
