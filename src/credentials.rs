//! `--creds [USER[:PASSWORD]]`: what is missing of it is asked for, as by Podman.

use std::io::{self, BufRead};

use images::Credentials;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::Failure;
use crate::output;

/// Reads the flag's value, and asks the user for what it does not say.
pub fn credentials(text: &str) -> Result<Credentials, Failure> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let user = match user {
        "" => ask("Username: ").map_err(|error| Failure::plain(format!("could not read username: {error}")))?,
        user => user.to_owned(),
    };
    let password = match password {
        "" => ask_in_secret("Password: ")
            .map_err(|error| Failure::plain(format!("could not read password from terminal: {error}")))?,
        password => password.to_owned(),
    };
    Ok(Credentials { user, password })
}

fn ask(question: &str) -> io::Result<String> {
    say(question)?;
    line()
}

/// The same, where nobody sees the answer: at a terminal only.
fn ask_in_secret(question: &str) -> io::Result<String> {
    say(question)?;
    let before = tcgetattr(io::stdin()).map_err(|error| match error {
        rustix::io::Errno::NOTTY => io::Error::other("inappropriate ioctl for device"),
        error => error.into(),
    })?;
    let _quiet = Quiet::of(before)?;
    line()
}

fn say(question: &str) -> io::Result<()> {
    output::print(question).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "EOF")),
        _ => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
    }
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Quiet(Termios);

impl Quiet {
    fn of(before: Termios) -> io::Result<Quiet> {
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // The end of the line is shown: the next words begin a new one.
        quiet.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}
