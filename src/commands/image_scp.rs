//! `creel image scp`: an image goes to or comes from another user of this machine, or another machine over ssh.

use std::process::{Child, Command, Stdio};

use images::{LoadOptions, Progress, SaveOptions, SaveTarget};

use crate::arguments;
use crate::caller;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::output;

/// Copy an image to another user of this machine, or from and to other machines over ssh
///
/// An image there is [USER@]HOST::IMAGE, the place for one [USER@]HOST::, with localhost for this machine.
#[derive(clap::Args)]
pub struct Args {
    /// Say nothing but the names
    #[arg(short, long)]
    quiet: bool,
    #[arg(value_name = "IMAGE [[USER@]HOST::]")]
    words: Vec<String>,
}

/// Where an image is, or goes.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// With the caller.
    Here,
    /// With another user of this machine.
    User(&'a str),
    /// On another machine, as ssh is told.
    Machine(&'a str),
}

impl<'a> Place<'a> {
    /// The place and the image of `[USER@]HOST::IMAGE`; an image alone is here.
    fn parse(text: &'a str) -> (Place<'a>, &'a str) {
        let Some((place, image)) = text.split_once("::") else { return (Place::Here, text) };
        let place = match place.split_once('@') {
            Some((user, "localhost")) => Place::User(user),
            None if place == "localhost" => Place::Here,
            _ => Place::Machine(place),
        };
        (place, image)
    }
}

/// What another user or machine does: whichever of the two programs is there.
fn there(words: &str) -> String {
    format!("if command -v creel >/dev/null; then exec creel {words}; else exec podman {words}; fi")
}

/// For a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 2)?;
    let (from, image) = Place::parse(&args.words[0]);
    let (to, name) = args.words.get(1).map_or((Place::Here, ""), |text| match text.contains("::") {
        true => Place::parse(text),
        // Podman's other spelling of the same.
        false => (Place::parse(text).0, text.as_str()),
    });
    if from == Place::Here && to == Place::Here {
        return Err(Failure::plain("must specify a destination: invalid argument")
            .hint("for another user: USER@localhost::, for another machine: [USER@]HOST::"));
    }
    if image.is_empty() {
        return Err(Failure::plain("must specify an image: invalid argument"));
    }
    if !name.is_empty() {
        return Err(Failure::plain("cannot specify an image rename: invalid argument").hint("tag it when it is there"));
    }
    let quiet = if args.quiet { " -q" } else { "" };
    let load = there(&format!("load{quiet}"));
    let save = there(&format!("save -q -- {}", quoted(image)));
    // Whoever speaks to the other side is started first: in the user namespace it would take itself for root.
    match (from, to) {
        (Place::Here, to) => {
            images::get(&context.store()?, image)?;
            let mut other = start(command(&to, &load)?.stdin(Stdio::piped()))?;
            let engine = context.engine()?;
            let options = SaveOptions { progress: Progress::Quiet, ..SaveOptions::default() };
            let mut stdin = other.stdin.take();
            let saved = match stdin.as_mut() {
                Some(stdin) => images::save(&engine.store, &[image], SaveTarget::Stream(stdin), &options),
                None => Ok(()),
            };
            drop(stdin);
            // The other side's own words come first, a broken pipe is only what came of them.
            finish(other)?;
            saved?;
        }
        (from, Place::Here) => {
            let mut other = start(command(&from, &save)?.stdout(Stdio::piped()))?;
            let engine = context.engine()?;
            let progress = if args.quiet { Progress::Quiet } else { Progress::detect() };
            let options = LoadOptions { progress, ..LoadOptions::default() };
            let loaded = match other.stdout.take() {
                Some(mut stdout) => super::load::load_stream(&engine, &mut stdout, &options),
                None => Ok(Vec::new()),
            };
            finish(other)?;
            loaded?.iter().try_for_each(|name| output::line(format!("Loaded image: {name}")))?;
        }
        (from, to) => {
            let mut one = start(command(&from, &save)?.stdout(Stdio::piped()))?;
            let stdin = one.stdout.take().map_or_else(Stdio::null, Stdio::from);
            let other = start(command(&to, &load)?.stdin(stdin))?;
            finish(one).and(finish(other))?;
        }
    }
    Ok(ExitCode::Success)
}

/// A shell line at that place.
fn command(place: &Place<'_>, line: &str) -> Result<Command, Failure> {
    let mut command;
    match place {
        Place::Here => {
            command = Command::new("sh");
            command.args(["-c", line]);
        }
        Place::Machine(host) => {
            command = Command::new("ssh");
            command.args(["--", host, line]);
        }
        Place::User(user) => {
            let passwd = std::fs::read_to_string("/etc/passwd").map_err(on_path("open", "/etc/passwd"))?;
            if !sys::passwd::parse_users(&passwd).any(|known| known.name == *user) {
                return Err(Failure::plain(format!("user: unknown user {user}")));
            }
            if caller::is_real_root() {
                command = Command::new("su");
                command.args(["-l", user, "-c", line]);
            } else {
                // A login shell, as su gives it: that user's places and PATH.
                command = Command::new("sudo");
                command.args(["-i", "-u", user, "--", "sh", "-c", line]);
            }
        }
    }
    Ok(command)
}

fn start(command: &mut Command) -> Result<Child, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::plain(format!("exec: {}: executable file not found in $PATH", arguments::go_quote(&program)))
        }
        _ => on_path("exec", program)(error),
    })
}

fn finish(mut child: Child) -> Result<(), Failure> {
    let status = child.wait()?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::plain(status.to_string().replace(": ", " "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, expected) in [
            ("box", (Place::Here, "box")),
            ("localhost::box", (Place::Here, "box")),
            ("bob@localhost::", (Place::User("bob"), "")),
            ("bob@localhost::box:1", (Place::User("bob"), "box:1")),
            ("host::box", (Place::Machine("host"), "box")),
            ("bob@host::", (Place::Machine("bob@host"), "")),
        ] {
            assert_eq!(Place::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn words_are_quoted_for_the_other_shell() {
        assert_eq!(quoted("a'b"), r"'a'\''b'");
    }
}
