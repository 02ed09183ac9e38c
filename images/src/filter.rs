//! `--filter` of images and image prune, as pure functions over the list.

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::changes::go_duration;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::reference::Reference;

/// One `--filter KEY=VALUE`.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// A glob over the names.
    Reference(String),
    NotReference(String),
    Dangling(bool),
    Label {
        key: String,
        value: Option<String>,
    },
    NotLabel {
        key: String,
        value: Option<String>,
    },
    /// Older than that image.
    Before(String),
    /// Newer than that image.
    Since(String),
    Until(Timestamp),
    Id(String),
    Digest(String),
    /// Whether a container was made from it.
    Containers(bool),
    ReadOnly(bool),
    /// Untagged, with images built on it.
    Intermediate(bool),
    Manifest(bool),
}

/// What filters need besides the images.
#[derive(Clone, Debug, Default)]
pub struct FilterContext {
    /// Containers per image id.
    pub containers: BTreeMap<String, usize>,
}

impl Filter {
    /// `KEY=VALUE`; times may be relative to `now`.
    pub fn parse(text: &str, now: Timestamp) -> Result<Filter> {
        let bad = |reason: String| Error::InvalidValue { what: "filter", value: text.to_owned(), reason };
        let (key, value) = text.split_once('=').ok_or_else(|| bad("use KEY=VALUE".to_owned()))?;
        let value = value.trim();
        let boolean = || match value {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
            _ => Err(bad("use true or false".to_owned())),
        };
        let label = || match value.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (value.to_owned(), None),
        };
        Ok(match key.trim() {
            "reference" => Filter::Reference(value.to_owned()),
            "reference!" => Filter::NotReference(value.to_owned()),
            "dangling" => Filter::Dangling(boolean()?),
            "label" => {
                let (key, value) = label();
                Filter::Label { key, value }
            }
            "label!" => {
                let (key, value) = label();
                Filter::NotLabel { key, value }
            }
            "before" => Filter::Before(value.to_owned()),
            "since" | "after" => Filter::Since(value.to_owned()),
            "until" => {
                Filter::Until(moment(value, now).ok_or_else(|| bad("it is no time and no duration".to_owned()))?)
            }
            "id" => Filter::Id(value.strip_prefix("sha256:").unwrap_or(value).to_owned()),
            "digest" => Filter::Digest(value.to_owned()),
            "containers" => Filter::Containers(boolean()?),
            "readonly" => Filter::ReadOnly(boolean()?),
            "intermediate" => Filter::Intermediate(boolean()?),
            "manifest" => Filter::Manifest(boolean()?),
            key => {
                let keys = "after before containers dangling digest id intermediate label manifest readonly reference since until";
                return Err(bad(format!("{key:?} is none of {keys}")));
            }
        })
    }

    /// The images all filters let through: the same key repeated is "or" (labels and negations: "and"), different keys
    /// are "and".
    pub fn apply(filters: &[Filter], images: Vec<Image>, context: &FilterContext) -> Result<Vec<Image>> {
        let parents: HashSet<String> = images.iter().filter_map(|image| image.parent.clone()).collect();
        let mut groups: Vec<Vec<Test<'_>>> = Vec::new();
        let mut kinds = Vec::new();
        for filter in filters {
            let test = test(filter, &images, &parents, context)?;
            let kind = std::mem::discriminant(filter);
            let alone = matches!(filter, Filter::Label { .. } | Filter::NotLabel { .. } | Filter::NotReference(_));
            match kinds.iter().position(|other| *other == kind).filter(|_| !alone) {
                Some(at) => groups[at].push(test),
                None => {
                    kinds.push(kind);
                    groups.push(vec![test]);
                }
            }
        }
        let keep: Vec<bool> =
            images.iter().map(|image| groups.iter().all(|group| group.iter().any(|test| test(image)))).collect();
        drop(groups);
        Ok(images.into_iter().zip(keep).filter_map(|(image, keep)| keep.then_some(image)).collect())
    }
}

type Test<'a> = Box<dyn Fn(&Image) -> bool + 'a>;

/// A filter as a function of one image.
fn test<'a>(
    filter: &'a Filter,
    images: &[Image],
    parents: &'a HashSet<String>,
    context: &'a FilterContext,
) -> Result<Test<'a>> {
    let has_label = |image: &Image, key: &str, value: &Option<String>| {
        image.settings.labels.get(key).is_some_and(|is| value.as_ref().is_none_or(|value| value == is))
    };
    Ok(match filter {
        Filter::Reference(pattern) => Box::new(move |image| matches_reference(image, pattern)),
        Filter::NotReference(pattern) => Box::new(move |image| !matches_reference(image, pattern)),
        Filter::Dangling(wanted) => {
            Box::new(move |image| (image.is_untagged() && !parents.contains(&image.id)) == *wanted)
        }
        Filter::Label { key, value } => Box::new(move |image| has_label(image, key, value)),
        Filter::NotLabel { key, value } => Box::new(move |image| !has_label(image, key, value)),
        Filter::Before(name) => {
            let limit = among(images, name)?;
            Box::new(move |image| image.created < limit)
        }
        Filter::Since(name) => {
            let limit = among(images, name)?;
            Box::new(move |image| image.created > limit)
        }
        Filter::Until(limit) => Box::new(move |image| image.created < *limit),
        Filter::Id(prefix) => Box::new(move |image| image.id.starts_with(prefix)),
        Filter::Digest(prefix) => Box::new(move |image| {
            let digest = image.digest.to_string();
            digest.starts_with(prefix)
                || image
                    .repo_digests
                    .iter()
                    .any(|known| known.split_once('@').is_some_and(|(_, digest)| digest.starts_with(prefix)))
        }),
        Filter::Containers(wanted) => Box::new(move |image| context.containers.contains_key(&image.id) == *wanted),
        // This store has no read-only part, and no lists.
        Filter::ReadOnly(wanted) | Filter::Manifest(wanted) => Box::new(move |_| !*wanted),
        Filter::Intermediate(wanted) => {
            Box::new(move |image| (image.is_untagged() && parents.contains(&image.id)) == *wanted)
        }
    })
}

/// When the image of `before=` and `since=` was made.
fn among(images: &[Image], name: &str) -> Result<Timestamp> {
    let id = name.strip_prefix("sha256:").unwrap_or(name);
    let by_name = images.iter().find(|image| crate::tag::name_of(image, name).is_ok());
    let by_id = || images.iter().find(|image| !id.is_empty() && image.id.starts_with(id));
    by_name.or_else(by_id).map(|image| image.created).ok_or_else(|| Error::NotFound { name: name.to_owned() })
}

/// Whether one of the names fits the glob: whole, without registry, as its last part, each with and without its tag.
fn matches_reference(image: &Image, pattern: &str) -> bool {
    image.names.iter().chain(&image.repo_digests).any(|name| name_fits(name, pattern))
}

fn name_fits(name: &str, pattern: &str) -> bool {
    let Ok(reference) = name.parse::<Reference>() else { return false };
    let full = reference.to_string();
    let repository = reference.repository();
    let version = &full[repository.len()..];
    let mut rest = repository.as_str();
    loop {
        if glob(pattern.as_bytes(), rest.as_bytes()) || glob(pattern.as_bytes(), format!("{rest}{version}").as_bytes())
        {
            return true;
        }
        match rest.split_once('/') {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
}

/// Go's path.Match: `*` and `?` stop at `/`, `[a-z]` and `[^a-z]`, `\` takes a letter as it is.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            let end = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (0..=end).any(|at| glob(rest, &text[at..]))
        }
        ([b'?', pattern @ ..], [byte, text @ ..]) => *byte != b'/' && glob(pattern, text),
        ([b'[', class @ ..], [byte, text @ ..]) => match in_class(class, *byte) {
            Some((true, pattern)) => *byte != b'/' && glob(pattern, text),
            Some((false, _)) | None => false,
        },
        ([b'\\', wanted, pattern @ ..], [byte, text @ ..]) => wanted == byte && glob(pattern, text),
        ([wanted, pattern @ ..], [byte, text @ ..]) => wanted == byte && glob(pattern, text),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

/// Whether a byte is in the class, and what stands behind it; `None` for one that is not closed.
fn in_class(class: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    let mut first = true;
    loop {
        match rest {
            [b']', rest @ ..] if !first => return Some((found != negated, rest)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                rest = after;
            }
            [one, after @ ..] => {
                found |= *one == byte;
                rest = after;
            }
            [] => return None,
        }
        first = false;
    }
}

/// RFC 3339 with or without zone, a date, Unix seconds, or a duration before `now`.
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let here =
        |time: jiff::civil::DateTime| time.to_zoned(jiff::tz::TimeZone::system()).ok().map(|time| time.timestamp());
    if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        return here(time);
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return here(date.at(0, 0, 0, 0));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok();
    }
    let ago = SignedDuration::try_from(go_duration(text)?).ok()?;
    now.checked_sub(ago).ok()
}
