//! What of the machine creel needs, each tried by doing it: the ladder that a first `run` climbs, rung by rung.
//!
//! `creel doctor` shows all of it; a command that ends early because of the machine shows the two lines of the first rung
//! that does not hold. Nothing here is remembered: an answer of yesterday is what the user came here to doubt.

mod inside;
mod machine;
mod places;
mod programs;
mod users;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Failure, Suspect};
use crate::output;

/// Whether a rung holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Good,
    /// Containers run, but without something.
    Weak,
    /// No container runs, or no image comes.
    Broken,
    /// It cannot be tried while a rung below is broken.
    Unknown,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    pub name: String,
    pub verdict: Verdict,
    /// One line: what there is, or what is wrong.
    pub found: String,
    /// The command, line or package that mends it.
    pub cure: Option<String>,
}

impl Rung {
    fn new(name: &str, verdict: Verdict, found: impl Into<String>, cure: Option<String>) -> Rung {
        // What libraries say may have several lines; a rung has one.
        let found = found.into().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        Rung { name: name.to_owned(), verdict, found, cure }
    }

    fn good(name: &str, found: impl Into<String>) -> Rung {
        Rung::new(name, Verdict::Good, found, None)
    }

    fn weak(name: &str, found: impl Into<String>, cure: impl Into<String>) -> Rung {
        Rung::new(name, Verdict::Weak, found, Some(cure.into()))
    }

    fn broken(name: &str, found: impl Into<String>, cure: impl Into<String>) -> Rung {
        Rung::new(name, Verdict::Broken, found, Some(cure.into()))
    }

    fn unknown(name: &str, below: &str) -> Rung {
        Rung::new(name, Verdict::Unknown, format!("needs: {below}"), None)
    }

    /// As the end of a command says it.
    pub fn failure(&self) -> Failure {
        let failure = Failure::plain(format!("{}: {}", self.name, self.found));
        match &self.cure {
            Some(cure) => failure.hint(cure),
            None => failure,
        }
    }

    /// For a rung that is only weak.
    pub fn warn(&self) {
        output::warn(&format!("{}: {}", self.name, self.found));
        if let Some(cure) = &self.cure {
            output::note(&format!("hint: {cure}"));
        }
    }
}

/// Tries everything, lowest rung first.
pub fn examine(context: &Context) -> Vec<Rung> {
    let skopeo = programs::start_skopeo();
    let mut rungs = places::configuration(context);
    let store = places::store(context, &mut rungs);
    rungs.push(places::runtime_dir());
    users::climb(context, store.as_ref(), &mut rungs);
    rungs.push(inside::cgroup(context));
    rungs.push(programs::skopeo(skopeo));
    rungs.extend(programs::image_settings());
    rungs
}

/// The rung that is to be mended first.
pub fn first_fault(rungs: &[Rung]) -> Option<&Rung> {
    let first = |verdict| rungs.iter().find(|rung| rung.verdict == verdict);
    first(Verdict::Broken).or_else(|| first(Verdict::Weak))
}

/// A failure that the machine may be to blame for, in the doctor's words if it is.
pub fn explain(context: &Context, failure: Failure) -> Failure {
    let Some(suspect) = failure.suspected() else { return failure };
    let rungs = match suspect {
        // It was not entered, so everything can be tried as at first.
        Suspect::UserNamespace if !crate::caller::has_entered() => examine(context),
        Suspect::UserNamespace | Suspect::Store => {
            let mut rungs = places::configuration(context);
            places::store(context, &mut rungs);
            rungs
        }
        Suspect::RootFileSystem => inside::root_file_system(places::store(context, &mut Vec::new()).as_ref()),
        Suspect::Network => inside::networks(context),
        Suspect::Skopeo => vec![programs::skopeo(programs::start_skopeo())],
    };
    match rungs.iter().find(|rung| rung.verdict == Verdict::Broken) {
        Some(rung) => rung.failure().code(failure.exit_code()),
        None => failure,
    }
}

/// The warning of a command that goes on with one user id only.
pub fn warn_of_single_id() -> bool {
    match users::sub_ids().into_iter().find(|rung| rung.verdict != Verdict::Good) {
        Some(rung) => {
            rung.warn();
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_comes_before_what_is_weak() {
        let rungs = [
            Rung::good("a", ""),
            Rung::weak("b", "", ""),
            Rung::unknown("c", "d"),
            Rung::broken("d", "", ""),
            Rung::broken("e", "", ""),
        ];
        assert_eq!(first_fault(&rungs).map(|rung| rung.name.as_str()), Some("d"));
        assert_eq!(first_fault(&rungs[..3]).map(|rung| rung.name.as_str()), Some("b"));
        assert_eq!(first_fault(&rungs[..1]), None);
    }
}
