//! The only place that writes to the terminal.

use std::borrow::Cow;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use sys::printable::printable;

use crate::error::Failure;
use crate::style::Style;

/// Writes to standard output. A terminal obeys none of the control characters that are in the text.
pub fn print(text: &str) -> Result<(), Failure> {
    match stdout_is_terminal() {
        true => painted(&printable(text)),
        false => painted(text),
    }
}

/// Writes to standard output what has colours of our own, or moves the cursor. A reader that went away is no error: what
/// it wanted, it has.
pub fn painted(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::from)
}

/// Whether a [`Stream`] has found its reader gone.
static READER_IS_GONE: AtomicBool = AtomicBool::new(false);

/// Standard output for an archive. A reader that went away ends the command, but is nobody's fault: whatever error the
/// writer makes of it, nothing is said.
pub struct Stream(io::StdoutLock<'static>);

impl Stream {
    pub fn new() -> Stream {
        Stream(io::stdout().lock())
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).inspect_err(note_reader)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().inspect_err(note_reader)
    }
}

fn note_reader(error: &io::Error) {
    if error.kind() == io::ErrorKind::BrokenPipe {
        READER_IS_GONE.store(true, Ordering::Relaxed);
    }
}

pub fn reader_is_gone() -> bool {
    READER_IS_GONE.load(Ordering::Relaxed)
}

/// One line on standard output.
pub fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    print(&format!("{text}\n"))
}

/// One line on standard error, for what the user should know though creel goes on.
pub fn warn(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let word = crate::style::stderr().paint(Style::Yellow, "Warning:");
    let _ = io::stderr().write_all(format!("{word} {}\n", for_stderr(text)).as_bytes());
}

/// One line on standard error: progress, notices.
pub fn note(text: &str) {
    let _ = io::stderr().write_all(format!("{}\n", for_stderr(text)).as_bytes());
}

/// As [`print`] does, for standard error.
pub fn for_stderr(text: &str) -> Cow<'_, str> {
    match stderr_is_terminal() {
        true => printable(text),
        false => Cow::Borrowed(text),
    }
}

/// Text on standard error, without an end of its line.
pub fn error_text(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Asks a yes-or-no question after a warning; everything but `y` and `Y` is no.
pub fn confirm(warning: &str) -> Result<bool, Failure> {
    print(&format!("{warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    if io::stdin().lock().read_line(&mut answer)? == 0 {
        return Err(Failure::plain("EOF"));
    }
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Whether one of the standard streams is a terminal.
pub fn has_a_terminal() -> bool {
    stdin_is_terminal() || stdout_is_terminal() || stderr_is_terminal()
}

pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// How long the lines of a table may be: as wide as the terminal that standard output is. Not limited for other readers,
/// and not where the caller asks for all of it (`--no-trunc`) or says with `--format` what is to be shown.
pub fn room(no_trunc: bool, format: Option<&str>) -> Option<usize> {
    let is_usual = format.is_none_or(|format| format == "table");
    (!no_trunc && is_usual && stdout_is_terminal()).then(width)
}

/// Columns of the terminal that standard output is, else what `COLUMNS` says, else 80.
pub fn width() -> usize {
    let of_terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let said = || crate::caller::variable("COLUMNS").and_then(|columns| columns.parse().ok());
    of_terminal.filter(|columns| *columns > 0).or_else(said).unwrap_or(80)
}
