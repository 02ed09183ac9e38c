//! The program that does the work, and what its failures mean to a client of Docker's API.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::http::Answer;

/// How creel is called: by this file, with these flags before the command.
#[derive(Clone, Debug)]
pub struct Creel {
    pub program: PathBuf,
    pub globals: Vec<OsString>,
}

/// What a client is told instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    pub(crate) status: u16,
    pub(crate) message: String,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn bad(message: impl Into<String>) -> Error {
        Error { status: 400, message: message.into() }
    }

    pub(crate) fn answer(&self) -> Answer {
        // Docker's clients read the message, Podman's the others, too.
        let line = self.message.lines().next().unwrap_or_default();
        let cause = line.rsplit(": ").next().unwrap_or(line);
        Answer::json(self.status, &json!({ "cause": cause, "message": self.message, "response": self.status }))
    }

    /// What creel wrote to standard error before it failed: the error's line, and what to do about it.
    pub(crate) fn said(text: &str) -> Error {
        let is_error = |line: &&str| line.starts_with("Error: ");
        let lines = text.lines().skip_while(|line| !is_error(line));
        let lines: Vec<&str> = lines.map(|line| line.strip_prefix("Error: ").unwrap_or(line)).collect();
        let message = if lines.is_empty() { text.trim().to_owned() } else { lines.join("\n") };
        Error { status: status(&message), message }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error { status: 500, message: error.to_string() }
    }
}

/// Docker's clients choose by the status what to do next: pull an image that is not there, wait for what is busy.
fn status(message: &str) -> u16 {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["no such", "not found", "not known", "No such", "no container with", "unable to find"]) {
        404
    } else if has(&[
        "already in use",
        "already exists",
        "is in use",
        "being used",
        "in use by",
        "state improper",
        "is running",
    ]) {
        409
    } else if has(&["invalid", "unknown flag", "must be", "cannot be", "not supported", "requires"]) {
        400
    } else {
        500
    }
}

/// A command line; what was given empty is not added.
#[derive(Debug, Default)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl Words {
    pub(crate) fn new(words: &[&str]) -> Words {
        Words(words.iter().map(|word| (*word).to_owned()).collect())
    }

    pub(crate) fn word(&mut self, word: impl Into<String>) -> &mut Words {
        self.0.push(word.into());
        self
    }

    /// `--name=value`, where there is a value.
    pub(crate) fn flag(&mut self, name: &str, value: Option<impl AsRef<str>>) -> &mut Words {
        if let Some(value) = value {
            self.0.push(format!("--{name}={}", value.as_ref()));
        }
        self
    }

    pub(crate) fn set(&mut self, name: &str, is_set: bool) -> &mut Words {
        if is_set {
            self.0.push(format!("--{name}"));
        }
        self
    }

    /// What follows can be no flag.
    pub(crate) fn names<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> &mut Words {
        self.word("--");
        self.0.extend(names.into_iter().map(str::to_owned));
        self
    }
}

impl Creel {
    /// A command with no input; its outputs are pipes.
    pub(crate) fn command(&self, words: &Words) -> Command {
        tracing::debug!(words = ?words.0, "creel");
        let mut command = Command::new(&self.program);
        command.args(&self.globals).args(&words.0);
        // What the service was given on its start is nobody else's.
        command.env_remove("LISTEN_FDS").env_remove("LISTEN_PID").env_remove("LISTEN_FDNAMES");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end: what it printed.
    pub(crate) fn run(&self, words: &Words) -> Result<String> {
        let output = self.command(words).output()?;
        if !output.status.success() {
            return Err(Error::said(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it with `input` as its standard input.
    pub(crate) fn feed(&self, words: &Words, input: &mut dyn Read) -> Result<String> {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take();
        std::thread::scope(|scope| {
            // Its outputs are read meanwhile, so that it never waits for us while we wait for it.
            let waiting = scope.spawn(|| child.wait_with_output());
            if let Some(stdin) = &mut stdin {
                // One that ends before it has read all says why itself.
                let _ = std::io::copy(input, stdin);
            }
            drop(stdin.take());
            let output = waiting.join().map_err(|_| Error::bad("the command's output could not be read"))??;
            if !output.status.success() {
                return Err(Error::said(&String::from_utf8_lossy(&output.stderr)));
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        })
    }

    pub(crate) fn json(&self, words: &Words) -> Result<Value> {
        let text = self.run(words)?;
        serde_json::from_str(&text).map_err(|error| Error { status: 500, message: format!("{error}: {text}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_become_statuses() {
        let table = [
            ("Error: no container with name or ID \"x\" found: no such container\n", 404),
            ("Warning: w\nError: x: image not known\nhint: pull it", 404),
            ("Error: the container name \"x\" is already in use by 1: that name is already in use\n", 409),
            ("Error: invalid reference format\n", 400),
            ("Error: disk\n", 500),
        ];
        for (text, status) in table {
            let error = Error::said(text);
            assert_eq!(error.status, status, "{text}");
            assert!(!error.message.starts_with("Error"), "{error}");
        }
        assert_eq!(
            Error::said("Warning: w\nError: x: image not known\nhint: pull it").message,
            "x: image not known\nhint: pull it"
        );
    }
}
