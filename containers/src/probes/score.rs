//! Pure: results of one probe in a row become a verdict.

use super::Probe;

#[derive(Debug, Default)]
pub(super) struct Score {
    successes: u32,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Undecided,
    Succeeded,
    Failed,
}

impl Score {
    pub(super) fn add(&mut self, probe: &Probe, succeeded: bool) -> Verdict {
        let (count, other, threshold, verdict) = match succeeded {
            true => (&mut self.successes, &mut self.failures, probe.success_threshold, Verdict::Succeeded),
            false => (&mut self.failures, &mut self.successes, probe.failure_threshold, Verdict::Failed),
        };
        *other = 0;
        *count = count.saturating_add(1);
        if *count >= threshold.max(1) { verdict } else { Verdict::Undecided }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_results_in_a_row_count() {
        let probe = Probe { success_threshold: 2, failure_threshold: 3, ..Probe::default() };
        let mut score = Score::default();
        let results = [false, false, true, false, false, false, true, true, false];
        let verdicts: Vec<Verdict> = results.iter().map(|result| score.add(&probe, *result)).collect();
        use Verdict::{Failed, Succeeded, Undecided};
        let expected = [Undecided, Undecided, Undecided, Undecided, Undecided, Failed, Undecided, Succeeded, Undecided];
        assert_eq!(verdicts, expected);
    }
}
