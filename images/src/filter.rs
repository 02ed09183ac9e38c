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
        let bad = |reason: String| Error::InvalidFilter { reason };
        let form = |key: &str| {
            bad(format!("invalid image filter {key:?}: must be in the format \"filter=value or filter!=value\""))
        };
        let (key, value) = text.split_once('=').ok_or_else(|| form(text))?;
        let value = value.trim();
        let boolean = || match value {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
            "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
            _ => Err(bad(format!(
                "non-boolean value {key:?} for {value} filter: strconv.ParseBool: parsing {value:?}: invalid syntax"
            ))),
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
            "until" => Filter::Until(
                moment(value, now)
                    .ok_or_else(|| bad(format!("failed to parse value as time or duration: {value:?}")))?,
            ),
            "id" => Filter::Id(value.strip_prefix("sha256:").unwrap_or(value).to_owned()),
            "digest" if value.starts_with("sha256:") => Filter::Digest(value.to_owned()),
            "digest" => return Err(bad(format!("invalid value {value:?} for digest filter"))),
            "containers" => Filter::Containers(
                boolean().map_err(|_| bad(format!("unsupported value {value:?} for containers filter")))?,
            ),
            "readonly" => Filter::ReadOnly(boolean()?),
            "intermediate" => Filter::Intermediate(boolean()?),
            "manifest" => Filter::Manifest(boolean()?),
            key => return Err(form(key)),
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
            let limit = among(images, "before", name)?;
            Box::new(move |image| image.created < limit)
        }
        Filter::Since(name) => {
            let limit = among(images, "since", name)?;
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
        // This store has no read-only part.
        Filter::ReadOnly(wanted) => Box::new(move |image| image.is_read_only == *wanted),
        Filter::Manifest(wanted) => Box::new(move |image| image.is_list == *wanted),
        Filter::Intermediate(wanted) => {
            Box::new(move |image| (image.is_untagged() && parents.contains(&image.id)) == *wanted)
        }
    })
}

/// When the image of `before=` and `since=` was made.
fn among(images: &[Image], key: &str, name: &str) -> Result<Timestamp> {
    let id = name.strip_prefix("sha256:").unwrap_or(name);
    let by_name = images.iter().find(|image| crate::tag::name_of(image, name).is_ok());
    let by_id = || images.iter().find(|image| !id.is_empty() && image.id.starts_with(id));
    by_name.or_else(by_id).map(|image| image.created).ok_or_else(|| Error::InvalidFilter {
        reason: format!("could not find local image for filter {key:?}={name:?}: {name}: image not known"),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_those_of_go() {
        let cases = [
            ("*", "abc", true),
            ("*", "a/b", false),
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[a-c", "b", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("", "", true),
            ("a", "", false),
            ("**", "abc", true),
        ];
        for (pattern, text, fits) in cases {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_reference_fits_whole_or_by_its_end_with_or_without_tag() {
        let name = "reg.test:5000/team/web:1.2";
        for pattern in [
            "reg.test:5000/team/web:1.2",
            "reg.test:5000/team/web",
            "team/web",
            "web",
            "web:1*",
            "*:1.2",
            "we*",
            "team/*",
            "*/team/web",
        ] {
            assert!(name_fits(name, pattern), "{pattern}");
        }
        for pattern in ["eb", "web:2", "team", "reg.test:5000/*", "other/web"] {
            assert!(!name_fits(name, pattern), "{pattern}");
        }
    }

    #[test]
    fn times_have_many_spellings() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let at = |text: &str| moment(text, now).map(|time| time.to_string());
        assert_eq!(at("2025-12-31T10:00:00+02:00").as_deref(), Some("2025-12-31T08:00:00Z"));
        assert_eq!(at("1h").as_deref(), Some("2026-01-02T02:04:05Z"));
        assert_eq!(at("0").as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(at("1.5").as_deref(), Some("1970-01-01T00:00:01.5Z"));
        assert!(at("2025-12-31").is_some() && at("2025-12-31T10:00:00").is_some());
        assert_eq!(at("yesterday"), None);
    }

    fn image(id: char, created: i64, names: &[&str], parent: Option<char>, labels: &[(&str, &str)]) -> Image {
        let full = |letter: char| String::from(letter).repeat(64);
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let digest = storage::Digest::of(&[id as u8]);
        let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "config": { "Labels": labels },
            "rootfs": { "type": "layers", "diff_ids": [] } });
        let manifest = serde_json::json!({ "schemaVersion": 2, "layers": [],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest.to_string(), "size": 1 } });
        let record = crate::record::ImageRecord {
            id: full(id),
            digest,
            repo_digests: Vec::new(),
            created: Timestamp::from_second(created).unwrap(),
            stored: Timestamp::UNIX_EPOCH,
            layers: Vec::new(),
            size: 0,
            parent: parent.map(full),
            name_history: Vec::new(),
            manifest,
            config,
        };
        crate::record::image_of(record, names.iter().map(|name| (*name).to_owned()).collect()).unwrap()
    }

    #[test]
    fn filters_let_the_right_images_through() {
        // `p` is the untagged parent of `c`; `d` dangles.
        let images = || {
            vec![
                image('a', 10, &["reg.test/web:1"], None, &[("env", "prod"), ("x", "y")]),
                image('b', 20, &["localhost/db:latest"], None, &[("env", "test")]),
                image('c', 30, &["localhost/app:latest"], Some('e'), &[]),
                image('e', 25, &[], None, &[]),
                image('d', 5, &[], None, &[]),
            ]
        };
        let context = FilterContext { containers: BTreeMap::from([("b".repeat(64), 2)]) };
        let cases: [(&[&str], &str); 19] = [
            (&[], "abced"),
            (&["reference=web"], "a"),
            (&["reference=web", "reference=db"], "ab"),
            (&["reference!=web", "reference!=db"], "ced"),
            (&["dangling=true"], "d"),
            (&["dangling=false"], "abce"),
            (&["intermediate=true"], "e"),
            (&["label=env"], "ab"),
            (&["label=env=prod"], "a"),
            (&["label=env", "label=x=y"], "a"),
            (&["label!=env"], "ced"),
            (&["before=db"], "ad"),
            (&["since=db"], "ce"),
            (&["until=20"], "ad"),
            (&["id=bbb"], "b"),
            (&["containers=true"], "b"),
            (&["containers=false", "dangling=false"], "ace"),
            (&["readonly=true"], ""),
            (&["label=env", "before=db"], "a"),
        ];
        for (texts, expected) in cases {
            let filters: Vec<Filter> =
                texts.iter().map(|text| Filter::parse(text, Timestamp::from_second(100).unwrap()).unwrap()).collect();
            let kept = Filter::apply(&filters, images(), &context).unwrap();
            let kept: String = kept.iter().map(|image| &image.id[..1]).collect();
            assert_eq!(kept, expected, "{texts:?}");
        }
        let now = Timestamp::UNIX_EPOCH;
        for bad in ["nonsense", "dangling=maybe", "colour=red", "until=whenever"] {
            assert!(Filter::parse(bad, now).is_err(), "{bad}");
        }
        let unknown = [Filter::Before("nope".to_owned())];
        assert!(matches!(Filter::apply(&unknown, images(), &context), Err(Error::InvalidFilter { .. })));
    }
}
