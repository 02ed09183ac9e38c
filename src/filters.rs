//! `--filter` of `ps` and of every command that takes containers: the same key repeated is "or", different keys are
//! "and", labels are "and".

use std::path::Path;

use containers::{Container, Engine, MountKind, RestartPolicy};
use jiff::Timestamp;

use crate::arguments::{go_quote, number};
use crate::error::Failure;
use crate::state;

/// One `KEY=VALUE`, understood.
enum Filter {
    Ancestor { name: Pattern, id: String },
    Annotation { key: String, value: Option<String> },
    Before(Timestamp),
    Command(Pattern),
    Exited(i32),
    Health(String),
    Id(String),
    Label { key: String, value: Option<String>, negated: bool },
    Name(Pattern),
    Network(String),
    Pod(String),
    RestartPolicy(String),
    StartOnBoot(bool),
    Since(Timestamp),
    Status(String),
    Until(Timestamp),
    Volume(String),
}

/// All filters of a command.
pub struct Filters {
    filters: Vec<(String, Filter)>,
}

const STATES: [&str; 8] = ["created", "initialized", "running", "paused", "stopped", "exited", "removing", "unknown"];

impl Filters {
    /// Reads the texts; other containers are looked up where a filter names one.
    pub fn parse(engine: &Engine, texts: &[String]) -> Result<Filters, Failure> {
        let filters = texts
            .iter()
            .map(|text| {
                let Some((key, value)) = text.split_once('=') else {
                    return Err(Failure::plain(format!("invalid filter {}", go_quote(text))));
                };
                Ok((key.to_owned(), Filter::parse(engine, key, value)?))
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Filters { filters })
    }

    /// Whether one of them asks about states: then `ps` looks at all containers.
    pub fn ask_for_state(&self) -> bool {
        self.filters.iter().any(|(_, filter)| matches!(filter, Filter::Status(_) | Filter::Exited(_)))
    }

    pub fn pass(&self, container: &Container) -> bool {
        self.filters.iter().all(|(key, filter)| {
            let every = matches!(filter, Filter::Label { .. });
            match every {
                true => filter.fits(container),
                // One of this key is enough.
                false => self.filters.iter().any(|(other, filter)| other == key && filter.fits(container)),
            }
        })
    }
}

impl Filter {
    fn parse(engine: &Engine, key: &str, value: &str) -> Result<Filter, Failure> {
        let text = value.to_owned();
        let created_of = |name: &str| containers::find(engine, name).map(|container| container.record.created);
        Ok(match key {
            "ancestor" => Filter::Ancestor { name: Pattern::parse(value)?, id: text },
            "annotation" => {
                let (key, value) = match value.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                };
                Filter::Annotation { key, value }
            }
            "before" => Filter::Before(created_of(value)?),
            "since" => Filter::Since(created_of(value)?),
            "command" => Filter::Command(Pattern::parse(value)?),
            "exited" => Filter::Exited(
                number::i32(value)
                    .map_err(|why| Failure::plain(format!("exited code out of range {}: {why}", go_quote(value))))?,
            ),
            "health" => Filter::Health(text),
            "id" => Filter::Id(value.trim_start_matches('^').to_owned()),
            "label" | "label!" => {
                let (label, value) = match value.split_once('=') {
                    Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                };
                Filter::Label { key: label, value, negated: key == "label!" }
            }
            "name" => Filter::Name(Pattern::parse(value)?),
            "network" => Filter::Network(text),
            // A name becomes the id; what is no pod is taken for the beginning of an id.
            "pod" => Filter::Pod(pods::find(engine, value).map_or(text, |pod| pod.id().to_string())),
            "restart-policy" => match value {
                "no" | "always" | "on-failure" | "unless-stopped" => Filter::RestartPolicy(text),
                _ => return Err(Failure::plain(format!("{value} invalid restart policy"))),
            },
            "should-start-on-boot" => Filter::StartOnBoot(crate::arguments::go_bool(value).ok_or_else(|| {
                Failure::plain(format!("strconv.ParseBool: parsing {}: invalid syntax", go_quote(value)))
            })?),
            "status" if STATES.contains(&value) => Filter::Status(text),
            "status" => return Err(Failure::plain(format!("unknown container state: {value}: invalid argument"))),
            "until" => Filter::Until(crate::when::filter(value)?),
            "volume" => Filter::Volume(text),
            _ => return Err(Failure::plain(format!("{key} is an invalid filter"))),
        })
    }

    fn fits(&self, container: &Container) -> bool {
        let (record, spec) = (&container.record, container.spec());
        match self {
            Filter::Ancestor { name, id } => {
                let (image, image_id) = state::image(container);
                name.fits(image) || image_id.contains(id.trim_start_matches("sha256:"))
            }
            Filter::Annotation { key, value } => match (spec.annotations.get(key), value) {
                (Some(found), Some(value)) => found == value,
                (found, None) => found.is_some(),
                (None, Some(_)) => false,
            },
            Filter::Before(time) => record.created < *time,
            Filter::Since(time) => record.created > *time,
            Filter::Until(time) => record.created < *time,
            Filter::Command(word) => state::command(container).first().is_some_and(|first| word.fits(first)),
            Filter::Exited(code) => container.state().exit().is_some_and(|exit| exit.code == *code),
            Filter::Health(wanted) => state::health(container) == Some(wanted.as_str()),
            Filter::Id(prefix) => record.id.as_str().starts_with(prefix),
            Filter::Label { key, value, negated } => {
                let found = match (spec.labels.get(key), value) {
                    (Some(found), Some(value)) => found == value,
                    (found, None) => found.is_some() || matches_star(key, spec.labels.keys()),
                    (None, Some(_)) => false,
                };
                found != *negated
            }
            Filter::Name(pattern) => pattern.fits(&record.name),
            Filter::Network(name) => {
                state::networks(container).contains(name) || spec.network.mode.to_string() == *name
            }
            Filter::Pod(pod) => spec.pod.as_ref().is_some_and(|of| of == pod || of.starts_with(pod.as_str())),
            Filter::RestartPolicy(word) => match spec.restart {
                RestartPolicy::No => word == "no",
                RestartPolicy::Always => word == "always",
                RestartPolicy::OnFailure { .. } => word == "on-failure",
                RestartPolicy::UnlessStopped => word == "unless-stopped",
            },
            Filter::StartOnBoot(wanted) => {
                let stopped = container.state().exit().is_some_and(|exit| exit.stopped_by_user);
                let starts = match spec.restart {
                    RestartPolicy::Always => true,
                    RestartPolicy::UnlessStopped => !stopped,
                    RestartPolicy::No | RestartPolicy::OnFailure { .. } => false,
                };
                // One that another one has taken the place of comes back only if that one fails.
                (starts && record.retired.is_none()) == *wanted
            }
            Filter::Status(word) => {
                let now = state::word(container);
                // A container that ended counts as stopped and as exited.
                now == word || matches!((now, word.as_str()), ("exited", "stopped"))
            }
            // A volume goes by its name, what else is mounted by where it is seen.
            Filter::Volume(wanted) => {
                let (wanted, destination) = match wanted.split_once(':') {
                    Some((source, destination)) => (source, Some(Path::new(destination))),
                    None => (wanted.as_str(), None),
                };
                spec.mounts.iter().any(|mount| {
                    let at = mount.destination.as_path();
                    match (&mount.kind, destination) {
                        (MountKind::Volume { name, .. }, _) => {
                            name.as_deref() == Some(wanted) && destination.is_none_or(|destination| at == destination)
                        }
                        (MountKind::Bind { source, .. }, Some(destination)) => {
                            source == Path::new(wanted) && at == destination
                        }
                        (_, destination) => destination.is_none() && at == Path::new(wanted),
                    }
                })
            }
        }
    }
}

/// `label=prefix*`.
fn matches_star<'a>(key: &str, mut labels: impl Iterator<Item = &'a String>) -> bool {
    key.strip_suffix('*').is_some_and(|prefix| labels.any(|label| label.starts_with(prefix)))
}

/// The part of regular expressions that names of containers need: `^`, `$`, `.`, `.*`, `[...]`, `\`, `|` at the top level.
pub struct Pattern {
    alternatives: Vec<Vec<Atom>>,
}

struct Atom {
    class: Class,
    least: usize,
    most: usize,
}

enum Class {
    Char(char),
    Any,
    Set { negated: bool, ranges: Vec<(char, char)> },
    Start,
    End,
}

impl Pattern {
    /// One that cannot be read fits nothing, as Podman's filters of networks, volumes and secrets have it.
    pub fn lenient(text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or(Pattern { alternatives: Vec::new() })
    }

    pub fn parse(text: &str) -> Result<Pattern, Failure> {
        let invalid = |why: &str| Failure::plain(format!("error parsing regexp: {why}: `{text}`"));
        let mut alternatives = Vec::new();
        let mut atoms: Vec<Atom> = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let class = match c {
                '|' => {
                    alternatives.push(std::mem::take(&mut atoms));
                    continue;
                }
                '^' => Class::Start,
                '$' => Class::End,
                '.' => Class::Any,
                '\\' => Class::Char(chars.next().ok_or_else(|| invalid("trailing backslash at end of expression"))?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    loop {
                        match chars.next() {
                            None => return Err(invalid("missing closing ]")),
                            Some(']') if !ranges.is_empty() => break,
                            Some(first) => {
                                let last = match chars.next_if_eq(&'-') {
                                    Some(_) => match chars.next() {
                                        Some(']') | None => {
                                            ranges.extend([(first, first), ('-', '-')]);
                                            break;
                                        }
                                        Some(last) => last,
                                    },
                                    None => first,
                                };
                                ranges.push((first, last));
                            }
                        }
                    }
                    Class::Set { negated, ranges }
                }
                // Go takes it for a mistake, and then nothing fits.
                '*' | '+' | '?' => return Ok(Pattern { alternatives: Vec::new() }),
                '(' | ')' | '{' | '}' => return Err(invalid("groups are not supported by creel")),
                c => Class::Char(c),
            };
            let (least, most) = match chars.peek() {
                Some('*') => (0, usize::MAX),
                Some('+') => (1, usize::MAX),
                Some('?') => (0, 1),
                _ => (1, 1),
            };
            if (least, most) != (1, 1) {
                chars.next();
            }
            atoms.push(Atom { class, least, most });
        }
        alternatives.push(atoms);
        Ok(Pattern { alternatives })
    }

    /// Whether it is found anywhere in the text.
    pub fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.alternatives.iter().any(|atoms| (0..=text.len()).any(|from| matches_at(atoms, &text, from)))
    }
}

fn matches_at(atoms: &[Atom], text: &[char], at: usize) -> bool {
    let Some((atom, rest)) = atoms.split_first() else { return true };
    match &atom.class {
        Class::Start => return at == 0 && matches_at(rest, text, at),
        Class::End => return at == text.len() && matches_at(rest, text, at),
        Class::Char(_) | Class::Any | Class::Set { .. } => {}
    }
    let one = |c: char| match &atom.class {
        Class::Char(wanted) => c == *wanted,
        Class::Any => true,
        Class::Set { negated, ranges } => ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated,
        Class::Start | Class::End => false,
    };
    let mut end = at;
    while end < text.len() && end - at < atom.most && one(text[end]) {
        end += 1;
    }
    (at + atom.least..=end).rev().any(|next| matches_at(rest, text, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_as_regular_expressions() {
        let table = [
            ("web", "my-web-1", true),
            ("^web$", "web", true),
            ("^web$", "web-1", false),
            ("w.b", "wib", true),
            ("^a.*z$", "abcz", true),
            ("web-[0-9]+$", "web-12", true),
            ("web-[^0-9]$", "web-1", false),
            ("^a$|^b$", "b", true),
            ("^a?b$", "b", true),
            ("a\\.b", "axb", false),
            ("", "anything", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Pattern::parse(pattern).unwrap().fits(text), expected, "{pattern} {text}");
        }
        assert!(!Pattern::parse("*a").unwrap().fits("a"));
        assert!(Pattern::parse("[a").is_err());
    }
}
