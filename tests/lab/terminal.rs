//! A command on a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::pty::{OpenptyResult, openpty};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcgetwinsize, tcsetwinsize};

use super::command::comes_true;

/// The master side of a terminal on which a command runs, with all it has shown so far.
pub(crate) struct Terminal {
    line: String,
    child: Child,
    master: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of `shown` has been expected already.
    seen: usize,
    first_settings: LocalModes,
}

impl Terminal {
    /// `command` must be a `setsid --ctty`, which makes the slave the controlling terminal without code between fork
    /// and exec.
    pub(super) fn start(mut command: Command, line: String, rows: u16, columns: u16) -> Terminal {
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let first_settings = tcgetattr(&slave).unwrap().local_modes;
        command
            .stdin(Stdio::from(slave.try_clone().unwrap()))
            .stdout(Stdio::from(slave.try_clone().unwrap()))
            .stderr(Stdio::from(slave));
        let child = command.spawn().unwrap();
        drop(command);
        let master = File::from(master);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, sink) = (master.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO is how a master learns that the last slave is closed.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Terminal { line, child, master, shown, seen: 0, first_settings }
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Presses keys one after another, as fingers do.
    pub(crate) fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.type_in(&key.to_string());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the text is shown, after what was expected before; returns what came up to its end.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let mut found = None;
        comes_true(Duration::from_secs(30), || {
            let shown = self.shown.lock().unwrap();
            found = shown[self.seen..].windows(text.len()).position(|window| window == text.as_bytes());
            found.is_some()
        });
        let shown = self.shown.lock().unwrap();
        let rest = &shown[self.seen..];
        let Some(at) = found else {
            panic!("{}: `{text}` not shown within 30 s, but: {:?}", self.line, String::from_utf8_lossy(rest))
        };
        let upto = at + text.len();
        let text = String::from_utf8_lossy(&rest[..upto]).into_owned();
        self.seen += upto;
        text
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        assert_eq!(tcgetwinsize(&self.master).unwrap().ws_row, rows);
    }

    /// The settings it had before the command began.
    pub(crate) fn first_settings(&self) -> LocalModes {
        self.first_settings
    }

    /// Whether it echoes, collects lines and so on.
    pub(crate) fn settings(&self) -> LocalModes {
        tcgetattr(&self.master).unwrap().local_modes
    }

    /// Waits for the command's end; its exit code.
    #[track_caller]
    pub(crate) fn end(self) -> i32 {
        self.end_with_settings().0
    }

    /// Waits for the command's end; its exit code, and the settings it leaves.
    #[track_caller]
    pub(crate) fn end_with_settings(mut self) -> (i32, LocalModes) {
        let mut status = None;
        comes_true(Duration::from_secs(30), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let Some(status) = status else {
            let shown = self.shown.lock().unwrap();
            panic!("{}: still runs after 30 s; shown: {:?}", self.line, String::from_utf8_lossy(&shown))
        };
        (status.code().unwrap_or_else(|| 128 + status.signal().unwrap()), self.settings())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
