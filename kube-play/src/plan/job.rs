//! Jobs and CronJobs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Meta, PodTemplate};
use crate::schedule::Schedule;

pub use crate::model::job::{ConcurrencyPolicy, FailureAction};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPlan {
    pub meta: Meta,
    pub run: JobRun,
}

/// What a Job does; a CronJob starts it again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRun {
    pub template: PodTemplate,
    /// `None`: any one success ends it (a work queue).
    pub completions: Option<u32>,
    pub parallelism: u32,
    /// Failures after which it has failed.
    pub backoff_limit: u32,
    /// Seconds.
    pub active_deadline: Option<u32>,
    /// Seconds after its end at which it is removed.
    pub ttl: Option<u32>,
    pub suspend: bool,
    /// Each pod has an index from 0 and `JOB_COMPLETION_INDEX`; every index must succeed.
    pub indexed: bool,
    pub failure_rules: Vec<FailureRule>,
    /// Failures after which an index has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_limit_per_index: Option<u32>,
    /// Failed indexes beyond which the Job has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failed_indexes: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_rules: Vec<SuccessRule>,
}

/// Which indexes are enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessRule {
    /// `None`: all.
    pub indexes: Option<Indexes>,
    /// How many of them; `None`: all.
    pub count: Option<u32>,
}

/// Indexes of a Job, written as Kubernetes writes them: `0,2-5`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Indexes(Vec<(u32, u32)>);

impl Indexes {
    /// They rise, and are below `completions`.
    pub fn parse(text: &str, completions: u32) -> Result<Indexes, String> {
        let wrong = || format!("must be rising numbers and ranges below {completions} as \"0,2-5\", and is {text:?}");
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.parse::<u32>().ok().filter(|_| !text.starts_with('+'));
            let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
            let rises = ranges.last().is_none_or(|(_, before)| *before < first);
            if !rises || last < first || last >= completions {
                return Err(wrong());
            }
            ranges.push((first, last));
        }
        Ok(Indexes(ranges))
    }

    pub fn contains(&self, index: u32) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&index))
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }
}

impl FromIterator<u32> for Indexes {
    /// From numbers that rise.
    fn from_iter<T: IntoIterator<Item = u32>>(numbers: T) -> Indexes {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if number == *last + 1 => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        Indexes(ranges)
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                // Two are no range to Kubernetes.
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// What a failed pod means, by a container's exit code. The first rule that fits decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRule {
    pub action: FailureAction,
    /// `None`: any container.
    pub container: Option<String>,
    pub codes: Vec<i32>,
    /// The codes are those that do not fit.
    pub inverted: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CronJobPlan {
    pub meta: Meta,
    pub schedule: Schedule,
    pub concurrency: ConcurrencyPolicy,
    pub suspend: bool,
    /// Seconds by which a start may be late.
    pub starting_deadline: Option<u32>,
    pub successful_limit: u32,
    pub failed_limit: u32,
    pub labels: std::collections::BTreeMap<String, String>,
    pub annotations: std::collections::BTreeMap<String, String>,
    pub run: JobRun,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_read_and_written() {
        for (text, numbers) in [("0", vec![0]), ("0,2-4", vec![0, 2, 3, 4]), ("1-3,5,7-9", vec![1, 2, 3, 5, 7, 8, 9])] {
            let indexes = Indexes::parse(text, 10).expect(text);
            assert_eq!((indexes.count() as usize, indexes.to_string()), (numbers.len(), text.to_owned()));
            assert!((0..10).all(|index| indexes.contains(index) == numbers.contains(&index)), "{text}");
            assert_eq!(numbers.into_iter().collect::<Indexes>(), indexes);
        }
        assert_eq!([0, 1, 3].into_iter().collect::<Indexes>().to_string(), "0,1,3");
        for text in ["", "a", "1-", "2-1", "3,2", "1,1", "0-10", "10", "+1", "1,,2"] {
            assert!(Indexes::parse(text, 10).is_err(), "{text}");
        }
    }
}
