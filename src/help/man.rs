//! Manual pages, in the language of man(7).

use std::fmt::Write;

use clap::{Arg, Command};

use super::subjects::{by_subject, examples};
use super::{about, help_of, more, shown_flags, spelling, usage};

/// The page of a command.
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

    #[test]
    fn roff_is_made_plain() {
        assert_eq!(roff(".a -b \\"), "\\&.a \\-b \\e");
    }
}
