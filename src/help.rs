//! Help and man pages, from the same tables: the verbs, their flags, and the examples below.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::output;
use crate::style::{Palette, Style};

/// Command lines that show what a command is for, each with what it does.
const EXAMPLES: &[(&str, &str)] = &[
    ("run --rm -it alpine sh", "a shell in a new container, which is gone afterwards"),
    ("run -d --name web -p 8080:80 -v ./site:/usr/share/nginx/html:ro nginx", "a web server for the files in ./site"),
    ("run --rm --memory 256m --network none alpine sleep 10", "with little memory and no network"),
    ("create --name job alpine echo done", "start it later: start --attach job"),
    ("exec -it web sh", "a shell in a running container"),
    ("ps --all --filter status=exited", "the containers that have ended"),
    ("ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'", "columns of one's own"),
    ("logs --follow --tail 20 web", "the last lines, and those to come"),
    ("inspect --format '{{.State.Status}} {{.NetworkSettings.Ports}}' web", "two facts of many"),
    ("images --filter dangling=true", "images without a name"),
    ("pull docker.io/library/alpine:3", "the name is written in full"),
    ("cp web:/etc/nginx/nginx.conf .", "out of a container"),
    ("cp ./nginx.conf web:/etc/nginx/", "into a container"),
    ("stop --time 5 web", "kill it when it does not end within five seconds"),
    ("start --all --filter restart-policy=always", "what should run after a reboot"),
    ("save -o alpine.tar alpine", "for load on another machine"),
    ("commit --change 'CMD [\"/bin/app\"]' web localhost/app", "an image of what a container has become"),
    ("volume create data", "then: run -v data:/var/lib/data ..."),
    ("system prune --all --volumes", "everything that nothing uses"),
    ("system df --verbose", "what takes the space"),
    ("doctor", "why does it not run here?"),
    ("events --since 1h --stream=false", "what happened in the last hour"),
    ("completion bash", "source <(creel completion bash)"),
];

/// The flags of `run` and `create` by subject, in the order in which people look for them. A star stands for any end; a
/// name that is written out wins.
const SUBJECTS: &[(&str, &[&str])] = &[
    (
        "Life",
        &[
            "detach",
            "interactive",
            "tty",
            "rm",
            "rmi",
            "name",
            "replace",
            "restart",
            "stop-*",
            "timeout",
            "init*",
            "cidfile",
            "pidfile",
            "requires",
            "sig-proxy",
            "attach",
            "detach-keys",
            "sdnotify",
            "systemd",
            "log-driver",
            "log-opt",
        ],
    ),
    (
        "Files",
        &[
            "volume*",
            "mount",
            "tmpfs",
            "read-only*",
            "workdir",
            "rootfs",
            "secret",
            "image-volume",
            "shm-size*",
            "device*",
            "chrootdirs",
            "gpus",
        ],
    ),
    (
        "Environment",
        &["env*", "unsetenv*", "http-proxy", "entrypoint", "tz", "label*", "annotation", "hostname", "domainname"],
    ),
    (
        "Network",
        &[
            "network*",
            "publish*",
            "expose",
            "dns*",
            "add-host",
            "ip",
            "ip6",
            "mac-address",
            "no-host*",
            "hosts-file",
            "pod",
        ],
    ),
    (
        "Users and rights",
        &[
            "user",
            "group-*",
            "cap-*",
            "privileged",
            "security-opt",
            "seccomp-policy",
            "uid*",
            "gid*",
            "subuid*",
            "subgid*",
            "passwd*",
            "hostuser",
            "umask",
            "personality",
        ],
    ),
    ("Namespaces", &["ipc", "pid", "uts", "userns", "cgroupns"]),
    (
        "Limits",
        &[
            "memory*",
            "cpu*",
            "pids-limit",
            "ulimit",
            "blkio*",
            "oom*",
            "cgroup*",
            "sysctl",
            "device-read-*",
            "device-write-*",
        ],
    ),
    ("Health", &["health-*", "no-healthcheck"]),
    (
        "Image",
        &[
            "pull",
            "arch",
            "os",
            "platform",
            "variant",
            "quiet",
            "tls-verify",
            "authfile",
            "creds",
            "cert-dir",
            "retry*",
            "decryption-key",
        ],
    ),
];

/// The commands of `creel --help`; what is in none of the lists comes last.
const CHAPTERS: &[(&str, &[&str])] = &[
    ("Every day", &["run", "exec", "ps", "logs", "stop", "start", "restart", "rm", "images", "pull", "build"]),
    (
        "Containers",
        &[
            "create", "init", "kill", "pause", "unpause", "wait", "attach", "debug", "cp", "diff", "export", "commit",
            "rename", "update", "inspect", "top", "stats", "port", "mount", "unmount", "umount", "events",
        ],
    ),
    ("Images", &["push", "tag", "untag", "rmi", "save", "load", "import", "history", "search", "login", "logout"]),
    ("Groups of commands", &[]),
    ("This machine", &["doctor", "info", "version", "unshare", "auto-update", "completion", "help"]),
];

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

/// Flags under their headings. Only `run` and `create` have so many that they need any.
fn by_subject<'a>(path: &str, flags: Vec<&'a Arg>) -> Vec<(&'static str, Vec<&'a Arg>)> {
    let verb = path.rsplit(' ').next().unwrap_or(path);
    if !matches!(verb, "run" | "create") || flags.len() < 60 {
        return vec![("Options", flags)];
    }
    let mut subjects: Vec<(&str, Vec<&Arg>)> = SUBJECTS.iter().map(|(subject, _)| (*subject, Vec::new())).collect();
    let mut others = Vec::new();
    for flag in flags {
        let name = flag.get_long().unwrap_or_default();
        // The longest key that fits: `device-read-*` before `device*`, a whole name before all.
        let fit = |key: &str| match key.strip_suffix('*') {
            Some(begin) => name.starts_with(begin).then_some(begin.len()),
            None => (key == name).then_some(usize::MAX),
        };
        let best = |keys: &[&str]| keys.iter().filter_map(|key| fit(key)).max();
        let place = SUBJECTS.iter().enumerate().filter_map(|(place, (_, keys))| Some((best(keys)?, place))).max();
        match place {
            Some((_, place)) => subjects[place].1.push(flag),
            None => others.push(flag),
        }
    }
    subjects.push(("Other options", others));
    subjects.retain(|(_, flags)| !flags.is_empty());
    subjects
}

fn examples(path: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> + '_ {
    let name = path.split_once(' ').map_or("", |(_, name)| name);
    let name = name.strip_prefix("container ").or(name.strip_prefix("image ")).unwrap_or(name);
    EXAMPLES.iter().filter(move |(line, _)| {
        !name.is_empty() && (*line == name || line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
    })
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

/// `creel run --help`. `path` is how the command was called, with the program's name.
pub fn of_command(path: &str, command: &Command, paper: Paper) -> String {
    let mut out = format!("{}\n", about(command));
    for paragraph in more(command).split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let _ = writeln!(out, "\n{}", wrap(paragraph, paper.width).join("\n"));
    }
    let _ = write!(out, "\n{}  {}\n", paper.heading("Usage"), usage(path, command));
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

/// The page of a command in the language of man(7).
pub fn man_page(path: &str, command: &Command, also: &[String]) -> String {
    let mut out = man_head(path, &about(command));
    let _ = writeln!(out, ".SH SYNOPSIS\n.B {}\n{}", roff(path), roff(usage("", command).trim()));
    let _ = writeln!(out, ".SH DESCRIPTION\n{}.", roff(&about(command)));
    for paragraph in more(command).split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let _ = writeln!(out, ".PP\n{}", roff(paragraph));
    }
    for (subject, flags) in by_subject(path, shown_flags(command)) {
        let _ = writeln!(out, ".SH {}", subject.to_uppercase());
        man_flags(&mut out, &flags);
    }
    let mut any = false;
    for (line, what) in examples(path) {
        if !any {
            out.push_str(".SH EXAMPLES\n");
            any = true;
        }
        let _ = writeln!(out, ".PP\n{}:\n.PP\n.RS 4\n.nf\n$ creel {}\n.fi\n.RE", roff(what), roff(line));
    }
    man_also(&mut out, also);
    out
}

/// The page of the whole program or of a group.
pub fn man_overview(
    path: &str,
    what: &str,
    commands: &[(String, String)],
    globals: Option<&Command>,
    also: &[String],
) -> String {
    let mut out = man_head(path, what);
    let _ = writeln!(out, ".SH SYNOPSIS\n.B {}\n[options] [command]", roff(path));
    let _ = writeln!(out, ".SH COMMANDS");
    for (name, about) in commands {
        let page = format!("{}-{name}", path.replace(' ', "-"));
        let _ = writeln!(out, ".TP\n.BR {} (1)\n{}", roff(&page), roff(about));
    }
    if let Some(globals) = globals {
        let _ = writeln!(out, ".SH OPTIONS");
        man_flags(&mut out, &shown_flags(globals));
        let _ = writeln!(
            out,
            ".SH EXIT STATUS\n.TP\n125\nCreel itself failed.\n.TP\n126\nThe command in the container could not be run.\n.TP\n127\nThe \
             container has no such command.\n.PP\nOtherwise the exit status of the command in the container.\n.SH FILES\n.TP\n\
             ~/.local/share/creel\nImages, containers and volumes.\n.TP\n~/.config/containers\ncontainers.conf, storage.conf, \
             registries.conf, policy.json, each over the file of the same name in /etc/containers."
        );
    }
    man_also(&mut out, also);
    out
}

fn man_head(path: &str, about: &str) -> String {
    let name = path.replace(' ', "-");
    format!(
        ".TH {} 1 \"\" \"creel {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n",
        roff(&name.to_uppercase()),
        env!("CARGO_PKG_VERSION"),
        roff(&name),
        roff(about)
    )
}

fn man_flags(out: &mut String, flags: &[&Arg]) {
    for flag in flags {
        let _ = writeln!(out, ".TP\n.B {}\n{}", roff(spelling(flag).trim()), roff(&help_of(flag)));
    }
}

fn man_also(out: &mut String, also: &[String]) {
    let pages: Vec<String> = also.iter().map(|page| format!(".BR {} (1)", roff(page))).collect();
    let _ = writeln!(out, ".SH SEE ALSO\n{}", pages.join(" ,\n"));
}

/// What roff would take for a request or an escape, made plain.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::normalise;
    use crate::cli;

    #[test]
    fn examples_are_command_lines_that_are_understood() {
        for (line, _) in EXAMPLES {
            let words: Vec<String> = line.replace('\'', "").split(' ').map(str::to_owned).collect();
            let verb =
                cli::verb(&words[0]).map(|verb| (verb, 1)).or_else(|| Some((cli::verb(&words[..2].join(" "))?, 2)));
            let (verb, own) = verb.unwrap_or_else(|| panic!("{line}"));
            let read =
                normalise(&verb.command(), &crate::globals::command(), &words[own..], verb.order, &Default::default());
            assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
        }
    }

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
        for flag in shown_flags(&crate::globals::command()) {
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

    #[test]
    fn roff_is_made_plain() {
        assert_eq!(roff(".a -b \\"), "\\&.a \\-b \\e");
    }
}
