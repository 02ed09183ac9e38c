use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use storage::Store;
use storage::events::{Backend, Event, Kind, Notice, Tail};

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{self, Field, Format, Nil, Value, go_time, unknown_field};
use crate::{object, output, when};

/// Show what happened
///
/// Without --since and --until, what happens from now on.
#[derive(clap::Args)]
pub struct Args {
    /// Show the events that pass a filter: container, event, image, label, pod, type or volume
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show ids in full
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true)]
    no_trunc: bool,
    /// Show what came after a time, or after a duration ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Wait for further events
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true)]
    stream: bool,
    /// Show what comes before a time, or before a duration from now
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if !args.words.is_empty() {
        return Err(Failure::plain("`creel events` takes no arguments"));
    }
    let filters = Filters::parse(&args.filter)?;
    let now = Timestamp::now();
    let unreadable = |word: &str, text: &str| {
        Failure::plain(format!("unable to convert {word} time of {text}: unable to interpret time value"))
            .context("failed to parse event filters")
    };
    let since = args.since.as_deref();
    let since = since.map(|text| when::parse(text, now).ok_or_else(|| unreadable("since", text))).transpose()?;
    let until = args.until.as_deref();
    let until = until.map(|text| when::parse_until(text, now).ok_or_else(|| unreadable("until", text))).transpose()?;
    let format = match args.format.as_deref() {
        None => None,
        Some(text) => Some(Format::parse_single("events", text)?),
    };
    let show = |events: Vec<Event>| {
        let meant = events.iter().filter(|event| {
            let time = time(event);
            since.is_none_or(|since| time > since) && until.is_none_or(|until| time < until) && filters.pass(event)
        });
        let shown: Result<String, Failure> =
            meant.map(|event| line(event, format.as_ref(), args.no_trunc).map(|line| line + "\n")).collect();
        output::print(&shown?)
    };
    let past = !args.stream || since.is_some() || until.is_some();
    let mut source = Source::open(&context.store()?, args.stream)?;
    if args.stream {
        follow(&mut source, past, until, show)?;
    } else {
        show(source.take()?)?;
    }
    Ok(ExitCode::Success)
}

/// Where events are read from.
pub enum Source {
    File(Tail, Option<Notice>),
    Journal(containers::JournalEvents),
}

impl Source {
    /// `follow`: what comes later is to be waited for.
    pub fn open(store: &Store, follow: bool) -> Result<Source, Failure> {
        if store.options().events.backend == Backend::None {
            return Err(Failure::plain("cannot read events with the \"none\" backend"));
        }
        if store.options().events.backend == Backend::Journald {
            return Ok(Source::Journal(containers::JournalEvents::open(store, follow)?));
        }
        // Before the first look, so that nothing comes between.
        let notice = if follow { Some(Notice::of(store)?) } else { None };
        Ok(Source::File(Tail::from_beginning(store)?, notice))
    }

    /// What has come since the last call.
    pub fn take(&mut self) -> Result<Vec<Event>, Failure> {
        match self {
            Source::File(tail, notice) => {
                if let Some(notice) = notice {
                    notice.clear();
                }
                Ok(tail.take())
            }
            Source::Journal(journal) => Ok(journal.take()?),
        }
    }

    /// When to look again although nothing has told.
    fn patience(&self) -> Option<Duration> {
        match self {
            Source::File(..) => None,
            Source::Journal(journal) => journal.patience(),
        }
    }

    /// What tells that there is more.
    fn notice(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Source::File(_, notice) => notice.as_ref().map(AsFd::as_fd),
            Source::Journal(journal) => journal.notice(),
        }
    }
}

/// Shows what is there, where that is wanted, and then what comes, to the given time.
pub fn follow(
    source: &mut Source,
    past: bool,
    until: Option<Timestamp>,
    mut show: impl FnMut(Vec<Event>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let there = source.take()?;
    if past {
        show(there)?;
    }
    loop {
        let left = match until {
            None => None,
            Some(until) => match Duration::try_from(until.duration_since(Timestamp::now())) {
                Ok(left) if !left.is_zero() => Some(left),
                // A negative one: the time is over.
                Ok(_) | Err(_) => return Ok(()),
            },
        };
        let left = left.into_iter().chain(source.patience()).min();
        let left = left.map(|left| Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut fds: Vec<PollFd<'_>> =
            source.notice().into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
        if let Source::Journal(journal) = source {
            journal.retry()?;
        }
        show(source.take()?)?;
    }
}

fn time(event: &Event) -> Timestamp {
    Timestamp::from_nanosecond(event.time.into()).unwrap_or_default()
}

fn line(event: &Event, format: Option<&Format>, full: bool) -> Result<String, Failure> {
    match format {
        None => Ok(sentence(event, full)),
        Some(Format::Json) => Ok(value(event).json()),
        Some(Format::Table(template, _) | Format::Plain(template)) => {
            let value = value(event);
            template.run(&value).map_err(|why| unknown_field(template.command(), why, &value))
        }
    }
}

/// One event on one line, as Podman words it.
fn sentence(event: &Event, full: bool) -> String {
    let short = |id: &str| id.chars().take(if full { usize::MAX } else { 12 }).collect::<String>();
    let id = short(&event.id);
    let head = format!("{} {} {}", go_time(time(event)), event.kind.as_str(), event.status);
    match event.kind {
        Kind::Container | Kind::Pod => {
            let mut text = format!("{head} {id} (image={}, name={}", event.image, event.name);
            if !event.pod.is_empty() {
                text += &format!(", pod_id={}", short(&event.pod));
            }
            if let Some(health) = &event.health {
                text += &format!(
                    ", health_status={}, health_failing_streak={}, health_log={}",
                    health.status,
                    health.failing_streak,
                    health.output.trim_end().replace('\n', " ")
                );
            }
            event.attributes.iter().for_each(|(key, value)| text += &format!(", {key}={value}"));
            text + ")"
        }
        Kind::Image if event.error.is_empty() => format!("{head} {id} {}", event.name),
        Kind::Image => format!("{head} {id} {} {}", event.name, event.error),
        Kind::Network if matches!(event.status.as_ref(), "connect" | "disconnect") => {
            format!("{head} {id} (container={id}, name={})", event.network)
        }
        Kind::Network => {
            let driver = event.attributes.get("driver").map(String::as_str).unwrap_or_default();
            format!("{head} {} (name={}, type={driver})", event.id, event.network)
        }
        Kind::Secret => format!("{head} {id}"),
        Kind::System => head,
        Kind::Volume => format!("{head} {}", event.name),
    }
}

fn value(event: &Event) -> Value {
    let exit_code = event.exit_code.map_or(Value::Nil(Nil::Pointer), |code| Value::Int(code.into()));
    let health = event.health.as_ref().map(|health| health.status.as_str()).unwrap_or_default();
    let attributes = match event.kind {
        Kind::Container => Value::map(&event.attributes),
        _ => Value::map_or_nil(&event.attributes),
    };
    let mut value = object! {
        fn "ContainerExitCode": exit_code.clone(),
        "ID"?: event.id.as_str(),
        "Image"?: event.image.as_str(),
        "Name"?: event.name.as_str(),
        "network" as "Network"?: event.network.as_str(),
        "Status"?: event.status.as_ref(),
        "time" as "Time"?: time(event).as_second(),
        "timeNano" as "TimeNano"?: event.time,
        "Type"?: event.kind.as_str(),
        "health_status" as "HealthStatus"?: health,
        "Error"?: event.error.as_str(),
        "PodID"?: event.pod.as_str(),
        "OOMKilled"?: event.oom_killed,
        json "Attributes": attributes.clone(),
        fn "Attributes": attributes.clone(),
        fn "ContainerInspectData": "",
        fn "Details": object! { "ContainerInspectData"?: "", "PodID"?: event.pod.as_str(), "Attributes": attributes },
    };
    // It is there or not, and 0 is there.
    if let (Value::Struct(fields), Some(_)) = (&mut value, event.exit_code) {
        let code =
            Field { json: "ContainerExitCode", name: "ContainerExitCode", kind: format::Kind::Plain, value: exit_code };
        fields.insert(0, code);
    }
    value
}

/// `--filter`: of one key any must hold, of several keys all.
struct Filters(Vec<(Key, Vec<String>)>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Container,
    Event,
    Image,
    Label,
    Pod,
    Type,
    Volume,
}

impl Filters {
    fn parse(filters: &[String]) -> Result<Filters, Failure> {
        let mut parsed: Vec<(Key, Vec<String>)> = Vec::new();
        for filter in filters {
            let invalid = |key: &str| {
                Failure::plain(format!("{key} is an invalid filter")).context("failed to parse event filters")
            };
            let (key, value) = filter.split_once('=').ok_or_else(|| invalid(filter))?;
            let known = match key.to_lowercase().as_str() {
                "container" => Key::Container,
                "event" | "status" => Key::Event,
                "image" => Key::Image,
                "label" => Key::Label,
                "pod" => Key::Pod,
                "type" => Key::Type,
                "volume" => Key::Volume,
                _ => return Err(invalid(key)),
            };
            // Docker's word.
            let value = if known == Key::Event && value == "die" { "died" } else { value };
            match parsed.iter_mut().find(|(key, _)| *key == known) {
                Some((_, values)) => values.push(value.to_owned()),
                None => parsed.push((known, vec![value.to_owned()])),
            }
        }
        Ok(Filters(parsed))
    }

    fn pass(&self, event: &Event) -> bool {
        self.0.iter().all(|(key, values)| values.iter().any(|value| key.fits(value, event)))
    }
}

impl Key {
    fn fits(self, value: &str, event: &Event) -> bool {
        let is = |kind: Kind| event.kind == kind && (event.name == value || event.id.starts_with(value));
        match self {
            Key::Container => is(Kind::Container),
            Key::Event => event.status == value,
            Key::Image => is(Kind::Image),
            Key::Label => match value.split_once('=') {
                Some((label, value)) => event.attributes.get(label).is_some_and(|found| found == value),
                None => event.attributes.contains_key(value),
            },
            Key::Pod => is(Kind::Pod),
            Key::Type => event.kind.as_str() == value,
            // A volume has no id.
            Key::Volume => event.kind == Kind::Volume && (event.name == value || value.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died() -> Event {
        Event {
            time: 1_795_250_513_664_111_630,
            id: "a984d26caee91ffa".into(),
            name: "one".into(),
            image: "localhost/box:latest".into(),
            exit_code: Some(3),
            attributes: [("colour".to_owned(), "red".to_owned())].into(),
            ..Event::new(Kind::Container, "died")
        }
    }

    #[test]
    fn json_has_podmans_names_in_podmans_order() {
        let expected = r#"{"ContainerExitCode":3,"ID":"a984d26caee91ffa","Image":"localhost/box:latest","Name":"one","Status":"died","time":1795250513,"timeNano":1795250513664111630,"Type":"container","Attributes":{"colour":"red"}}"#;
        assert_eq!(value(&died()).json(), expected);
        let volume = Event { time: 1_000_000_000, name: "v".into(), ..Event::new(Kind::Volume, "create") };
        let expected =
            r#"{"Name":"v","Status":"create","time":1,"timeNano":1000000000,"Type":"volume","Attributes":null}"#;
        assert_eq!(value(&volume).json(), expected);
    }

    #[test]
    fn filters_of_one_key_add_up_and_those_of_several_narrow() {
        let pass = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            Filters::parse(&filters).unwrap().pass(&died())
        };
        let table: &[(&[&str], bool)] = &[
            (&[], true),
            (&["container=one"], true),
            (&["container=on"], false),
            (&["container=a984"], true),
            (&["CONTAINER=one", "event=die"], true),
            (&["event=create", "event=died"], true),
            (&["event=create", "container=one"], false),
            (&["label=colour"], true),
            (&["label=colour=red"], true),
            (&["label=colour=blue"], false),
            (&["image=localhost/box:latest"], false),
            (&["type=container"], true),
            (&["volume="], false),
        ];
        for (filters, expected) in table {
            assert_eq!(pass(filters), *expected, "{filters:?}");
        }
        assert!(Filters::parse(&["nonsense=1".to_owned()]).is_err());
        assert!(Filters::parse(&["event".to_owned()]).is_err());
    }

    #[test]
    fn a_line_says_what_happened_to_what() {
        let text = sentence(&died(), false);
        let rest = text.split_once(" container ").unwrap().1;
        assert_eq!(rest, "died a984d26caee9 (image=localhost/box:latest, name=one, colour=red)");
        let network = Event {
            id: "n".repeat(64),
            network: "n1".into(),
            attributes: [("driver".to_owned(), "bridge".to_owned())].into(),
            ..Event::new(Kind::Network, "create")
        };
        assert!(sentence(&network, false).ends_with(&format!("create {} (name=n1, type=bridge)", "n".repeat(64))));
    }
}
