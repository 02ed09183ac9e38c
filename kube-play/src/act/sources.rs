//! Where played objects come from. Each remembers the files that it was played from, so that `kube down` of a file finds
//! also what is no longer written there, and what another file has taken over since.

use serde::{Deserialize, Serialize};

/// Standard input: nobody can come back to it, so it has no objects of its own.
pub const STANDARD_INPUT: &str = "-";

/// How many are remembered: scripts play from files with ever new names.
const MOST: usize = 8;

/// Canonical paths, URLs and [`STANDARD_INPUT`], the latest last; each is there once. Empty: no file has played it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sources(Vec<String>);

impl Sources {
    /// It was played from there.
    pub(super) fn play(&mut self, source: &str) {
        self.0.retain(|known| known != source);
        self.0.push(source.to_owned());
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }

    /// Where it was played from last.
    pub(super) fn last(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// Whether it goes with these although they do not name it.
    pub(super) fn is_of(&self, sources: &[&str]) -> bool {
        self.last().is_some_and(|last| last != STANDARD_INPUT && sources.contains(&last))
    }

    /// Who has taken it over from these. Of a file that has been moved nobody has.
    pub(super) fn taken_over(&self, sources: &[&str]) -> Option<&str> {
        let last = self.last().filter(|last| *last != STANDARD_INPUT && !sources.contains(last))?;
        self.0.iter().any(|known| sources.contains(&known.as_str())).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(from: &[&str]) -> Sources {
        let mut sources = Sources::default();
        from.iter().for_each(|source| sources.play(source));
        sources
    }

    #[test]
    fn the_last_file_has_it() {
        type Row<'a> = (&'a [&'a str], &'a [&'a str], bool, Option<&'a str>);
        let rows: [Row<'_>; 9] = [
            (&["/a"], &["/a"], true, None),
            (&["/a", "/b"], &["/a"], false, Some("/b")),
            (&["/a", "/b"], &["/b"], true, None),
            (&["/a", "/b"], &["/a", "/b"], true, None),
            (&["/a", "/b", "/a"], &["/a"], true, None),
            (&["/a"], &["/moved"], false, None),
            (&["/a", "-"], &["/a"], false, None),
            (&["-"], &["-"], false, None),
            (&[], &["/a"], false, None),
        ];
        for (from, sources, is_of, taken_over) in rows {
            let played = played(from);
            assert_eq!(
                (played.is_of(sources), played.taken_over(sources)),
                (is_of, taken_over),
                "{from:?} {sources:?}"
            );
        }
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let names: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
        let played = played(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((played.0.len(), played.last()), (MOST, Some("/99")));
    }
}
