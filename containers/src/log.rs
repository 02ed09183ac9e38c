//! The writing side of a container's log: the CRI line format that `k8s-file` (and its alias `json-file`) has.
//!
//! A line is `TIME stdout|stderr F|P TEXT`: `P` marks a part of a line that was cut at the read size, `F` its end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::journal::Journal;

/// Which of the container's outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// Where a container's output goes to be kept.
pub(crate) enum Log {
    File(LogFile),
    Journal(Journal),
}

impl Log {
    /// Appends what came from one output, at one time.
    pub(crate) fn append(&mut self, output: Output, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        match self {
            Log::File(file) => file.append(output, bytes, now),
            Log::Journal(journal) => journal.append(output, bytes),
        }
    }
}

/// An open log, rotated by size.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: Option<u64>,
    max_files: u32,
    buffer: Vec<u8>,
}

impl LogFile {
    /// Opens (or makes, mode 0600) the log for appending. `max_size` in bytes; `max_files` counts the rotated ones.
    pub(crate) fn open(path: &Path, max_size: Option<u64>, max_files: u32) -> io::Result<LogFile> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        let path = path.to_owned();
        Ok(LogFile { path, file, size, max_size, max_files, buffer: Vec::new() })
    }

    /// Appends what came from one output, at one time.
    pub(crate) fn append(&mut self, output: Output, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        self.buffer.clear();
        format_lines(&mut self.buffer, output, bytes, now);
        self.write_buffer()
    }

    /// As many lines at once as fit below the limit; one that is longer has a file for itself.
    fn write_buffer(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            let room = self.max_size.map_or(u64::MAX, |max| max.saturating_sub(self.size));
            let fits = end_of_lines(rest, usize::try_from(room).unwrap_or(usize::MAX));
            if fits == 0 && self.size > 0 {
                self.rotate()?;
                continue;
            }
            let (now, later) = rest.split_at(if fits == 0 { first_line(rest) } else { fits });
            self.file.write_all(now)?;
            self.size += now.len() as u64;
            rest = later;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// `LOG` becomes `LOG.1`, `LOG.1` becomes `LOG.2`, and so on; without rotated files it starts anew.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        if self.max_files == 0 {
            // A reader holds the old file and sees its end; nothing is truncated under it.
            std::fs::remove_file(&self.path)?;
        } else {
            for number in (1..self.max_files).rev() {
                match std::fs::rename(numbered(number), numbered(number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            std::fs::rename(&self.path, numbered(1))?;
        }
        self.file = open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

/// The length of the whole lines in the first `room` bytes.
fn end_of_lines(text: &[u8], room: usize) -> usize {
    if room >= text.len() {
        return text.len();
    }
    text[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

fn first_line(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1)
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn format_lines(buffer: &mut Vec<u8>, output: Output, bytes: &[u8], now: Timestamp) {
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        match part.split_last() {
            Some((b'\n', text)) => line(buffer, output, text, b'F', now),
            _ => line(buffer, output, part, b'P', now),
        }
    }
}

fn line(buffer: &mut Vec<u8>, output: Output, text: &[u8], mark: u8, now: Timestamp) {
    let name = match output {
        Output::Stdout => "stdout",
        Output::Stderr => "stderr",
    };
    // Nanoseconds in full, so that lines sort as text. Writing to a Vec does not fail.
    let _ = write!(buffer, "{now:.9} {name} {} ", char::from(mark));
    buffer.extend_from_slice(text);
    buffer.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        Timestamp::new(1_700_000_000, 5).unwrap()
    }

    #[test]
    fn lines_are_full_or_partial() {
        let mut buffer = Vec::new();
        format_lines(&mut buffer, Output::Stdout, b"one\ntwo", at());
        let text = String::from_utf8(buffer).unwrap();
        let time = "2023-11-14T22:13:20.000000005Z";
        assert_eq!(text, format!("{time} stdout F one\n{time} stdout P two\n"));
    }

    #[test]
    fn rotation_keeps_as_many_files_as_asked() {
        let dir = std::env::temp_dir().join(format!("creel-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("ctr.log");
        let mut log = LogFile::open(&path, Some(100), 2).unwrap();
        for number in 0..10 {
            log.append(Output::Stderr, format!("line {number}\n").as_bytes(), at()).unwrap();
        }
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("line 9\n"));
        assert!(dir.join("ctr.log.1").exists());
        assert!(dir.join("ctr.log.2").exists());
        assert!(!dir.join("ctr.log.3").exists());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn no_file_is_larger_than_the_limit_unless_one_line_is() {
        let dir = std::env::temp_dir().join(format!("creel-log-limit-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("ctr.log");
        let mut log = LogFile::open(&path, Some(200), 100).unwrap();
        let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
        log.append(Output::Stdout, text.as_bytes(), at()).unwrap();
        log.append(Output::Stdout, &[b'x'; 300], at()).unwrap();
        let sizes: Vec<u64> =
            std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.len() > 20);
        assert_eq!(sizes.iter().filter(|size| **size > 200).count(), 1);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
