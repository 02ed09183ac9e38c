//! Reading a container's log: the lines that [`crate::log`] writes, across rotations, and on as they come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use sys::process::{Pidfd, Process};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::journal::JournalReader;
use crate::list;
use crate::notice::{LOOK_AGAIN, poll_until};
use crate::spec::LogDriver;
use crate::state::State;

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogQuery {
    /// Go on until the container ends.
    pub follow: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Only so many of the last lines; all where `None`.
    pub tail: Option<u64>,
}

/// Which of the container's outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    Stdout,
    Stderr,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub time: Timestamp,
    pub stream: LogStream,
    /// The line goes on in the next entry of its stream: no newline belongs after it.
    pub partial: bool,
    /// Without the newline.
    pub bytes: Vec<u8>,
}

/// Gives the wanted lines of one container to `sink`, in order. An error of the sink ends it and is returned.
pub fn logs(
    engine: &Engine,
    container: &Container,
    query: &LogQuery,
    sink: &mut dyn FnMut(LogLine) -> io::Result<()>,
) -> Result<()> {
    follow_logs(engine, std::slice::from_ref(container), query, &mut |_, line| sink(line))
}

/// The same for several containers at once; the sink is told which of them (its index) a line is from. What is there now
/// is merged by time; what comes later is given as it comes.
pub fn follow_logs(
    engine: &Engine,
    containers: &[Container],
    query: &LogQuery,
    sink: &mut dyn FnMut(usize, LogLine) -> io::Result<()>,
) -> Result<()> {
    let mut give = |index: usize, line: LogLine| sink(index, line).map_err(Error::io("the output"));
    let mut followers =
        containers.iter().map(|container| Reader::open(engine, container, query)).collect::<Result<Vec<_>>>()?;
    match followers.as_mut_slice() {
        [] => return Ok(()),
        [one] => one.read(query, &mut |line| give(0, line))?,
        several => {
            let mut lines = Vec::new();
            for (index, follower) in several.iter_mut().enumerate() {
                // A line has the time of its first part, so that nothing comes between its parts.
                let mut begun = [None; 2];
                follower.read(query, &mut |line| {
                    let begun = &mut begun[line.stream as usize];
                    let time = begun.unwrap_or(line.time);
                    *begun = line.partial.then_some(time);
                    lines.push((time, index, line));
                    Ok(())
                })?;
            }
            // Stable: lines of one container stay in their order.
            lines.sort_by_key(|(time, index, _)| (*time, *index));
            for (_, index, line) in lines {
                give(index, line)?;
            }
        }
    }
    if !query.follow {
        return Ok(());
    }
    let until = query.until.map(|until| {
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        Instant::now() + left
    });
    loop {
        for (index, follower) in followers.iter_mut().enumerate().filter(|(_, follower)| !follower.is_done()) {
            follower.advance(engine, query, &mut |line| give(index, line))?;
        }
        let waiting: Vec<&Reader> = followers.iter().filter(|follower| !follower.is_done()).collect();
        if waiting.is_empty() || until.is_some_and(|until| Instant::now() >= until) {
            return Ok(());
        }
        let mut notices = Vec::new();
        for follower in &waiting {
            notices.extend(follower.notice());
            notices.extend(follower.process().map(AsFd::as_fd));
        }
        let mut entries: Vec<PollFd<'_>> =
            notices.iter().map(|notice| PollFd::from_borrowed_fd(*notice, PollFlags::IN)).collect();
        let next = waiting.iter().filter_map(|follower| follower.patience()).chain(until).min();
        poll_until(&mut entries, next).map_err(Error::io("poll"))?;
    }
}

/// Of one container's log, wherever that is.
enum Reader {
    File(Follower),
    Journal(JournalReader),
}

impl Reader {
    fn open(engine: &Engine, container: &Container, query: &LogQuery) -> Result<Reader> {
        match container.spec().log.driver {
            LogDriver::Journald => Ok(Reader::Journal(JournalReader::new(container, query.follow))),
            _ => Follower::open(engine, container, query).map(Reader::File),
        }
    }

    fn read(&mut self, query: &LogQuery, sink: &mut dyn FnMut(LogLine) -> Result<()>) -> Result<()> {
        match self {
            Reader::File(reader) => reader.read(query, sink),
            Reader::Journal(reader) => reader.read(query, sink),
        }
    }

    fn advance(
        &mut self,
        engine: &Engine,
        query: &LogQuery,
        sink: &mut dyn FnMut(LogLine) -> Result<()>,
    ) -> Result<()> {
        match self {
            Reader::File(reader) => reader.advance(engine, query, sink),
            Reader::Journal(reader) => reader.advance(engine, query, sink),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Reader::File(reader) => reader.done,
            Reader::Journal(reader) => reader.done,
        }
    }

    fn notice(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Reader::File(reader) => Some(reader.notice.as_fd()),
            Reader::Journal(reader) => reader.notice(),
        }
    }

    fn process(&self) -> Option<&Pidfd> {
        match self {
            Reader::File(reader) => reader.process.as_ref(),
            Reader::Journal(reader) => reader.process.as_ref(),
        }
    }

    fn patience(&self) -> Option<Instant> {
        match self {
            Reader::File(_) => None,
            Reader::Journal(reader) => reader.patience(),
        }
    }
}

/// The process whose end is no change in a directory: the monitor, or the container's own without one. `None` when the
/// container is over.
pub(crate) fn still_running(engine: &Engine, id: &ContainerId) -> Result<Option<Pidfd>> {
    Ok(list::read(engine, id)?.and_then(|now| process_of(&now)))
}

fn process_of(now: &Container) -> Option<Pidfd> {
    match now.state() {
        State::Running { init, monitor, .. } => monitor.open().or_else(|| init.open()),
        State::Created | State::Initialized { .. } | State::Exited(_) | State::Removing => {
            now.status.restarting.as_ref().and_then(Process::open)
        }
    }
}

/// Where a container's log is; `None` where its driver keeps none that can be read.
pub(crate) fn path(engine: &Engine, container: &Container) -> Option<PathBuf> {
    let log = &container.spec().log;
    match log.driver {
        LogDriver::K8sFile | LogDriver::JsonFile => {
            let own = || match &log.directory {
                Some(directory) => directory.join(container.id()),
                None => engine.container_dir(container.id()),
            };
            Some(log.path.clone().unwrap_or_else(|| own().join("ctr.log")))
        }
        LogDriver::Journald | LogDriver::None | LogDriver::Passthrough | LogDriver::PassthroughTty => None,
    }
}

/// A reader of one container's log.
struct Follower {
    container: Container,
    path: PathBuf,
    /// The file being read; `None` before there is one.
    file: Option<File>,
    /// The part of a line that has been read.
    rest: Vec<u8>,
    /// Watches the directories of the log and of the container.
    notice: OwnedFd,
    /// The monitor, or the container's process without one: its end is no change in a directory.
    process: Option<Pidfd>,
    done: bool,
}

impl Follower {
    fn open(engine: &Engine, container: &Container, query: &LogQuery) -> Result<Follower> {
        let Some(path) = path(engine, container) else {
            let driver = match container.spec().log.driver {
                LogDriver::None => "none",
                LogDriver::Journald => "journald",
                LogDriver::Passthrough => "passthrough",
                LogDriver::PassthroughTty => "passthrough-tty",
                LogDriver::K8sFile | LogDriver::JsonFile => "k8s-file",
            };
            return Err(Error::Invalid(format!(
                "this container is using the '{driver}' log driver, cannot read logs: this container is not logging output"
            )));
        };
        let notice = watch(engine, container, &path, query.follow)?;
        let (container, done) = (container.clone(), !query.follow);
        Ok(Follower { container, path, file: None, rest: Vec::new(), notice, process: None, done })
    }

    /// What is there now: the rotated files, oldest first, then the current one.
    fn read(&mut self, query: &LogQuery, sink: &mut dyn FnMut(LogLine) -> Result<()>) -> Result<()> {
        let mut files = open_all(&self.path)?;
        if let Some(tail) = query.tail {
            seek_to_tail(&mut files, tail).map_err(Error::io(&self.path))?;
        }
        while let Some(file) = files.pop_front() {
            self.file = Some(file);
            self.drain(query, sink)?;
        }
        Ok(())
    }

    /// What has come since, also in files that have been begun since, and whether it is over.
    fn advance(
        &mut self,
        engine: &Engine,
        query: &LogQuery,
        sink: &mut dyn FnMut(LogLine) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = [0u8; 4096];
        while rustix::io::read(&self.notice, &mut buffer).is_ok_and(|length| length > 0) {}
        // The state before the log: what was written before the end is read after it.
        let now = list::read(engine, self.container.id())?;
        self.drain(query, sink)?;
        for newer in self.newer()? {
            self.file = Some(newer);
            self.drain(query, sink)?;
        }
        self.process = now.as_ref().and_then(process_of);
        self.done = self.process.is_none();
        Ok(())
    }

    /// The files begun after the one being read, oldest first.
    fn newer(&self) -> Result<VecDeque<File>> {
        let mut files = open_all(&self.path)?;
        let Some(current) = &self.file else { return Ok(files) };
        let identity = |file: &File| file.metadata().map(|stat| (stat.dev(), stat.ino())).ok();
        let ours = identity(current);
        if let Some(at) = files.iter().position(|file| identity(file) == ours) {
            files.drain(..=at);
        }
        Ok(files)
    }

    fn drain(&mut self, query: &LogQuery, sink: &mut dyn FnMut(LogLine) -> Result<()>) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Io { path: self.path.clone(), source: error }),
            };
            for piece in buffer[..length].split_inclusive(|byte| *byte == b'\n') {
                if piece.last() != Some(&b'\n') {
                    self.rest.extend_from_slice(piece);
                } else if self.rest.is_empty() {
                    offer(piece, query, sink)?;
                } else {
                    self.rest.extend_from_slice(piece);
                    let line = std::mem::take(&mut self.rest);
                    offer(&line, query, sink)?;
                }
            }
        }
    }
}

fn offer(line: &[u8], query: &LogQuery, sink: &mut dyn FnMut(LogLine) -> Result<()>) -> Result<()> {
    // A line that is none was cut by a crash.
    let Some(line) = parse(line) else { return Ok(()) };
    let wanted =
        query.since.is_none_or(|since| line.time >= since) && query.until.is_none_or(|until| line.time <= until);
    if wanted { sink(line) } else { Ok(()) }
}

/// `TIME stdout|stderr F|P TEXT`.
fn parse(line: &[u8]) -> Option<LogLine> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let stream = match words.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let partial = match words.next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    Some(LogLine { time, stream, partial, bytes: words.next().unwrap_or_default().to_vec() })
}

/// `LOG.N` ... `LOG.1`, `LOG`, those that exist. A rotation while they are opened may show one twice: it is dropped.
fn open_all(path: &Path) -> Result<VecDeque<File>> {
    let mut files: VecDeque<(u64, File)> = VecDeque::new();
    let mut number = 0u32;
    loop {
        let name = if number == 0 { path.to_owned() } else { PathBuf::from(format!("{}.{number}", path.display())) };
        match File::open(&name) {
            Ok(file) => {
                let inode = file.metadata().map_err(Error::io(&name))?.ino();
                if files.iter().all(|(other, _)| *other != inode) {
                    files.push_front((inode, file));
                }
            }
            // There is no log before the first start, and none for a moment within a rotation.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(Error::Io { path: name, source: error }),
        }
        number += 1;
    }
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// Leaves of the files only the last `tail` lines, by seeking; parts of a line count with its end.
fn seek_to_tail(files: &mut VecDeque<File>, tail: u64) -> io::Result<()> {
    let mut left = tail;
    let mut at = files.len();
    while at > 0 && left > 0 {
        at -= 1;
        left -= seek_back(&mut files[at], left)?;
    }
    if tail == 0 {
        // Only what comes from now on: the end of the newest file.
        if let Some(newest) = files.back_mut() {
            newest.seek(SeekFrom::End(0))?;
        }
        at = files.len().saturating_sub(1);
    }
    files.drain(..at);
    Ok(())
}

/// Seeks to the beginning of the last `lines` lines and says how many there are, at most `lines`.
fn seek_back(file: &mut File, lines: u64) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut size = 64 * 1024;
    loop {
        let start = length.saturating_sub(size);
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        file.take(length - start).read_to_end(&mut block)?;
        // A block in the middle begins with the end of some line.
        let skip =
            if start == 0 { 0 } else { block.iter().position(|byte| *byte == b'\n').map_or(block.len(), |at| at + 1) };
        let (offset, found) = tail_of(&block[skip..], lines);
        if found == lines || start == 0 {
            file.seek(SeekFrom::Start(start + (skip + offset) as u64))?;
            return Ok(found);
        }
        size *= 4;
    }
}

/// Where the last `wanted` lines of a text begin, and how many of them there are. One more line must be seen before
/// them, because the parts of a line stand before its end.
fn tail_of(text: &[u8], wanted: u64) -> (usize, u64) {
    let mut end = text.len();
    let mut found = 0;
    while end > 0 {
        let start = text[..end - 1].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let partial = text[start..end].splitn(4, |byte| *byte == b' ').nth(2) == Some(b"P");
        if !partial {
            if found == wanted {
                return (end, found);
            }
            found += 1;
        } else if end == text.len() {
            // The newest line has no end yet.
            found += 1;
        }
        end = start;
    }
    (0, found)
}

/// Without following the descriptor is never polled.
fn watch(engine: &Engine, container: &Container, log: &Path, follow: bool) -> Result<OwnedFd> {
    match try_watch(engine, container, log, follow) {
        Err(error) if sys::notice::is_used_up(error) => sys::notice::clock(LOOK_AGAIN).map_err(Error::io(log)),
        watched => watched.map_err(|error| Error::Io { path: log.to_owned(), source: error.into() }),
    }
}

fn try_watch(engine: &Engine, container: &Container, log: &Path, follow: bool) -> rustix::io::Result<OwnedFd> {
    let notice = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    if follow {
        let events = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR;
        for dir in [log.parent(), Some(engine.container_dir(container.id()).as_path())].into_iter().flatten() {
            match inotify::add_watch(notice.as_fd(), dir, events) {
                Ok(_) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &[u8] = b"2026-01-02T03:04:05.000000001Z stdout F one\n\
        2026-01-02T03:04:05.000000002Z stdout P tw\n\
        2026-01-02T03:04:05.000000003Z stdout F o\n\
        2026-01-02T03:04:05.000000004+00:00 stderr F  three\n";

    fn tail(wanted: u64) -> (String, u64) {
        let (offset, found) = tail_of(LOG, wanted);
        let lines: Vec<String> = LOG[offset..]
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| String::from_utf8(parse(line).unwrap().bytes).unwrap())
            .collect();
        (lines.join("|"), found)
    }

    #[test]
    fn lines_are_read() {
        let lines: Vec<LogLine> = LOG.split_inclusive(|byte| *byte == b'\n').map(|line| parse(line).unwrap()).collect();
        assert_eq!(lines.iter().map(|line| line.partial).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(lines[3].stream, LogStream::Stderr);
        assert_eq!(lines[3].bytes, b" three");
        assert_eq!(lines[3].time.subsec_nanosecond(), 4);
        for bad in
            [&b"nonsense\n"[..], b"2026-01-02T03:04:05Z stdin F x\n", b"2026-01-02T03:04:05Z stdout X x\n", b"\n"]
        {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn the_tail_counts_a_line_with_its_parts() {
        assert_eq!(tail(1), (" three".into(), 1));
        assert_eq!(tail(2), ("tw|o| three".into(), 2));
        assert_eq!(tail(3), ("one|tw|o| three".into(), 3));
        assert_eq!(tail(9), ("one|tw|o| three".into(), 3));
    }

    #[test]
    fn the_tail_reaches_into_rotated_files() {
        let dir = std::env::temp_dir().join(format!("creel-logs-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("ctr.log");
        let line = |number: u32| format!("2026-01-02T03:04:05.{number:09}Z stdout F {number}\n");
        std::fs::write(dir.join("ctr.log.2"), line(1) + &line(2)).unwrap();
        std::fs::write(dir.join("ctr.log.1"), line(3)).unwrap();
        std::fs::write(&path, (4..6000).map(line).collect::<String>()).unwrap();
        for (wanted, first) in [(1, 5999), (5000, 1000), (5996, 4), (5997, 3), (5998, 2), (9999, 1)] {
            let mut files = open_all(&path).unwrap();
            seek_to_tail(&mut files, wanted).unwrap();
            let mut text = String::new();
            for mut file in files {
                file.read_to_string(&mut text).unwrap();
            }
            assert_eq!(text, (first..6000).map(line).collect::<String>(), "{wanted}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
