//! How the way of an image is shown, always on stderr.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};

/// What the user sees while an image moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// Nothing but errors.
    Quiet,
    /// One line per step.
    #[default]
    Lines,
    /// A bar per layer; for a terminal.
    Bars,
}

impl Progress {
    /// Bars where stderr is a terminal, else lines.
    pub fn detect() -> Progress {
        match std::io::stderr().is_terminal() {
            true => Progress::Bars,
            false => Progress::Lines,
        }
    }
}
