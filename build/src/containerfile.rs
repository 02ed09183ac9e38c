//! A whole Containerfile: global arguments, then stages with their steps.

use crate::error::Problem;
use crate::instruction::{self, Argument, Instruction};
use crate::lines;
use crate::words;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Containerfile {
    pub(crate) escape: char,
    /// ARG before the first FROM.
    pub(crate) arguments: Vec<Argument>,
    pub(crate) stages: Vec<Stage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) line: usize,
    /// What FROM names, variables not replaced.
    pub(crate) base: String,
    pub(crate) platform: Option<String>,
    /// `AS name`, in small letters.
    pub(crate) name: Option<String>,
    /// As it is shown.
    pub(crate) text: String,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    /// As it is shown, here-documents left out.
    pub(crate) text: String,
    pub(crate) instruction: Instruction,
}

impl Containerfile {
    /// Reads the text; the first thing wrong with it is the error.
    pub(crate) fn parse(text: &str) -> Result<Containerfile, Problem> {
        if text.contains('\0') {
            return Err(Problem::at(1, "this is no text file"));
        }
        let lines = lines::split(text)?;
        let escape = lines.escape;
        let mut file = Containerfile { escape, arguments: Vec::new(), stages: Vec::new() };
        for line in &lines.lines {
            let (word, rest) = instruction::keyword(&line.text);
            if word == "FROM" {
                let stage = from(rest, line.number, &line.text)?;
                file.stages.push(stage);
                continue;
            }
            let instruction = instruction::parse(line, escape)?;
            match (file.stages.last_mut(), instruction) {
                (None, Instruction::Arg(arguments)) => file.arguments.extend(arguments),
                (None, _) => {
                    return Err(Problem::at(
                        line.number,
                        format!("{word} before the first FROM: only ARG may stand there"),
                    ));
                }
                (Some(stage), instruction) => {
                    stage.steps.push(Step { line: line.number, text: shown(line), instruction });
                }
            }
        }
        match file.stages.is_empty() {
            true => Err(Problem::at(1, "no FROM: a build begins with the image it is made from")),
            false => Ok(file),
        }
    }
}

/// The line, with a taste of each of its here-documents.
fn shown(line: &lines::Line) -> String {
    let taste = |doc: &lines::Heredoc| {
        let mut lines = doc.content.lines();
        let first = lines.next()?.to_owned();
        Some(format!(" ({first}{})", if lines.next().is_some() { "..." } else { "" }))
    };
    let tastes: String = line.heredocs.iter().filter_map(taste).collect();
    format!("{}{tastes}", line.text)
}

/// `[--platform=P] IMAGE [AS NAME]`
fn from(rest: &str, line: usize, text: &str) -> Result<Stage, Problem> {
    let mut words = words::cut(rest, '\\').into_iter().peekable();
    let mut platform = None;
    while let Some(flag) = words.next_if(|word| word.starts_with("--")) {
        match flag.split_once('=') {
            Some(("--platform", value)) if !value.is_empty() => platform = Some(value.to_owned()),
            _ => {
                let problem = Problem::at(line, format!("FROM has no flag {flag}; its flag is --platform=OS/ARCH"));
                return Err(problem.meant(instruction::meant(&flag, &["--platform"])));
            }
        }
    }
    let words: Vec<String> = words.collect();
    let name = match words.as_slice() {
        [] => return Err(Problem::at(line, "FROM requires an argument: the name of an image")),
        [_] => None,
        [_, r#as, name] if r#as.eq_ignore_ascii_case("as") => {
            let name = name.to_lowercase();
            let fine = name.starts_with(|letter: char| letter.is_ascii_lowercase())
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.'));
            if !fine {
                let what = format!("{name} is no name for a stage: a letter, then letters, digits, - _ and .");
                return Err(Problem::at(line, what));
            }
            Some(name)
        }
        _ => {
            let what = "FROM requires either one argument, or three: FROM <source> [AS <name>]";
            return Err(Problem::at(line, what));
        }
    };
    let base = words.into_iter().next().unwrap_or_default();
    Ok(Stage { line, base, platform, name, text: text.to_owned(), steps: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_have_names_and_steps() {
        let file = Containerfile::parse(
            "ARG T=1\nFROM a:${T} AS One\nRUN x\nfrom --platform=linux/amd64 one\nCOPY <<E /x\nline\nE\nUSER y\n",
        )
        .unwrap();
        assert_eq!(file.arguments, [Argument { name: "T".into(), default: Some("1".into()) }]);
        let [first, second] = file.stages.as_slice() else { panic!() };
        assert_eq!((first.base.as_str(), first.name.as_deref(), first.steps.len()), ("a:${T}", Some("one"), 1));
        assert_eq!((second.base.as_str(), second.platform.as_deref()), ("one", Some("linux/amd64")));
        assert_eq!(second.steps[0].text, "COPY <<E /x (line)");
        assert_eq!((second.steps[1].line, second.steps[1].text.as_str()), (8, "USER y"));
    }

    #[test]
    fn bad_files_are_told_by_line() {
        for (text, line, expected) in [
            ("", 1, "no FROM"),
            ("# only\n", 1, "no FROM"),
            ("RUN true\n", 1, "RUN before the first FROM"),
            ("FROM a\n\nNONSENSE x\n", 3, "unknown instruction"),
            ("FROM\n", 1, "FROM requires an argument"),
            ("FROM a AS\n", 1, "either one argument, or three"),
            ("FROM a AS b c\n", 1, "either one argument, or three"),
            ("FROM a AS 1b\n", 1, "no name for a stage"),
            ("FROM --what=1 a\n", 1, "no flag --what=1"),
            ("FROM a\nRUN <<E\nx\n", 2, "no end"),
        ] {
            let problem = Containerfile::parse(text).unwrap_err();
            assert_eq!(problem.line, line, "{text:?}");
            assert!(problem.what.contains(expected), "{text:?}: {}", problem.what);
        }
    }
}
