//! Which containers a command is about: names, `--all`, `--latest`, `--cidfile`, `--filter`.

use std::path::PathBuf;

use containers::{Container, Engine};

use crate::error::{ExitCode, Failure};
use crate::filters::Filters;
use crate::output;

/// What the user said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    pub names: &'a [String],
    pub all: bool,
    pub latest: bool,
    pub cidfiles: &'a [PathBuf],
    pub filters: &'a [String],
    /// What does not exist is no error.
    pub ignore: bool,
    /// How the command ends for a name that leads to no container; as for other failures where `None`.
    pub missing: Option<ExitCode>,
}

/// One container and how to name it in the answer: as typed, or by its id.
pub struct Chosen {
    pub label: String,
    pub container: Container,
}

impl Selection<'_> {
    /// The containers, and an error for each name that leads to none.
    pub fn choose(&self, engine: &Engine) -> Result<(Vec<Chosen>, Vec<Failure>), Failure> {
        self.check()?;
        let by_id = |container: Container| Chosen { label: container.id().to_string(), container };
        if self.latest {
            return Ok((vec![by_id(latest(engine)?)], Vec::new()));
        }
        if self.all || !self.filters.is_empty() {
            let filters = Filters::parse(engine, self.filters)?;
            let mut containers = containers::list(engine)?;
            containers.retain(|container| filters.pass(container));
            if !self.names.is_empty() {
                // `start --filter` takes those of the named ones that match.
                let named: Vec<_> = self
                    .names
                    .iter()
                    .map(|name| Ok(containers::find(engine, name)?.record.id))
                    .collect::<Result<_, Failure>>()?;
                containers.retain(|container| named.contains(container.id()));
            }
            return Ok((containers.into_iter().map(by_id).collect(), Vec::new()));
        }
        let (mut chosen, mut failures) = (Vec::new(), Vec::new());
        let mut add = |name: &str, label: String| match containers::find(engine, name) {
            Ok(container) => chosen.push(Chosen { label, container }),
            Err(containers::Error::NotFound { .. }) if self.ignore => {}
            Err(error) => {
                let missing = self.missing.filter(|_| matches!(error, containers::Error::NotFound { .. }));
                let failure = Failure::from(error);
                failures.push(match missing {
                    Some(code) => failure.code(code),
                    None => failure,
                });
            }
        };
        for path in self.cidfiles {
            match std::fs::read_to_string(path) {
                Ok(text) => {
                    let id = text.lines().next().unwrap_or_default().trim();
                    add(id, id.to_owned());
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.ignore => {}
                Err(error) => {
                    let failure = crate::error::on_path("open", path)(error);
                    return Err(failure.context("reading CIDFile"));
                }
            }
        }
        for name in self.names {
            add(name, name.clone());
        }
        Ok((chosen, failures))
    }

    /// Refuses what cannot be meant together, in Podman's words.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::plain(text));
        if self.all && self.latest {
            return wrong("--all and --latest cannot be used together");
        }
        if !self.cidfiles.is_empty() && (self.all || self.latest) {
            return wrong("--all, --latest, and --cidfile cannot be used together");
        }
        if self.all && !self.names.is_empty() {
            return wrong("no arguments are needed with --all");
        }
        if self.latest && !self.names.is_empty() {
            return wrong("--latest and containers cannot be used together");
        }
        let nothing = self.names.is_empty() && self.filters.is_empty() && self.cidfiles.is_empty();
        if nothing && !self.all && !self.latest {
            return wrong("you must provide at least one name or id");
        }
        Ok(())
    }
}

/// The newest container.
pub fn latest(engine: &Engine) -> Result<Container, Failure> {
    containers::list(engine)?.pop().ok_or_else(|| Failure::plain("no such container"))
}

/// One container by argument or `--latest`.
pub fn one(engine: &Engine, name: Option<&str>, is_latest: bool) -> Result<Container, Failure> {
    match (name, is_latest) {
        (Some(name), false) => Ok(containers::find(engine, name)?),
        (None, true) => latest(engine),
        (Some(_), true) => Err(Failure::plain("--latest and containers cannot be used together")),
        (None, false) => Err(Failure::plain("you must provide at least one name or id")),
    }
}

/// Ends a command that went through several objects: all errors but the last are printed here, the last is returned.
pub fn conclude(mut failures: Vec<Failure>) -> Result<ExitCode, Failure> {
    let Some(last) = failures.pop() else { return Ok(ExitCode::Success) };
    for failure in &failures {
        failure.print(None);
    }
    Err(last)
}

/// Does the deed for each and prints its label. A failure does not hold up the others; the last one is the command's.
pub fn each(
    (chosen, mut failures): (Vec<Chosen>, Vec<Failure>),
    mut deed: impl FnMut(&Container) -> Result<(), containers::Error>,
) -> Result<ExitCode, Failure> {
    for one in chosen {
        match deed(&one.container) {
            Ok(()) => output::line(one.label)?,
            Err(error) => failures.push(error.into()),
        }
    }
    conclude(failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(selection: Selection<'_>) -> String {
        selection.check().unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_meant_together_is_refused() {
        let names = ["a".to_owned()];
        let named = Selection { names: &names, ..Selection::default() };
        assert!(named.check().is_ok());
        assert_eq!(text(Selection::default()), "you must provide at least one name or id");
        assert_eq!(text(Selection { all: true, ..named }), "no arguments are needed with --all");
        assert_eq!(text(Selection { latest: true, ..named }), "--latest and containers cannot be used together");
        let both = Selection { all: true, latest: true, ..Selection::default() };
        assert_eq!(text(both), "--all and --latest cannot be used together");
        let files = [PathBuf::from("/id")];
        assert!(Selection { cidfiles: &files, ..Selection::default() }.check().is_ok());
        assert!(Selection { cidfiles: &files, all: true, ..Selection::default() }.check().is_err());
    }
}
