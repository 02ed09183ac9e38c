//! Help and man pages, from the same tables: the verbs, their flags, and examples.

mod man;
mod subjects;

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::output;
use crate::style::{Palette, Style};

pub use man::{man_overview, man_page};
use subjects::{CHAPTERS, by_subject, examples};

/// Columns of a terminal, and what is written to a file.
#[derive(Clone, Copy, Debug)]
pub struct Paper {
    pub width: usize,
    pub palette: Palette,
    /// Commands and flags by subject, for people. A program that reads gets one list of each under Podman's headings.
    pub by_subject: bool,
}

impl Paper {
    /// What standard output is.
    pub fn stdout() -> Paper {
        Paper {
            width: output::width().clamp(60, 120),
            palette: crate::style::stdout(),
            by_subject: output::stdout_is_terminal(),
        }
    }
}

/// The first paragraph.
fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// All that is said of a command beyond its first line.
fn more(command: &Command) -> String {
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let first = about(command);
    long.strip_prefix(first.as_str()).unwrap_or(&long).trim().to_owned()
}

/// `IMAGE [COMMAND [ARG...]]`; empty for a command without arguments.
fn arguments(command: &Command) -> String {
    let positional = command.get_positionals().next();
    let Some((arg, names)) = positional.and_then(|arg| Some((arg, arg.get_value_names()?))) else {
        return String::new();
    };
    // clap makes up a name from the field where none is given: such a command takes no arguments.
    let made_up = arg.get_id().as_str().to_ascii_uppercase();
    let names = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if names == made_up { String::new() } else { names }
}

pub fn usage(path: &str, command: &Command) -> String {
    let options = if shown_flags(command).is_empty() { "" } else { "[options] " };
    format!("{path} {options}{}", arguments(command)).trim_end().to_owned()
}

/// `-n, --name NAME`, with room for the short one.
fn spelling(arg: &Arg) -> String {
    let long = arg.get_long().map(|long| format!("--{long}")).unwrap_or_default();
    let mut text = match arg.get_short() {
        Some(short) if long.is_empty() => format!("-{short}"),
        Some(short) => format!("-{short}, {long}"),
        None => format!("    {long}"),
    };
    if let Some(value) = value_of(arg) {
        let _ = write!(text, "{value}");
    }
    text
}

/// ` NAME`, `[=true]`; nothing for a switch.
fn value_of(arg: &Arg) -> Option<String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return None;
    }
    let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    let name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    Some(if optional { "[=BOOL]".to_owned() } else { format!(" {name}") })
}

fn help_of(arg: &Arg) -> String {
    arg.get_help().map(|help| help.to_string()).unwrap_or_default()
}

fn shown_flags(command: &Command) -> Vec<&Arg> {
    let mut flags: Vec<&Arg> =
        command.get_arguments().filter(|arg| arg.get_long().is_some() && !arg.is_hide_set()).collect();
    flags.sort_by_key(|arg| arg.get_long().unwrap_or_default().to_owned());
    flags
}

impl Paper {
    fn heading(self, word: &str) -> String {
        format!("{}\n", self.palette.paint(Style::Yellow, &format!("{word}:")))
    }

    /// Two columns; what is too long on the left has a line of its own.
    fn rows(self, out: &mut String, rows: &[(String, String)]) {
        const LEFT_MOST: usize = 30;
        let width = rows.iter().map(|(left, _)| left.chars().count()).filter(|width| *width <= LEFT_MOST).max();
        let width = width.unwrap_or(LEFT_MOST) + 2;
        let room = self.width.saturating_sub(width + 2).max(24);
        for (left, right) in rows {
            let length = left.chars().count();
            let shown = self.palette.paint(Style::Green, left);
            let mut lines = wrap(right, room).into_iter();
            if length + 2 <= width {
                let _ = writeln!(out, "  {shown}{}{}", " ".repeat(width - length), lines.next().unwrap_or_default());
            } else {
                let _ = writeln!(out, "  {shown}");
            }
            for line in lines {
                let _ = writeln!(out, "  {}{line}", " ".repeat(width));
            }
        }
    }
}

/// Words filled into lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// `creel run --help`. `path` is how the command was called, with the program's name; `aliases` are other spellings of its
/// last word.
pub fn of_command(path: &str, aliases: &[&str], command: &Command, paper: Paper) -> String {
    let mut out = format!("{}\n", about(command));
    for paragraph in more(command).split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let _ = writeln!(out, "\n{}", wrap(paragraph, paper.width).join("\n"));
    }
    let _ = write!(out, "\n{}  {}\n", paper.heading("Usage"), usage(path, command));
    if !aliases.is_empty() {
        let name = path.rsplit(' ').next().unwrap_or(path);
        let _ = write!(out, "\n{}  {name}, {}\n", paper.heading("Aliases"), aliases.join(", "));
    }
    let program = path.split(' ').next().unwrap_or("creel");
    let rows: Vec<_> = examples(path).map(|(line, what)| (format!("{program} {line}"), (*what).to_owned())).collect();
    if !rows.is_empty() {
        let _ = write!(out, "\n{}", paper.heading("Examples"));
        for (line, what) in rows {
            let _ = writeln!(out, "  {}\n      {what}", paper.palette.paint(Style::Green, &line));
        }
    }
    let flags = shown_flags(command);
    let chapters = if paper.by_subject { by_subject(path, flags) } else { vec![("Options", flags)] };
    for (subject, flags) in chapters {
        let mut rows: Vec<_> = flags.iter().map(|flag| (spelling(flag), help_of(flag))).collect();
        if matches!(subject, "Options" | "Other options") {
            let taken = command.get_arguments().any(|arg| arg.get_short() == Some('h'));
            rows.push((if taken { "    --help".into() } else { "-h, --help".into() }, "Show this help".into()));
        }
        let _ = write!(out, "\n{}", paper.heading(subject));
        paper.rows(&mut out, &rows);
    }
    out
}

/// `creel volume --help`, from the members' names and what they are about.
pub fn of_group(path: &str, about: &str, members: &[(String, String)], paper: Paper) -> String {
    let headings = (paper.heading("Usage"), paper.heading("Available Commands"));
    let mut out = format!("{about}\n\n{}  {path} [command]\n\n{}", headings.0, headings.1);
    paper.rows(&mut out, members);
    let _ = write!(out, "\n'{path} [command] --help' says more about a command.\n");
    out
}

/// `creel --help`.
pub fn of_all(
    program: &str,
    commands: &[(String, String)],
    groups: &[(&str, &str)],
    globals: &Command,
    paper: Paper,
) -> String {
    let mut out = format!(
        "Containers without root and without a daemon\n\n{}  {program} [options] [command]\n",
        paper.heading("Usage")
    );
    let mut left: Vec<&(String, String)> =
        commands.iter().filter(|(name, _)| !groups.iter().any(|(group, _)| group == name)).collect();
    if !paper.by_subject {
        let _ = write!(out, "\n{}", paper.heading("Available Commands"));
        paper.rows(&mut out, commands);
    }
    for (chapter, names) in CHAPTERS.iter().filter(|_| paper.by_subject) {
        let mut rows: Vec<(String, String)> = Vec::new();
        if names.is_empty() {
            rows.extend(groups.iter().map(|&(name, about)| (name.to_owned(), about.to_owned())));
        }
        for name in *names {
            if let Some(at) = left.iter().position(|(known, _)| known == name) {
                rows.push(left.remove(at).clone());
            }
        }
        if *chapter == "This machine" {
            rows.extend(left.drain(..).cloned());
        }
        if !rows.is_empty() {
            let _ = write!(out, "\n{}", paper.heading(chapter));
            paper.rows(&mut out, &rows);
        }
    }
    let mut rows: Vec<_> = shown_flags(globals).iter().map(|flag| (spelling(flag), help_of(flag))).collect();
    rows.push(("-h, --help".into(), "Show this help".into()));
    let _ = write!(out, "\n{}", paper.heading("Options"));
    paper.rows(&mut out, &rows);
    let _ = write!(
        out,
        "\n'{program} [command] --help' says more about a command; '{program} doctor' looks at this machine.\n"
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli, globals};

    #[test]
    fn lines_are_filled_to_the_width() {
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("", 9), [""]);
    }

    #[test]
    fn every_command_and_every_flag_says_what_it_is_for() {
        for verb in cli::VERBS {
            let command = verb.command();
            assert!(!about(&command).is_empty(), "{}", verb.names[0]);
            for flag in shown_flags(&command) {
                assert!(!help_of(flag).is_empty(), "{} --{}", verb.names[0], flag.get_long().unwrap_or_default());
            }
            assert!(man_page(&format!("creel {}", verb.names[0]), &command, &[]).starts_with(".TH CREEL"));
        }
        for flag in shown_flags(&globals::command()) {
            assert!(!help_of(flag).is_empty());
        }
    }

    #[test]
    fn usage_names_the_arguments() {
        let usage_of = |name: &str| usage(&format!("creel {name}"), &cli::verb(name).unwrap().command());
        assert_eq!(usage_of("stop"), "creel stop [options] CONTAINER [CONTAINER...]");
        assert_eq!(usage_of("info"), "creel info [options]");
        assert_eq!(usage_of("exec"), "creel exec [options] CONTAINER COMMAND [ARG...]");
        assert_eq!(usage_of("run"), "creel run [options] IMAGE [COMMAND [ARG...]]");
    }
}
