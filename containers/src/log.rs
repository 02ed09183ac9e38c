//! The writing side of a container's log: the CRI line format that `k8s-file` (and its alias `json-file`) has.
//!
//! A line is `TIME stdout|stderr F|P TEXT`: `P` marks a part of a line that was cut at the read size, `F` its end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Which of the container's outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

/// An open log, rotated by size.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: Option<u64>,
    max_files: u32,
    buffer: Vec<u8>,
    /// The last line of each output is not finished yet.
    open_line: [bool; 2],
}

impl LogFile {
    /// Opens (or makes, mode 0600) the log for appending. `max_size` in bytes; `max_files` counts the rotated ones.
    pub(crate) fn open(path: &Path, max_size: Option<u64>, max_files: u32) -> io::Result<LogFile> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        let path = path.to_owned();
        Ok(LogFile { path, file, size, max_size, max_files, buffer: Vec::new(), open_line: [false; 2] })
    }

    /// Appends what came from one output, at one time.
    pub(crate) fn append(&mut self, output: Output, bytes: &[u8], now: Timestamp) -> io::Result<()> {
        self.buffer.clear();
        format_lines(&mut self.buffer, output, bytes, now);
        self.open_line[output as usize] = bytes.last().is_some_and(|byte| *byte != b'\n');
        self.write_buffer()
    }

    /// Ends lines that the container never ended.
    pub(crate) fn finish(&mut self, now: Timestamp) -> io::Result<()> {
        for output in [Output::Stdout, Output::Stderr] {
            if std::mem::take(&mut self.open_line[output as usize]) {
                self.buffer.clear();
                line(&mut self.buffer, output, b"", b'F', now);
                self.write_buffer()?;
            }
        }
        Ok(())
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        let length = self.buffer.len() as u64;
        if self.max_size.is_some_and(|max| self.size > 0 && self.size + length > max) {
            self.rotate()?;
        }
        self.file.write_all(&self.buffer)?;
        self.size += length;
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
    fn an_unfinished_line_is_finished_at_the_end() {
        let path = std::env::temp_dir().join(format!("creel-log-end-{}", std::process::id()));
        let mut log = LogFile::open(&path, None, 0).unwrap();
        log.append(Output::Stdout, b"no newline", at()).unwrap();
        log.finish(at()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        std::fs::remove_file(path).unwrap();
    }
}
