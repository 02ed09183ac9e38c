//! The pull worker.

use std::process::ExitCode;

/// The hidden command `__pull`: JSON request on standard input, JSON lines on standard output.
pub fn pull_worker() -> ExitCode {
    ExitCode::FAILURE
}
