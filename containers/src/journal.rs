//! The log driver `journald`: written by the journal's own protocol (systemd's "Native Journal Protocol"), read back through
//! journalctl(1) in its export format ("Journal Export Formats").

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use storage::journald::{self, SOCKET, field, parse};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::log::Output;
use crate::logs::{LogLine, LogQuery, LogStream, still_running};

/// syslog(3): informational, error.
const PRIORITIES: [&str; 2] = ["6", "3"];
/// How long the journal may be silent before we take it that nothing more of a container that has ended will come.
const SILENCE: Duration = Duration::from_millis(300);

/// The writing side.
pub(crate) struct Journal {
    socket: OwnedFd,
    /// What is the same in every entry.
    fixed: Vec<u8>,
}

/// Whether there is a journal to write to; the error says what to do.
pub(crate) fn available() -> Result<()> {
    if journald::is_there() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the log driver journald needs systemd-journald, which does not run here ({SOCKET} is missing): use --log-driver \
         k8s-file"
    )))
}

impl Journal {
    pub(crate) fn open(container: &Container) -> Result<Journal> {
        available()?;
        let spec = container.spec();
        let socket = journald::connect().map_err(Error::io(SOCKET))?;
        let mut fixed = Vec::new();
        let mut put = |name: &str, value: &str| field(&mut fixed, name, value.as_bytes());
        put("CONTAINER_ID", container.id().short());
        put("CONTAINER_ID_FULL", container.id().as_str());
        put("CONTAINER_NAME", container.name());
        let tag = spec.log.tag.as_deref().map(|tag| filled_in(tag, container));
        if let Some(tag) = &tag {
            put("CONTAINER_TAG", tag);
        }
        put("SYSLOG_IDENTIFIER", tag.as_deref().unwrap_or(container.name()));
        for (name, value) in &spec.log.labels {
            put(name, value);
        }
        Ok(Journal { socket, fixed })
    }

    /// One entry for each line, and for a part of one that has not come to its end.
    pub(crate) fn append(&mut self, output: Output, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, partial) = match part.strip_suffix(b"\n") {
                Some(text) => (text, false),
                None => (part, true),
            };
            let message = entry(&self.fixed, output, text, partial);
            journald::send(&self.socket, &message)?;
        }
        Ok(())
    }
}

fn entry(fixed: &[u8], output: Output, text: &[u8], partial: bool) -> Vec<u8> {
    let mut message = fixed.to_vec();
    field(&mut message, "PRIORITY", PRIORITIES[output as usize].as_bytes());
    if partial {
        field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
    }
    field(&mut message, "MESSAGE", text);
    message
}

/// The events of a store ([`storage::events`]) that are in the journal, read by journalctl(1).
pub struct JournalEvents {
    /// What finds them.
    found_by: String,
    /// Those that were there.
    past: Vec<storage::events::Event>,
    /// The last one that was read.
    cursor: Option<String>,
    /// journalctl(1), following. It ends at once where the user has no journal yet.
    follower: Option<Following>,
}

impl JournalEvents {
    /// How often to look whether there is a journal by now.
    const INTERVAL: Duration = Duration::from_secs(1);

    /// All that there are; with `follow` those that come, too.
    pub fn open(store: &storage::Store, follow: bool) -> Result<JournalEvents> {
        let found_by = storage::events::journal_match(store);
        let mut journal = JournalEvents { found_by, past: Vec::new(), cursor: None, follower: None };
        let mut whole = Following::start(&mut journal.command())?;
        whole.read().map_err(unread)?;
        (journal.past, journal.cursor) = whole.events();
        if follow {
            journal.follow()?;
        }
        Ok(journal)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("journalctl");
        command.args(["--quiet", "--output=export", "--all", "--no-pager", "--output-fields=CREEL_EVENT"]);
        command.arg(&self.found_by);
        command
    }

    fn follow(&mut self) -> Result<()> {
        let mut command = self.command();
        match &self.cursor {
            Some(cursor) => command.arg(format!("--after-cursor={cursor}")),
            None => command.arg("--no-tail"),
        };
        self.follower = Some(Following::follow(&mut command)?);
        Ok(())
    }

    /// What tells that there are more.
    pub fn notice(&self) -> Option<BorrowedFd<'_>> {
        self.follower.as_ref()?.child.stdout.as_ref().map(AsFd::as_fd)
    }

    /// When to call [`JournalEvents::take`] again although nothing has told.
    pub fn patience(&self) -> Option<Duration> {
        self.follower.is_none().then_some(Self::INTERVAL)
    }

    /// Those that have come since the last call, in their order; of the first call those that were there.
    pub fn take(&mut self) -> Result<Vec<storage::events::Event>> {
        let mut events = std::mem::take(&mut self.past);
        let Some(follower) = &mut self.follower else { return Ok(events) };
        let over = follower.read().map_err(unread)?.over;
        let (more, cursor) = follower.events();
        events.extend(more);
        self.cursor = cursor.or(self.cursor.take());
        if over {
            self.follower = None;
        }
        Ok(events)
    }

    /// After some patience: follows again.
    pub fn retry(&mut self) -> Result<()> {
        if self.follower.is_none() { self.follow() } else { Ok(()) }
    }
}

fn unread(error: io::Error) -> Error {
    Error::Io { path: "journalctl".into(), source: error }
}

/// What a tag may name of its container.
const TAG_WORDS: [&str; 6] = ["ID", "FullID", "Name", "Image", "ImageName", "ImageID"];

/// Refuses a tag with a word that [`filled_in`] does not know.
pub(crate) fn check_tag(tag: &str) -> Result<()> {
    for (word, _) in words(tag) {
        if !TAG_WORDS.contains(&word) {
            let known = TAG_WORDS.map(|word| format!("{{{{.{word}}}}}")).join(", ");
            return Err(Error::Invalid(format!("log tag {tag:?}: {{{{.{word}}}}} is not one of {known}")));
        }
    }
    Ok(())
}

/// The words in double braces, and the whole of each.
fn words(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    tag.match_indices("{{").filter_map(|(at, _)| {
        let whole = &tag[at..=tag[at..].find("}}").map(|end| at + end + 1)?];
        Some((whole.trim_start_matches('{').trim_end_matches('}').trim().trim_start_matches('.'), whole))
    })
}

fn filled_in(tag: &str, container: &Container) -> String {
    let image = container.record.image.as_ref();
    let mut text = tag.to_owned();
    for (word, whole) in words(tag) {
        let value = match word {
            "ID" => container.id().short(),
            "FullID" => container.id().as_str(),
            "Name" => container.name(),
            "Image" | "ImageID" => image.map_or("", |image| &image.id),
            "ImageName" => image.map_or("", |image| &image.name),
            _ => whole,
        };
        text = text.replace(whole, value);
    }
    text
}

/// A reader of what the journal has of one container.
pub(crate) struct JournalReader {
    id: String,
    container: Container,
    /// The last entry that was read.
    cursor: Option<String>,
    /// journalctl(1), following.
    follower: Option<Following>,
    pub(crate) process: Option<sys::process::Pidfd>,
    /// The container is over since then, or since its last words.
    ended: Option<Instant>,
    pub(crate) done: bool,
}

struct Following {
    child: Child,
    rest: Vec<u8>,
}

/// Whether anything was read, and whether it was the last.
struct Read {
    came: bool,
    over: bool,
}

impl Following {
    fn start(command: &mut Command) -> Result<Following> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Ok(Following { child: command.spawn().map_err(unread)?, rest: Vec::new() })
    }

    /// One that goes on; what it says is read without waiting.
    fn follow(command: &mut Command) -> Result<Following> {
        let started = Following::start(command.arg("--follow"))?;
        if let Some(stdout) = &started.child.stdout {
            rustix::io::ioctl_fionbio(stdout, true).map_err(|error| unread(error.into()))?;
        }
        Ok(started)
    }

    /// All that can be read without waiting; where its output blocks, all to the end.
    fn read(&mut self) -> io::Result<Read> {
        let mut buffer = vec![0; 64 * 1024];
        let mut read = Read { came: false, over: false };
        while let Some(stdout) = &mut self.child.stdout {
            match io::Read::read(stdout, &mut buffer) {
                Ok(0) => {
                    read.over = true;
                    break;
                }
                Ok(length) => {
                    read.came = true;
                    self.rest.extend_from_slice(&buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    /// Takes the whole entries that were read: the events in them, and where the last one stands.
    fn events(&mut self) -> (Vec<storage::events::Event>, Option<String>) {
        let (mut events, mut cursor, mut used) = (Vec::new(), None, 0);
        while let Some((fields, length)) = parse(&self.rest[used..]) {
            used += length;
            let text = |name: &str| fields.get(name).map(Vec::as_slice).unwrap_or_default();
            cursor = Some(String::from_utf8_lossy(text("__CURSOR")).into_owned());
            // One that a newer creel has written in another way is passed over.
            events.extend(serde_json::from_slice::<storage::events::Event>(text("CREEL_EVENT")).ok());
        }
        self.rest.drain(..used);
        (events, cursor)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl JournalReader {
    pub(crate) fn new(container: &Container, follow: bool) -> JournalReader {
        JournalReader {
            id: container.id().to_string(),
            container: container.clone(),
            cursor: None,
            follower: None,
            process: None,
            ended: None,
            done: !follow,
        }
    }

    fn command(&self, query: &LogQuery) -> Command {
        let mut command = Command::new("journalctl");
        command.args(["--quiet", "--output=export", "--all", "--no-pager"]);
        command.arg("--output-fields=MESSAGE,PRIORITY,CONTAINER_PARTIAL_MESSAGE");
        let time = |time: Timestamp| format!("@{}.{:06}", time.as_second(), time.subsec_nanosecond() / 1000);
        if let Some(cursor) = &self.cursor {
            command.arg(format!("--after-cursor={cursor}"));
        } else if let Some(since) = query.since {
            command.arg(format!("--since={}", time(since)));
        }
        if let Some(until) = query.until.filter(|_| !query.follow) {
            command.arg(format!("--until={}", time(until)));
        }
        command.arg(format!("CONTAINER_ID_FULL={}", self.id)).stdin(Stdio::null());
        command
    }

    /// What is there now.
    pub(crate) fn read(&mut self, query: &LogQuery, sink: &mut dyn FnMut(LogLine) -> Result<()>) -> Result<()> {
        let output = self.command(query).output().map_err(unread)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Invalid(format!("cannot read the journal: journalctl: {said}")));
        }
        let (lines, _) = self.entries(&output.stdout);
        let skipped = match query.tail {
            Some(tail) => lines.len() - last_lines(&lines, tail),
            None => 0,
        };
        for line in lines.into_iter().skip(skipped) {
            sink(line)?;
        }
        if !self.done {
            self.follower = Some(Following::follow(self.command(query).arg("--no-tail"))?);
        }
        Ok(())
    }

    /// What tells that there may be more.
    pub(crate) fn notice(&self) -> Option<BorrowedFd<'_>> {
        self.follower.as_ref()?.child.stdout.as_ref().map(AsFd::as_fd)
    }

    /// When to look again although nothing has told.
    pub(crate) fn patience(&self) -> Option<Instant> {
        self.ended.map(|ended| ended + SILENCE)
    }

    /// What has come since, and whether it is over.
    pub(crate) fn advance(
        &mut self,
        engine: &Engine,
        query: &LogQuery,
        sink: &mut dyn FnMut(LogLine) -> Result<()>,
    ) -> Result<()> {
        self.process = still_running(engine, self.container.id())?;
        let Some(mut follower) = self.follower.take() else {
            self.done = true;
            return Ok(());
        };
        let read = follower.read().map_err(unread)?;
        let (came, mut over) = (read.came, read.over);
        let (lines, used) = self.entries(&follower.rest);
        follower.rest.drain(..used);
        self.follower = Some(follower);
        for line in lines {
            if query.until.is_none_or(|until| line.time <= until) {
                sink(line)?;
            }
        }
        match &self.process {
            Some(_) => self.ended = None,
            None if came || self.ended.is_none() => self.ended = Some(Instant::now()),
            None => over |= self.patience().is_some_and(|until| Instant::now() >= until),
        }
        self.done = over;
        Ok(())
    }

    /// The whole entries at the beginning of `bytes`, and how long they are.
    fn entries(&mut self, bytes: &[u8]) -> (Vec<LogLine>, usize) {
        let (mut lines, mut used) = (Vec::new(), 0);
        while let Some((fields, length)) = parse(&bytes[used..]) {
            used += length;
            if let Some(cursor) = fields.get("__CURSOR") {
                self.cursor = Some(String::from_utf8_lossy(cursor).into_owned());
            }
            lines.extend(line(fields));
        }
        (lines, used)
    }
}

/// How many entries the last `tail` lines have.
fn last_lines(lines: &[LogLine], tail: u64) -> usize {
    let mut left = tail;
    for (count, line) in lines.iter().rev().enumerate() {
        // A line is counted by its end; one whose end is still to come counts too.
        if !line.partial || count == 0 {
            if left == 0 {
                return count;
            }
            left -= 1;
        }
    }
    lines.len()
}

fn line(mut fields: BTreeMap<String, Vec<u8>>) -> Option<LogLine> {
    let microseconds = std::str::from_utf8(fields.get("__REALTIME_TIMESTAMP")?).ok()?.parse().ok()?;
    Some(LogLine {
        time: Timestamp::from_microsecond(microseconds).ok()?,
        stream: match fields.get("PRIORITY").map(Vec::as_slice) {
            Some(b"3") => LogStream::Stderr,
            _ => LogStream::Stdout,
        },
        partial: fields.contains_key("CONTAINER_PARTIAL_MESSAGE"),
        bytes: fields.remove("MESSAGE")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_fields_and_binary_where_it_must_be() {
        let mut fixed = Vec::new();
        field(&mut fixed, "CONTAINER_NAME", b"one");
        assert_eq!(entry(&fixed, Output::Stdout, b"hi", false), b"CONTAINER_NAME=one\nPRIORITY=6\nMESSAGE=hi\n");
        assert_eq!(entry(&[], Output::Stderr, b"a", true), b"PRIORITY=3\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=a\n");
    }

    #[test]
    fn exported_entries_are_read_as_they_come() {
        let text = b"__CURSOR=c1\n__REALTIME_TIMESTAMP=1000001\nPRIORITY=3\nMESSAGE=one=two\n\n\
            __CURSOR=c2\n__REALTIME_TIMESTAMP=2000000\nPRIORITY=6\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\n__CURSOR=c3\n";
        let (first, length) = parse(text).unwrap();
        let first = line(first).unwrap();
        assert_eq!((first.stream, first.bytes.as_slice()), (LogStream::Stderr, b"one=two".as_slice()));
        let (second, more) = parse(&text[length..]).unwrap();
        assert_eq!(line(second).unwrap().bytes, b"a\nb");
        assert!(parse(&text[length + more..]).is_none());
        assert!(parse(&text[length..text.len() - 20]).is_none());
    }

    #[test]
    fn tags_name_what_they_may() {
        assert!(check_tag("{{.Name}}/{{.ImageName}} plain").is_ok());
        assert!(check_tag("{{.Config}}").unwrap_err().to_string().contains("{{.Config}} is not one of"));
        assert_eq!(words("a{{ .ID }}b").collect::<Vec<_>>(), [("ID", "{{ .ID }}")]);
    }
}
