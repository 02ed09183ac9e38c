//! How the way of an image is shown, always on stderr.

use std::io::{IsTerminal, Write};

use serde::{Deserialize, Serialize};
use sys::printable::printable;

use crate::wire::{self, Event};

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

/// Where the steps of one copy are shown. May be used from several threads.
pub(crate) struct Report {
    to: To,
}

enum To {
    Nobody,
    Stderr,
    Bars(indicatif::MultiProgress),
    /// The parent of a worker.
    Events,
}

impl Report {
    pub(crate) fn new(progress: Progress) -> Report {
        let to = match progress {
            Progress::Quiet => To::Nobody,
            Progress::Lines => To::Stderr,
            Progress::Bars => To::Bars(indicatif::MultiProgress::new()),
        };
        Report { to }
    }

    /// For what runs inside the pull worker.
    pub(crate) fn events() -> Report {
        Report { to: To::Events }
    }

    /// One step, on a line of its own.
    pub(crate) fn line(&self, text: &str) {
        // Nobody may be listening; that is no reason to stop.
        match &self.to {
            To::Nobody => {}
            To::Stderr => drop(writeln!(std::io::stderr(), "{text}")),
            To::Bars(bars) => drop(bars.println(printable(text))),
            To::Events => wire::send(&Event::Line(text.to_owned())),
        }
    }

    /// Something the user should know even when quiet.
    pub(crate) fn warn(&self, text: &str) {
        match &self.to {
            To::Nobody | To::Stderr => drop(writeln!(std::io::stderr(), "{text}")),
            To::Bars(bars) => drop(bars.println(printable(text))),
            To::Events => wire::send(&Event::Warning(text.to_owned())),
        }
    }

    /// A bar for one blob, where there are bars.
    pub(crate) fn bar(&self, digest: &str, total: u64) -> Option<indicatif::ProgressBar> {
        const TEMPLATE: &str = "Copying blob {prefix} [{bar:38}] {bytes} / {total_bytes} | {bytes_per_sec}";
        let To::Bars(bars) = &self.to else { return None };
        let style = indicatif::ProgressStyle::with_template(TEMPLATE).ok()?.progress_chars("=> ");
        let bar = bars.add(indicatif::ProgressBar::new(total).with_style(style));
        let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
        bar.set_prefix(hex.get(..12).unwrap_or(hex).to_owned());
        Some(bar)
    }
}
