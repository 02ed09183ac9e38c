//! Patterns for paths: `*`, `?` and `[...]` within one name, `**` for any number of names, as in `.dockerignore` files and
//! in the sources of COPY.

use std::path::{Component, Path};

/// Whether one name fits a pattern without `**`. Linear but for the last star, so that no pattern takes for ever.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match one(&pattern[at..], name[read]) {
            Some(taken) => {
                at += taken;
                read += 1;
            }
            None if pattern.get(at) == Some(&'*') => {
                star = Some((at + 1, read));
                at += 1;
            }
            None => match star {
                Some((after, from)) => {
                    (at, read) = (after, from + 1);
                    star = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// How much of the pattern stands for this letter; a star never does here.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern {
        [] | ['*', ..] => None,
        ['?', ..] => Some(1),
        ['\\', wanted, ..] => (*wanted == letter).then_some(2),
        ['[', rest @ ..] => {
            let negated = rest.first() == Some(&'^');
            let from = usize::from(negated);
            let end = (from + 1..rest.len()).find(|at| rest[*at] == ']')?;
            let mut class = &rest[from..end];
            let mut found = false;
            while let Some((low, behind)) = class.split_first() {
                match behind {
                    ['-', high, behind @ ..] => {
                        found |= (*low..=*high).contains(&letter);
                        class = behind;
                    }
                    _ => {
                        found |= *low == letter;
                        class = behind;
                    }
                }
            }
            (found != negated).then_some(end + 2)
        }
        [wanted, ..] => (*wanted == letter).then_some(1),
    }
}

/// Whether a name is a pattern and not just itself.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '\\'])
}

/// The names of a path, without `.`; `..` takes back.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(names.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    names
}

/// Whether a path, or a directory above it, fits a pattern that may have `**`.
fn fits_path(pattern: &[String], path: &[String]) -> bool {
    match pattern.split_first() {
        // What is below a directory goes with it.
        None => true,
        Some((first, rest)) if first == "**" => {
            // `a/**` means what is in `a`, not `a` itself.
            let least = usize::from(rest.is_empty());
            (least..=path.len()).any(|taken| fits_path(rest, &path[taken..]))
        }
        Some((first, rest)) => {
            path.split_first().is_some_and(|(name, path)| fits(first, name) && fits_path(rest, path))
        }
    }
}

/// The rules of an ignore file. The last one that fits a path counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    names: Vec<String>,
    /// `!`: what fits is wanted after all.
    back: bool,
}

impl Ignore {
    /// One pattern a line; `#` begins a remark.
    pub fn parse(text: &str) -> Ignore {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim);
        Ignore::of(lines)
    }

    pub fn of<'a>(patterns: impl Iterator<Item = &'a str>) -> Ignore {
        let rule = |pattern: &str| {
            let (back, pattern) = match pattern.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, pattern),
            };
            Rule { names: names(Path::new(pattern)), back }
        };
        Ignore { rules: patterns.map(rule).filter(|rule| !rule.names.is_empty()).collect() }
    }

    /// Whether a path, relative to the context, is left out.
    pub(crate) fn leaves_out(&self, path: &Path) -> bool {
        let path = names(path);
        let last = self.rules.iter().rev().find(|rule| fits_path(&rule.names, &path));
        !path.is_empty() && last.is_some_and(|rule| !rule.back)
    }

    /// Whether something below a directory that is left out may be wanted after all.
    pub(crate) fn may_bring_back(&self) -> bool {
        self.rules.iter().any(|rule| rule.back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.log", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[", "[", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(40), &"a".repeat(39)), "and soon");
    }

    #[test]
    fn the_last_rule_that_fits_counts() {
        let ignore = Ignore::parse("# remark\n*.log\n!keep.log\n\n/sub/deep/\n**/tmp\nall/**\n!all/but\n");
        for (path, expected) in [
            ("a.log", true),
            ("keep.log", false),
            ("sub/a.log", false),
            ("sub/deep", true),
            ("sub/deep/x/y", true),
            ("tmp", true),
            ("a/b/tmp/c", true),
            ("all", false),
            ("all/x", true),
            ("all/but", false),
            ("all/but/this", false),
            ("other", false),
            ("", false),
        ] {
            assert_eq!(ignore.leaves_out(Path::new(path)), expected, "{path}");
        }
        assert!(Ignore::parse("*\n!a\n").leaves_out(Path::new("b")));
    }
}
