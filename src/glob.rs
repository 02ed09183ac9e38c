//! Patterns for paths of the host: `*`, `?` and `[...]` within one name, a backslash before what is meant as it is.

use std::path::{Component, Path, PathBuf};

/// The names in a directory, sorted; none where it cannot be read.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Every path that fits an absolute pattern, in the order of their names.
pub fn expand(pattern: &Path, list: &dyn Fn(&Path) -> Vec<String>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    let mut components = pattern.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else { continue };
        let Some(name) = name.to_str() else { return Vec::new() };
        let is_plain = !name.contains(['*', '?', '[', '\\']);
        found = found
            .into_iter()
            .flat_map(|dir| {
                // A directory on the way need not be readable; the last name must be there.
                if is_plain && components.peek().is_some() {
                    return vec![dir.join(name)];
                }
                let names = list(&dir).into_iter().filter(|entry| fits(name, entry));
                names.map(|entry| dir.join(entry)).collect::<Vec<_>>()
            })
            .collect();
    }
    found.retain(|path| path != Path::new("/"));
    found
}

/// Whether a name fits a pattern.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    fits_from(&pattern, &name)
}

fn fits_from(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|taken| fits_from(rest, &name[taken..])),
        (['?', rest @ ..], [_, left @ ..]) => fits_from(rest, left),
        (['[', rest @ ..], [letter, left @ ..]) => match class(rest, *letter) {
            Some((true, rest)) => fits_from(rest, left),
            Some((false, _)) | None => false,
        },
        (['\\', wanted, rest @ ..], [letter, left @ ..]) | ([wanted, rest @ ..], [letter, left @ ..]) => {
            wanted == letter && fits_from(rest, left)
        }
        (_, []) | ([], _) => false,
    }
}

/// After the opening bracket: whether the letter is in the class, and what comes behind it. `None` without an end.
fn class(pattern: &[char], letter: char) -> Option<(bool, &[char])> {
    let negated = matches!(pattern.first(), Some('^' | '!'));
    let mut rest = if negated { &pattern[1..] } else { pattern };
    let (mut found, mut first) = (false, true);
    loop {
        match rest {
            [']', behind @ ..] if !first => return Some((found != negated, behind)),
            [low, '-', high, behind @ ..] if *high != ']' => {
                found |= (*low..=*high).contains(&letter);
                rest = behind;
            }
            [one, behind @ ..] => {
                found |= *one == letter;
                rest = behind;
            }
            [] => return None,
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name) in [("*", "a"), ("a*c", "abbc"), ("?", "x"), ("[a-c]x", "bx"), ("[!a]", "b"), ("\\*", "*")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a", "b"), ("?", ""), ("[a-c]", "d"), ("[", "["), ("\\*", "a"), ("a*", "ba")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_becomes_paths() {
        let list = |dir: &Path| match dir.to_str() {
            Some("/") => vec!["etc".to_owned(), "tmp".to_owned()],
            Some("/tmp") => vec!["one".to_owned(), "two".to_owned()],
            _ => Vec::new(),
        };
        assert_eq!(expand(Path::new("/t*/*o*"), &list), [Path::new("/tmp/one"), Path::new("/tmp/two")]);
        assert!(expand(Path::new("/nope/*"), &list).is_empty());
    }
}
