//! From the words of the command line to the command that runs, or to its help.

use std::process::ExitCode as ProcessExit;

use clap::Command;

use crate::arguments::{self, Order, Tolerance};
use crate::cli::{self, GROUPS, VERBS, Verb};
use crate::commands;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::globals::{self, Globals};
use crate::help::{self, Paper};
use crate::logging;
use crate::output;

/// `main` of everything that is not a hidden mode.
pub fn main() -> ProcessExit {
    let mut words = Vec::new();
    for word in std::env::args_os() {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => {
                Failure::plain(format!("argument {word:?} is not UTF-8")).print(None);
                return ProcessExit::from(ExitCode::Failed.number());
            }
        }
    }
    let code = dispatch(words);
    ProcessExit::from(code.number())
}

fn dispatch(command_line: Vec<String>) -> ExitCode {
    let program = crate::caller::program_of(command_line.first().map_or("", String::as_str));
    let mut path = String::from(program);
    match run(command_line, program, &mut path) {
        Ok(code) => code,
        Err(failure) => {
            failure.print(Some(&path));
            failure.exit_code()
        }
    }
}

/// What the words after the global flags name.
enum Named<'a> {
    Verb {
        verb: &'static Verb,
        name: String,
        words: &'a [String],
    },
    /// A group, of which help is asked for.
    Group(&'a str),
}

/// Finds the command and runs it. `path` is left as the command's full name, for the pointer at its help.
fn run(command_line: Vec<String>, program: &str, path: &mut String) -> Result<ExitCode, Failure> {
    if program == "docker" && !std::path::Path::new("/etc/containers/nodocker").exists() {
        output::note("Emulate Docker CLI using creel. Create /etc/containers/nodocker to quiet msg.");
    }
    let args = command_line.get(1..).unwrap_or_default();
    let (before, rest) = args.split_at(globals::end(args));
    let globals_command = globals::command();
    let of_none = Command::new("");
    let read = arguments::normalise(&globals_command, &of_none, before, Order::Mixed, &Tolerance::default())?;
    if read.help {
        return help_of_all(program);
    }
    let mut global_words = read.own;
    if Globals::read(&global_words)?.version {
        let version = commands::version::of_program(program);
        return output::line(format!("{program} version {version}")).map(|()| ExitCode::Success);
    }
    let Some((word, after)) = rest.split_first() else {
        help_of_all(program)?;
        return Err(Failure::plain(format!("missing command '{program} COMMAND'")));
    };
    if word == "help" {
        return help_for(program, after);
    }
    let (verb, name, words) = match named(program, word, after, path)? {
        Named::Verb { verb, name, words } => (verb, name, words),
        Named::Group(group) => return help_of_group(program, group),
    };
    path.push_str(&format!(" {name}"));

    let command = verb.command();
    let read = arguments::normalise(&command, &globals_command, words, verb.order, &verb.tolerance)?;
    if read.help {
        return help_of_command(path, &command);
    }
    global_words.extend(read.global);
    let globals = Globals::read(&global_words)?;
    logging::start(globals.log_level.as_deref(), globals.debug)?;
    redirect_output(&globals)?;
    let matches = command.clone().try_get_matches_from(read.own);
    let matches = matches.map_err(|error| arguments::translate(&command, error))?;
    tracing::debug!(command = name, "called");
    let context = Context::new(globals, command_line);
    (verb.run)(&context, &matches)
        .map_err(|failure| crate::doctor::explain(&context, failure))
        .map_err(|failure| crate::completion::did_you_mean(&context, failure))
}

/// `word` names a command, or a group whose command comes `after` it.
fn named<'a>(program: &str, word: &'a str, after: &'a [String], path: &mut String) -> Result<Named<'a>, Failure> {
    let (name, words) = if cli::is_group(word) {
        match after.split_first() {
            Some((second, words)) if !second.starts_with('-') => (format!("{word} {second}"), words),
            Some((second, _)) if second == "--help" || second == "-h" => return Ok(Named::Group(word)),
            Some((second, _)) => {
                path.push_str(&format!(" {word}"));
                // A group has no flags of its own: this says what is wrong.
                let none = Command::new("");
                arguments::normalise(&none, &none, after, Order::Mixed, &Tolerance::default())?;
                return Err(Failure::usage(format!("unknown flag: {second}")));
            }
            None => {
                help_of_group(program, word)?;
                return Err(Failure::plain(format!("missing command '{program} {word} COMMAND'")));
            }
        }
    } else {
        (word.to_owned(), after)
    };
    let name = cli::canonical(&name);
    match VERBS.iter().find(|verb| verb.names.contains(&name.as_str())) {
        Some(verb) => Ok(Named::Verb { verb, name, words }),
        None => Err(cli::unknown(program, &name)),
    }
}

fn help_of_command(path: &str, command: &Command) -> Result<ExitCode, Failure> {
    let name = path.split_once(' ').map_or("", |(_, name)| name);
    output::painted(&help::of_command(path, cli::aliases(name), command, Paper::stdout()))?;
    Ok(ExitCode::Success)
}

fn help_of_all(program: &str) -> Result<ExitCode, Failure> {
    let commands = cli::command_names(None);
    output::painted(&help::of_all(program, &commands, GROUPS, &globals::command(), Paper::stdout()))?;
    Ok(ExitCode::Success)
}

fn help_of_group(program: &str, group: &str) -> Result<ExitCode, Failure> {
    let about = cli::about_group(group).unwrap_or_default();
    let members = cli::command_names(Some(group));
    output::painted(&help::of_group(&format!("{program} {group}"), about, &members, Paper::stdout()))?;
    Ok(ExitCode::Success)
}

/// `creel help run`.
fn help_for(program: &str, words: &[String]) -> Result<ExitCode, Failure> {
    match words {
        [] => help_of_all(program),
        [word, ..] if word == "help" => help_of_all(program),
        [group] if cli::is_group(group) => help_of_group(program, group),
        words => {
            // What comes after the command is no matter of its help.
            let names = [words[..words.len().min(2)].join(" "), words[0].clone()];
            match names.iter().find_map(|name| Some((name, cli::verb(name)?))) {
                Some((name, verb)) => help_of_command(&format!("{program} {}", cli::canonical(name)), &verb.command()),
                None => Err(cli::unknown(program, &cli::canonical(&names[0]))),
            }
        }
    }
}

/// `--out FILE`, `--noout`.
fn redirect_output(globals: &Globals) -> Result<(), Failure> {
    let target = match (&globals.out, globals.noout) {
        (_, true) => std::path::Path::new("/dev/null"),
        (Some(path), false) => path,
        (None, false) => return Ok(()),
    };
    let file = std::fs::File::create(target).map_err(|error| {
        let failure = crate::error::on_path("open", target)(error);
        failure.context("unable to open file for standard output").code(ExitCode::No).bare()
    })?;
    nix::unistd::dup2_stdout(&file).map_err(|error| Failure::plain(error.desc()))
}
