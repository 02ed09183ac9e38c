//! `creel container runlabel`: the command that an image's label spells out, on the host.

use std::process::{Command, Stdio};

use images::{Image, PullOptions, PullPolicy};

use super::create;
use crate::arguments;
use crate::caller::{self, variable};
use crate::context::Context;
use crate::error::{ExitCode, Failure, folded};
use crate::output;
use crate::transfer::{Access, Manner};

/// Execute the command that a label of an image spells out
///
/// IMAGE and NAME in the label become the image's name and the container's. The command runs on this machine, as the
/// user: --display shows it first.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    /// Show the command, do not run it
    #[arg(long)]
    display: bool,
    /// Name of the container; else the image's
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    #[arg(long, hide = true)]
    opt1: Option<String>,
    #[arg(long, hide = true)]
    opt2: Option<String>,
    #[arg(long, hide = true)]
    opt3: Option<String>,
    /// An image that is not there is fetched anyway
    #[arg(short, long, hide = true)]
    pull: bool,
    #[command(flatten)]
    manner: Manner,
    /// Remove a container of that name before
    #[arg(long)]
    replace: bool,
    #[arg(value_name = "LABEL IMAGE [ARG...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 2)?;
    if args.pull {
        output::note("Flag --pull has been deprecated, podman will pull if not found in local storage");
    }
    let (label, name) = (&args.words[0], &args.words[1]);
    let quiet = args.manner.quiet;
    let mut options = args.access.for_pull()?;
    args.manner.of_pull(context, &mut options)?;
    let (image, identity) = find(context, name, PullOptions { policy: PullPolicy::Missing, ..options })?;
    let text = labelled(&image, label)
        .ok_or_else(|| Failure::plain(format!("cannot find the value of label: {label} in image: {name}")))?;
    let full = image.names.first().unwrap_or(&image.id);
    let meaning = Meaning {
        image: full,
        name: args.name.as_deref().unwrap_or_else(|| base_name(full)),
        options: [args.opt1.as_deref(), args.opt2.as_deref(), args.opt3.as_deref()],
    };
    let mut words = meaning.apply(text)?;
    let Some(program) = words.first() else {
        return Err(Failure::plain(format!("label {label} of image {name} has no words")));
    };
    let program = Program::of(program)?;
    words.extend_from_slice(&args.words[2..]);
    if args.display {
        output::line(format!("command: {} {}", program.shown(), words[1..].join(" ")).trim_end())?;
        return Ok(ExitCode::Success);
    }
    let ourselves = || {
        let mut command = Command::new(OURSELVES);
        command.args(context.globals.as_flags());
        command
    };
    if args.replace {
        let mut rm = ourselves();
        rm.args(["rm", "--force", "--ignore", "--", meaning.name]).stdout(Stdio::null());
        if !rm.envs(identity.clone()).status()?.success() {
            return Err(Failure::plain(format!("container {} could not be removed", meaning.name)));
        }
    }
    let path = program.path();
    let failed = |why: &str| Failure::plain(format!("`{path} {}` failed: {why}", words[1..].join(" ")));
    let mut command = match &program {
        Program::Ours => ourselves(),
        Program::Other(program) => Command::new(super::compose::executable(program).map_err(|why| failed(&why))?),
    };
    command.args(&words[1..]).envs(identity);
    if quiet {
        command.stdout(Stdio::null());
    }
    let status = command.status().map_err(|error| failed(&format!("fork/exec {path}: {}", folded(&error))))?;
    match status.success() {
        true => Ok(ExitCode::Success),
        false => Err(failed(&super::compose::how_it_ended(status))),
    }
}

type Variables = Vec<(&'static str, String)>;

/// By looking only, where it is there: the label's command is to start outside of the user namespace. Where fetching it
/// has led into that, the command is told, by variables.
fn find(context: &Context, name: &str, options: PullOptions) -> Result<(Image, Variables), Failure> {
    if let Some(image) = images::find(&context.store()?, name)? {
        return Ok((image, Vec::new()));
    }
    let engine = context.engine()?;
    let image = create::find_image(&engine, name, &options)?;
    Ok((image, caller::identity(&engine.settings).into()))
}

/// The label's text; one whose name differs in the case of its letters will do.
fn labelled<'a>(image: &'a Image, label: &str) -> Option<&'a str> {
    let labels = &image.settings.labels;
    let other = || labels.iter().find(|(key, _)| key.eq_ignore_ascii_case(label)).map(|(_, text)| text);
    labels.get(label).or_else(other).map(String::as_str).filter(|text| !text.is_empty())
}

/// `quay.io/a/web:1` is called `web`.
fn base_name(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(['@', ':']).next().unwrap_or(last)
}

/// What stands for what in a label.
struct Meaning<'a> {
    image: &'a str,
    name: &'a str,
    options: [Option<&'a str>; 3],
}

impl Meaning<'_> {
    /// The label's words, as a shell would read them: IMAGE and NAME mean something as words, as what follows the last
    /// `=` of one, and as variables.
    fn apply(&self, text: &str) -> Result<Vec<String>, Failure> {
        let words = build::shell_words(text, &|variable| self.variable(variable)).map_err(Failure::plain)?;
        let mut words = words.into_iter();
        // The program is called what it is called.
        let program = words.next();
        Ok(program.into_iter().chain(words.map(|word| self.word(word))).collect())
    }

    fn word(&self, word: String) -> String {
        let (before, last) = word.rsplit_once('=').map_or(("", word.as_str()), |(before, last)| (before, last));
        let value = match last {
            "IMAGE" => self.image,
            "NAME" => self.name,
            _ => return word,
        };
        if word.contains('=') { format!("{before}={value}") } else { value.to_owned() }
    }

    /// No other variables of the caller reach an image's label.
    fn variable(&self, name: &str) -> Option<String> {
        let option = |at: usize| self.options[at].map(str::to_owned);
        match name {
            "IMAGE" => Some(self.image.to_owned()),
            "NAME" => Some(self.name.to_owned()),
            "OPT1" => option(0),
            "OPT2" => option(1),
            "OPT3" => option(2),
            "PWD" => std::env::current_dir().ok().map(|dir| dir.to_string_lossy().into_owned()),
            "HOME" => variable("HOME"),
            _ => None,
        }
    }
}

/// This program, whatever its file is called.
const OURSELVES: &str = "/proc/self/exe";

/// What a label's first word means.
#[derive(Debug, PartialEq, Eq)]
enum Program {
    /// `podman` and `docker` are this program.
    Ours,
    Other(String),
}

impl Program {
    fn of(word: &str) -> Result<Program, Failure> {
        if matches!(word, "creel" | "podman" | "docker") {
            return Ok(Program::Ours);
        }
        if !word.contains('/') {
            return Ok(Program::Other(word.to_owned()));
        }
        let path = std::path::absolute(word)?;
        std::fs::metadata(&path).map_err(crate::error::on_path("faccessat", &path))?;
        Ok(Program::Other(path.to_string_lossy().into_owned()))
    }

    fn path(&self) -> &str {
        match self {
            Program::Ours => OURSELVES,
            Program::Other(program) => program,
        }
    }

    /// In Podman's words, as the label has it.
    fn shown(&self) -> &str {
        match self {
            Program::Ours => "podman",
            Program::Other(program) => program,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let meaning = Meaning { image: "localhost/web:1", name: "web", options: [Some("a b"), None, None] };
        meaning.apply(text).unwrap()
    }

    #[test]
    fn labels_are_read_as_a_shell_would() {
        let table: &[(&str, &[&str])] = &[
            ("podman run --name NAME IMAGE", &["podman", "run", "--name", "web", "localhost/web:1"]),
            ("IMAGE NAME", &["IMAGE", "web"]),
            ("x -e=NAME --a=b=IMAGE =NAME", &["x", "-e=web", "--a=b=localhost/web:1", "=web"]),
            ("x aIMAGE NAMEb IMAGE:IMAGE a=IMAGE:x", &["x", "aIMAGE", "NAMEb", "IMAGE:IMAGE", "a=IMAGE:x"]),
            (
                "x ${NAME}-1 $IMAGE $OPT1 $OPT2 'q r' \"NAME\"",
                &["x", "web-1", "localhost/web:1", "a", "b", "q r", "web"],
            ),
            ("x $PATH $CREEL ; false", &["x", ";", "false"]),
        ];
        for (text, expected) in table {
            assert_eq!(words(text), *expected, "{text}");
        }
    }

    #[test]
    fn containers_are_called_like_their_image() {
        for image in ["web", "localhost/web:1", "quay.io:5000/a/web@sha256:0", "a/web"] {
            assert_eq!(base_name(image), "web", "{image}");
        }
    }

    #[test]
    fn podman_and_docker_are_this_program() {
        assert_eq!(Program::of("docker").unwrap(), Program::Ours);
        assert_eq!(Program::of("ls").unwrap(), Program::Other("ls".into()));
        assert!(Program::of("./not/there").unwrap_err().to_string().ends_with("no such file or directory"));
        assert!(Path::new("/bin/sh").exists() && Program::of("/bin/sh").unwrap() == Program::Other("/bin/sh".into()));
    }
}
