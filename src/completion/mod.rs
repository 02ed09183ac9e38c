//! What could come next on a command line: `creel __complete WORD... CURRENT`, asked by the shells' scripts at every press
//! of Tab.
//!
//! The protocol is the one that the scripts of cobra speak, and so Podman's own: one candidate a line, a description behind
//! a tab, and a last line of a colon and a number that tells the shell what to do besides; the number in words on stderr.
//! It only reads, enters nothing, and never says why it has nothing to offer.

mod fields;
mod names;
mod values;

use std::process::ExitCode;

use clap::Command;

use crate::arguments::Order;
use crate::cli;
use crate::context::Context;
use crate::error::Failure;
use crate::globals::{self, Globals};
use crate::output;

pub const BASH: &str = include_str!("creel.bash");
pub const ZSH: &str = include_str!("creel.zsh");
pub const FISH: &str = include_str!("creel.fish");
pub const POWERSHELL: &str = include_str!("creel.ps1");

/// What the shell should do besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Also {
    #[default]
    Nothing,
    Files,
    Directories,
    /// The candidate goes on behind what is offered.
    NoSpace,
    /// The same; with nothing to offer it may be a path.
    NoSpaceOrFiles,
}

impl Also {
    /// Cobra's ShellCompDirective: a sum of bits, and their names.
    fn directive(self) -> (u8, &'static str) {
        match self {
            Also::Files => (0, "ShellCompDirectiveDefault"),
            Also::NoSpaceOrFiles => (2, "ShellCompDirectiveNoSpace"),
            Also::Nothing => (4, "ShellCompDirectiveNoFileComp"),
            Also::NoSpace => (6, "ShellCompDirectiveNoSpace, ShellCompDirectiveNoFileComp"),
            Also::Directories => (16, "ShellCompDirectiveFilterDirs"),
        }
    }
}

#[derive(Debug, Default)]
struct Offer {
    /// With descriptions, which may be empty.
    candidates: Vec<(String, String)>,
    also: Also,
}

impl Offer {
    fn words(words: &[&str]) -> Offer {
        Offer {
            candidates: words.iter().map(|word| ((*word).to_owned(), String::new())).collect(),
            also: Also::Nothing,
        }
    }

    fn names(names: Vec<String>) -> Offer {
        Offer { candidates: names.into_iter().map(|name| (name, String::new())).collect(), also: Also::Nothing }
    }

    fn described(candidates: Vec<(String, String)>) -> Offer {
        Offer { candidates, also: Also::Nothing }
    }

    fn nothing_but(also: Also) -> Offer {
        Offer { candidates: Vec::new(), also }
    }

    fn and(mut self, also: Also) -> Offer {
        self.also = also;
        self
    }
}

/// A script for the name by which the program was called.
pub fn for_program(script: &str, program: &str) -> String {
    script.replace("creel", program)
}

/// Whether candidates carry their descriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptions {
    Shown,
    Left,
}

/// The hidden mode. `words` are those after the program's name; the last one is being typed.
pub fn main(words: Vec<String>, descriptions: Descriptions) -> ExitCode {
    let (current, before) = match words.split_last() {
        Some((current, before)) => (current.clone(), before),
        None => (String::new(), &[][..]),
    };
    let offer = offer(before, &current);
    let mut text = String::new();
    for (word, description) in &offer.candidates {
        if word.starts_with(&current) && !word.contains('\n') {
            let description = description.lines().next().unwrap_or_default();
            text.push_str(&if description.is_empty() || descriptions == Descriptions::Left {
                format!("{word}\n")
            } else {
                format!("{word}\t{description}\n")
            });
        }
    }
    let (bits, words) = offer.also.directive();
    text.push_str(&format!(":{bits}\n"));
    // A shell that went away needs no answer.
    if output::print(&text).is_ok() {
        output::note(&format!("Completion ended with directive: {words}"));
    }
    ExitCode::SUCCESS
}

/// Adds the name that is nearest to the one that was not found, if one is near.
pub fn did_you_mean(context: &Context, failure: Failure) -> Failure {
    let Some((kind, name)) = failure.looked_for() else { return failure };
    let known = match kind {
        "container" => names::containers(context, names::Which::All, name).into_iter().map(|(name, _)| name).collect(),
        "image" => names::images(context, name),
        "volume" => names::volumes(context),
        "network" => names::networks(context),
        "pod" => names::pods(context),
        "secret" => names::secrets(context),
        "artifact" => names::artifacts(context),
        _ => Vec::new(),
    };
    // The tag that everybody leaves out.
    let known: Vec<&str> = known.iter().map(|known| known.strip_suffix(":latest").unwrap_or(known)).collect();
    let near = crate::arguments::nearest(name, known.into_iter().filter(|known| *known != name));
    match near.map(str::to_owned) {
        Some(near) => failure
            .hint(format!("there is {} {kind} {near}", if matches!(kind, "image" | "artifact") { "an" } else { "a" })),
        None => failure,
    }
}

fn offer(before: &[String], current: &str) -> Offer {
    let globals_command = globals::command();
    let first = globals::end(before);
    let (global, rest) = before.split_at(first);
    let context = Context::new(globals_of(global), Vec::new());
    let Some(word) = rest.first() else {
        // `global_flags_end` counts a flag without its value too.
        if let Some(flag) = waiting_flag(&globals_command, global) {
            return values::of_flag(&context, "", &flag, current);
        }
        return match current.starts_with('-') {
            true => flags(&globals_command, current, &context, ""),
            false => Offer::described(cli::command_names(None)),
        };
    };
    if word == "help" {
        return match rest {
            [_] => Offer::described(cli::command_names(None)),
            [_, group] => Offer::described(cli::command_names(Some(group))),
            _ => Offer::default(),
        };
    }
    let is_group = cli::is_group(word);
    if is_group && rest.len() == 1 {
        return Offer::described(cli::command_names(Some(word)));
    }
    let (name, own) = match is_group {
        true => (format!("{word} {}", rest[1]), &rest[2..]),
        false => (word.clone(), &rest[1..]),
    };
    let Some(verb) = cli::verb(&name) else { return Offer::default() };
    let command = verb.command();
    let typed = read(&command, &globals_command, own, verb.order);
    let verb_name = verb.names[0];
    match typed.state {
        Next::ValueOf(flag) => values::of_flag(&context, verb_name, &flag, current),
        Next::Word if current.starts_with('-') => flags(&command, current, &context, verb_name),
        Next::Word | Next::OnlyWords => values::of_position(&context, verb_name, &command, &typed.words, current),
    }
}

/// The global flags that say where the store is; what cannot be read is passed over.
fn globals_of(words: &[String]) -> Globals {
    let mut words = words.to_vec();
    if waiting_flag(&globals::command(), &words).is_some() {
        words.pop();
    }
    let matches = globals::command().ignore_errors(true).try_get_matches_from(words);
    matches.ok().and_then(|matches| clap::FromArgMatches::from_arg_matches(&matches).ok()).unwrap_or_default()
}

/// The long name of the flag that the last word is, if its value comes next.
fn waiting_flag(command: &Command, words: &[String]) -> Option<String> {
    let last = words.last()?;
    let arg = match last.strip_prefix("--") {
        Some(long) => command.get_arguments().find(|arg| arg.get_long() == Some(long))?,
        None => {
            let short = last.strip_prefix('-')?.chars().last()?;
            command.get_arguments().find(|arg| arg.get_short() == Some(short))?
        }
    };
    takes_value(arg).then(|| arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned())
}

fn takes_value(arg: &clap::Arg) -> bool {
    !matches!(arg.get_action(), clap::ArgAction::SetTrue)
        && arg.get_num_args().is_none_or(|range| range.min_values() > 0)
}

enum Next {
    /// A flag or an argument.
    Word,
    /// Flags have ended.
    OnlyWords,
    ValueOf(String),
}

struct Typed {
    words: Vec<String>,
    state: Next,
}

/// Goes over what was typed before.
fn read(command: &Command, globals: &Command, own: &[String], order: Order) -> Typed {
    let mut typed = Typed { words: Vec::new(), state: Next::Word };
    if order == Order::Verbatim {
        return Typed { words: own.to_vec(), state: Next::OnlyWords };
    }
    let mut at = 0;
    while let Some(word) = own.get(at) {
        at += 1;
        if word == "--" {
            typed.words.extend(own[at..].iter().cloned());
            typed.state = Next::OnlyWords;
            return typed;
        }
        if word.len() > 1 && word.starts_with('-') {
            let one = std::slice::from_ref(word);
            let waiting = if word.contains('=') {
                None
            } else {
                waiting_flag(command, one).or_else(|| waiting_flag(globals, one))
            };
            if let Some(flag) = waiting {
                if at == own.len() {
                    typed.state = Next::ValueOf(flag);
                    return typed;
                }
                at += 1;
            }
            continue;
        }
        typed.words.push(word.clone());
        if order == Order::FlagsFirst {
            typed.words.extend(own[at..].iter().cloned());
            typed.state = Next::OnlyWords;
            return typed;
        }
    }
    typed
}

/// `--fl` becomes `--flag`, `--flag=va` becomes `--flag=value`.
fn flags(command: &Command, current: &str, context: &Context, verb: &str) -> Offer {
    if let Some((flag, value)) = current.strip_prefix("--").and_then(|long| long.split_once('=')) {
        let mut offer = values::of_flag(context, verb, flag, value);
        for (word, _) in &mut offer.candidates {
            word.insert_str(0, &format!("--{flag}="));
        }
        return offer;
    }
    let mut flags: Vec<&clap::Arg> = command.get_arguments().collect();
    flags.retain(|arg| arg.get_long().is_some() && !arg.is_hide_set());
    flags.sort_by_key(|arg| arg.get_long());
    let mut candidates = Vec::new();
    for arg in flags {
        let help = arg.get_help().map(|help| help.to_string()).unwrap_or_default();
        candidates.push((format!("--{}", arg.get_long().unwrap_or_default()), help.clone()));
        if !current.starts_with("--")
            && let Some(short) = arg.get_short()
        {
            candidates.push((format!("-{short}"), help));
        }
    }
    Offer::described(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        offer_of(line).candidates.into_iter().map(|(word, _)| word).collect()
    }

    fn offer_of(line: &str) -> Offer {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (current, before) = words.split_last().unwrap();
        let mut offer = offer(before, current);
        offer.candidates.retain(|(word, _)| word.starts_with(current));
        offer
    }

    #[test]
    fn commands_flags_and_words_are_offered() {
        assert_eq!(words("sto"), ["stop"]);
        assert_eq!(words("container sto"), ["stop"]);
        assert!(words("").contains(&"run".to_owned()));
        assert!(words("volume ").contains(&"ls".to_owned()));
        assert_eq!(words("run --restar"), ["--restart"]);
        assert_eq!(words("run --restart un"), ["unless-stopped"]);
        assert_eq!(words("run --restart=alw"), ["--restart=always"]);
        assert_eq!(words("--log-level de"), ["debug"]);
        assert_eq!(words("completion z"), ["zsh"]);
        assert_eq!(words("kill --signal SIGU"), ["SIGURG", "SIGUSR1", "SIGUSR2"]);
        assert_eq!(words("help sto"), ["stop"]);
        assert_eq!(words("logs --tail 3 --ti"), ["--timestamps"]);
    }

    #[test]
    fn paths_are_the_shells_to_complete() {
        assert_eq!(offer_of("run --env-file ").also, Also::Files);
        assert_eq!(offer_of("load -i ").also, Also::Files);
        assert_eq!(offer_of("--root ").also, Also::Directories);
        // What comes after the image is the container's.
        assert_eq!(words("run box --restart "), Vec::<String>::new());
    }

    #[test]
    fn filters_have_keys_and_values() {
        assert!(words("ps --filter sta").contains(&"status=".to_owned()));
        assert_eq!(words("ps --filter status=pau"), ["status=paused"]);
    }
}
