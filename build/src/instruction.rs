//! One line becomes an instruction. Variables are not replaced here: what they are is known only when the step is reached.

use images::Settings;

use crate::error::Problem;
use crate::lines::{Heredoc, Line};
use crate::words;

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// COPY, and ADD where `adds`.
    Copy(Copy),
    Run(Run),
    Arg(Vec<Argument>),
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Expose(Vec<String>),
    Volume(Vec<String>),
    User(String),
    Workdir(String),
    Stopsignal(String),
    Maintainer(String),
    /// CMD, ENTRYPOINT, HEALTHCHECK, ONBUILD and SHELL: no variables, and [`images::apply_change`] knows them.
    Setting(String),
}

/// `ARG NAME` or `ARG NAME=default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) default: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A line for the shell.
    Shell(String),
    Exec(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) command: Command,
    /// The options of each `--mount`, as typed.
    pub(crate) mounts: Vec<String>,
    pub(crate) network: Option<String>,
    pub(crate) heredocs: Vec<Heredoc>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copy {
    /// ADD: archives are unpacked, URLs fetched.
    pub(crate) adds: bool,
    pub(crate) from: Option<String>,
    pub(crate) chown: Option<String>,
    pub(crate) chmod: Option<String>,
    pub(crate) checksum: Option<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) parents: bool,
    /// ADD: whether archives are unpacked; by default those of the context are.
    pub(crate) unpack: Option<bool>,
    pub(crate) sources: Vec<String>,
    pub(crate) destination: String,
    pub(crate) heredocs: Vec<Heredoc>,
}

/// Every word that may begin a line.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The word that a line begins with, in capitals, and what follows it.
pub(crate) fn keyword(text: &str) -> (String, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (text[..end].to_ascii_uppercase(), text[end..].trim())
}

/// Any instruction but FROM.
pub(crate) fn parse(line: &Line, escape: char) -> Result<Instruction, Problem> {
    let (keyword, rest) = keyword(&line.text);
    let bad = |what: String| Problem::at(line.number, what);
    let needed = |what: &str| bad(format!("{keyword} requires {what}"));
    if rest.is_empty() && !matches!(keyword.as_str(), "CMD" | "ENTRYPOINT") {
        let what = match keyword.as_str() {
            "ADD" | "COPY" => "at least two arguments",
            "MAINTAINER" | "STOPSIGNAL" | "USER" | "WORKDIR" => "exactly one argument",
            _ => "at least one argument",
        };
        if KEYWORDS.contains(&keyword.as_str()) {
            return Err(needed(what));
        }
    }
    Ok(match keyword.as_str() {
        "ADD" | "COPY" => Instruction::Copy(copy(keyword == "ADD", rest, line, escape)?),
        "RUN" => Instruction::Run(run(rest, line)?),
        "ARG" => Instruction::Arg(
            words::cut(rest, escape).iter().map(|word| argument(word)).collect::<Result<_, _>>().map_err(bad)?,
        ),
        "ENV" => Instruction::Env(pairs(&keyword, rest, escape).map_err(bad)?),
        "LABEL" => Instruction::Label(pairs(&keyword, rest, escape).map_err(bad)?),
        "EXPOSE" => Instruction::Expose(words::cut(rest, escape)),
        "VOLUME" => Instruction::Volume(list(rest).unwrap_or_else(|| words::cut(rest, escape))),
        "USER" => Instruction::User(rest.to_owned()),
        "WORKDIR" => Instruction::Workdir(rest.to_owned()),
        "STOPSIGNAL" => Instruction::Stopsignal(rest.to_owned()),
        "MAINTAINER" => Instruction::Maintainer(rest.to_owned()),
        "SHELL" if list(rest).is_none() => return Err(needed("the arguments to be in JSON form")),
        "ONBUILD" => {
            onbuild(rest, line, escape)?;
            Instruction::Setting(format!("ONBUILD {rest}"))
        }
        "CMD" | "ENTRYPOINT" | "HEALTHCHECK" | "SHELL" => {
            // Nothing is a command of no words.
            let text = format!("{keyword} {}", if rest.is_empty() { "[]" } else { rest });
            images::apply_change(&mut Settings::default(), &text).map_err(|error| match error {
                images::Error::InvalidChange { reason, .. } => bad(format!("{keyword}: {reason}")),
                other => bad(other.to_string()),
            })?;
            Instruction::Setting(text)
        }
        "FROM" => return Err(bad("FROM isn't allowed here".to_owned())),
        other => {
            let problem = bad(format!("unknown instruction: {other}"));
            return Err(problem.meant(meant(other, &KEYWORDS)));
        }
    })
}

/// What a trigger does must be right when it is written, not when it is pulled.
fn onbuild(rest: &str, line: &Line, escape: char) -> Result<(), Problem> {
    let (word, _) = keyword(rest);
    if matches!(word.as_str(), "FROM" | "ONBUILD" | "MAINTAINER") {
        return Err(Problem::at(line.number, format!("{word} isn't allowed as an ONBUILD trigger")));
    }
    if !line.heredocs.is_empty() {
        return Err(Problem::at(line.number, "ONBUILD has no place for a here-document"));
    }
    parse(&Line { text: rest.to_owned(), ..line.clone() }, escape).map(drop)
}

/// The known word that is near enough: one letter off in three, two at most.
pub(crate) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|known| (distance(word, known), *known)).min()?;
    (near.0 <= (word.len() / 3).min(2)).then_some(near.1)
}

/// Letters to put in, take out, change or swap with their neighbour (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for row in 1..=left.len() {
        let mut next = vec![row];
        for column in 1..=right.len() {
            let (letter, other) = (left[row - 1], right[column - 1]);
            let change = rows[row - 1][column - 1] + usize::from(letter != other);
            let mut least = change.min(rows[row - 1][column] + 1).min(next[column - 1] + 1);
            if row > 1 && column > 1 && letter == right[column - 2] && left[row - 2] == other {
                least = least.min(rows[row - 2][column - 2] + 1);
            }
            next.push(least);
        }
        rows.push(next);
    }
    rows[left.len()][right.len()]
}

pub(crate) fn argument(word: &str) -> Result<Argument, String> {
    let (name, default) = match word.split_once('=') {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (word, None),
    };
    let fine =
        !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'));
    match fine {
        true => Ok(Argument { name: name.to_owned(), default }),
        false => Err(format!("ARG {word}: a name is needed, or NAME=default")),
    }
}

/// `A=1 B="two words"`, or the old `NAME the rest`.
fn pairs(keyword: &str, rest: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let words = words::cut(rest, escape);
    // A quoted key has its sign behind the quote.
    let sign = |word: &str| {
        let mut quote = None;
        word.char_indices().find_map(|(at, letter)| match quote {
            None if letter == '=' => Some(at),
            None if letter == '"' || letter == '\'' => {
                quote = Some(letter);
                None
            }
            Some(open) if open == letter => {
                quote = None;
                None
            }
            _ => None,
        })
    };
    if words.first().is_some_and(|word| sign(word).is_none()) {
        let (name, value) = rest
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("{keyword} must have two arguments: write {keyword} {rest}=VALUE"))?;
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    words
        .iter()
        .map(|word| match sign(word) {
            Some(0) => Err(format!("{keyword} {word}: a name is missing before =")),
            Some(at) => Ok((word[..at].to_owned(), word[at + 1..].to_owned())),
            None => Err(format!("{keyword} {word}: use NAME=VALUE, with quotes where the value has spaces")),
        })
        .collect()
}

/// `["a", "b"]`.
fn list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

/// Takes `--name` and `--name=value` off the front.
fn flags(rest: &str) -> (Vec<(&str, Option<&str>)>, &str) {
    let mut found = Vec::new();
    let mut rest = rest;
    while let Some(flag) = rest.strip_prefix("--") {
        let end = flag.find(char::is_whitespace).unwrap_or(flag.len());
        let (word, behind) = flag.split_at(end);
        rest = behind.trim_start();
        if word.is_empty() {
            break;
        }
        found.push(match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        });
    }
    (found, rest)
}

fn truth(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("true" | "1") => Some(true),
        Some("false" | "0") => Some(false),
        Some(_) => None,
    }
}

const COPY_FLAGS: [&str; 6] = ["chmod", "chown", "exclude", "from", "link", "parents"];
const ADD_FLAGS: [&str; 6] = ["checksum", "chmod", "chown", "exclude", "link", "unpack"];
const RUN_FLAGS: [&str; 3] = ["mount", "network", "security"];

fn copy(adds: bool, rest: &str, line: &Line, escape: char) -> Result<Copy, Problem> {
    let word = if adds { "ADD" } else { "COPY" };
    let bad = |what: String| Problem::at(line.number, what);
    let (flags, rest) = flags(rest);
    let mut copy = Copy { adds, heredocs: line.heredocs.clone(), ..Copy::default() };
    let known = if adds { ADD_FLAGS } else { COPY_FLAGS };
    for (name, value) in flags {
        let text = || value.map(str::to_owned).filter(|value| !value.is_empty());
        let needed = || bad(format!("{word} --{name} needs a value: --{name}=VALUE"));
        let either = || truth(value).ok_or_else(|| bad(format!("{word} --{name} is true or false")));
        match name {
            _ if !known.contains(&name) => {
                let problem = bad(format!("{word} has no flag --{name}; its flags are --{}", known.join(", --")));
                return Err(problem.meant(meant(name, &known)));
            }
            "from" => copy.from = Some(text().ok_or_else(needed)?),
            "chown" => copy.chown = Some(text().ok_or_else(needed)?),
            "chmod" => copy.chmod = Some(text().ok_or_else(needed)?),
            "checksum" => copy.checksum = Some(text().ok_or_else(needed)?),
            "exclude" => copy.exclude.push(text().ok_or_else(needed)?),
            "parents" => copy.parents = either()?,
            "unpack" => copy.unpack = Some(either()?),
            // The result is the same either way: every step of a copy is a layer of its own.
            _ => drop(either()?),
        }
    }
    let mut words = list(rest).unwrap_or_else(|| words::cut(rest, escape));
    let destination = words.pop().unwrap_or_default();
    if words.is_empty() {
        return Err(bad(format!("{word} requires at least two arguments")));
    }
    copy.destination = destination;
    copy.sources = words;
    Ok(copy)
}

fn run(rest: &str, line: &Line) -> Result<Run, Problem> {
    let bad = |what: String| Problem::at(line.number, what);
    let (flags, rest) = flags(rest);
    let mut run = Run {
        command: Command::Shell(String::new()),
        mounts: Vec::new(),
        network: None,
        heredocs: line.heredocs.clone(),
    };
    for (name, value) in flags {
        let needed = || bad(format!("RUN --{name} needs a value: --{name}=VALUE"));
        match name {
            "mount" => run.mounts.push(value.ok_or_else(needed)?.to_owned()),
            "network" => run.network = Some(value.ok_or_else(needed)?.to_owned()),
            "security" => match value {
                Some("sandbox") => {}
                _ => return Err(bad("RUN --security: only sandbox is supported".to_owned())),
            },
            other => {
                let problem = bad(format!("RUN has no flag --{other}; its flags are --{}", RUN_FLAGS.join(", --")));
                return Err(problem.meant(meant(other, &RUN_FLAGS)));
            }
        }
    }
    run.command = match list(rest) {
        _ if rest.is_empty() => return Err(bad("RUN requires at least one argument".to_owned())),
        Some(words) if words.is_empty() => return Err(bad("RUN requires at least one argument".to_owned())),
        Some(words) => Command::Exec(words),
        None => Command::Shell(rest.to_owned()),
    };
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Instruction, Problem> {
        parse(&crate::lines::split(text).unwrap().lines[0], '\\')
    }

    #[test]
    fn instructions_are_understood() {
        let text = str::to_owned;
        let pair = |key: &str, value: &str| (text(key), text(value));
        for (line, expected) in [
            ("env A=1 B=\"x y\"", Instruction::Env(vec![pair("A", "1"), pair("B", "\"x y\"")])),
            ("ENV A the rest", Instruction::Env(vec![pair("A", "the rest")])),
            ("LABEL \"a b\"=\"c=d\"", Instruction::Label(vec![pair("\"a b\"", "\"c=d\"")])),
            ("VOLUME [\"/a\", \"/b c\"]", Instruction::Volume(vec![text("/a"), text("/b c")])),
            ("VOLUME /a /b", Instruction::Volume(vec![text("/a"), text("/b")])),
            (
                "ARG A B=\"c d\"",
                Instruction::Arg(vec![
                    Argument { name: text("A"), default: None },
                    Argument { name: text("B"), default: Some(text("\"c d\"")) },
                ]),
            ),
            ("CMD", Instruction::Setting(text("CMD []"))),
            ("ENTRYPOINT [\"a\"]", Instruction::Setting(text("ENTRYPOINT [\"a\"]"))),
            (
                "COPY --from=x --chown=1:2 --exclude=a --exclude=b --link --parents \"a b\" c /d",
                Instruction::Copy(Copy {
                    from: Some(text("x")),
                    chown: Some(text("1:2")),
                    exclude: vec![text("a"), text("b")],
                    parents: true,
                    sources: vec![text("\"a b\""), text("c")],
                    destination: text("/d"),
                    ..Copy::default()
                }),
            ),
            (
                "RUN --mount=type=tmpfs,target=/t --network=none [\"a\", \"b\"]",
                Instruction::Run(Run {
                    command: Command::Exec(vec![text("a"), text("b")]),
                    mounts: vec![text("type=tmpfs,target=/t")],
                    network: Some(text("none")),
                    heredocs: vec![],
                }),
            ),
        ] {
            assert_eq!(parsed(line), Ok(expected), "{line}");
        }
        let Ok(Instruction::Run(run)) = parsed("RUN [ -e /x ]") else { panic!() };
        assert_eq!(run.command, Command::Shell("[ -e /x ]".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_said_and_what_was_meant() {
        for (line, expected, hint) in [
            ("NONSENSE x", "unknown instruction: NONSENSE", None),
            ("RNU x", "unknown instruction: RNU", Some("RUN")),
            ("COPYY a b", "unknown instruction: COPYY", Some("COPY")),
            ("ENV X", "ENV must have two arguments", None),
            ("ENV A=1 B", "NAME=VALUE", None),
            ("COPY a", "COPY requires at least two arguments", None),
            ("COPY --chwon=1 a b", "COPY has no flag --chwon", Some("chown")),
            ("COPY --from a b", "--from needs a value", None),
            ("RUN --mont=x y", "RUN has no flag --mont", Some("mount")),
            ("LABEL", "LABEL requires at least one argument", None),
            ("RUN", "RUN requires at least one argument", None),
            ("SHELL foo", "SHELL requires the arguments to be in JSON form", None),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger", None),
            ("ONBUILD COPY a", "COPY requires at least two arguments", None),
            ("HEALTHCHECK FOO", "HEALTHCHECK", None),
            ("HEALTHCHECK --interval=x CMD a", "HEALTHCHECK", None),
            ("RUN --security=insecure a", "only sandbox", None),
            ("ARG =x", "a name is needed", None),
        ] {
            let problem = parsed(line).unwrap_err();
            assert!(problem.what.contains(expected), "{line}: {}", problem.what);
            assert_eq!(problem.meant.as_deref(), hint, "{line}");
        }
    }
}
