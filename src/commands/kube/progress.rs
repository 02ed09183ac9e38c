//! One line on a terminal that says what a play waits for, written anew as that changes and gone at the end.

use std::cell::Cell;

use kube_play::ObjectId;

use crate::output;

pub(super) struct Progress {
    /// Nothing is shown elsewhere: a log is no place for what is true for a moment.
    is_wanted: bool,
    is_shown: Cell<bool>,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Progress {
        Progress { is_wanted: !quiet && output::stderr_is_terminal(), is_shown: Cell::new(false) }
    }

    pub(super) fn show(&self, underway: &[(ObjectId, String)]) {
        if self.is_wanted {
            self.clear();
            if !underway.is_empty() {
                output::error_text(&line(underway, output::width()));
                self.is_shown.set(true);
            }
        }
    }

    fn clear(&self) {
        if self.is_shown.replace(false) {
            output::error_text("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// As many of them as the terminal is wide for: a line that is broken cannot be taken back.
fn line(underway: &[(ObjectId, String)], width: usize) -> String {
    let all: Vec<String> = underway.iter().map(|(id, why)| format!("{id}: {why}")).collect();
    let text = format!("Waiting for {}", all.join("; "));
    match text.chars().count() < width {
        true => text,
        false => text.chars().take(width.saturating_sub(2)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use kube_play::Kind;

    use super::*;

    #[test]
    fn a_line_never_fills_the_terminal() {
        let one = (ObjectId::new(Kind::Deployment, "default", "site"), "0 of 2 new pods are ready".to_owned());
        assert_eq!(line(std::slice::from_ref(&one), 80), "Waiting for Deployment/site: 0 of 2 new pods are ready");
        let cut = line(&[one.clone(), one], 30);
        assert!(cut.chars().count() < 30 && cut.ends_with('…'), "{cut}");
    }
}
