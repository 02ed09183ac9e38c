//! Which containers a command is about: names, `--all`, `--latest`, `--cidfile`, `--filter`.

use std::path::PathBuf;

use containers::{Container, Engine};

use crate::error::{ExitCode, Failure};
use crate::filters::Filters;
use crate::output;

/// The flags and arguments that choose containers, the same for every command that goes through several.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Selected {
    /// All containers for which the command makes sense
    #[arg(short, long)]
    pub all: bool,
    /// Read container ids from files
    #[arg(long, value_name = "FILE")]
    pub cidfile: Vec<PathBuf>,
    /// Those that match
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// The newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER [CONTAINER...]")]
    pub containers: Vec<String>,
}

/// What becomes of a name that leads to no container.
#[derive(Clone, Copy, Debug, Default)]
pub enum Missing {
    #[default]
    Fails,
    /// The command ends this way.
    FailsWith(ExitCode),
    /// It is no error.
    Ignored,
}

/// One container and how to name it in the answer: as typed, or by its id.
pub struct Chosen {
    pub label: String,
    pub container: Container,
}

impl Selected {
    /// The containers, and an error for each name that leads to none. They are checked to be meant together.
    pub fn choose(&self, engine: &Engine, missing: Missing) -> Result<(Vec<Chosen>, Vec<Failure>), Failure> {
        let by_id = |container: Container| Chosen { label: container.id().to_string(), container };
        if self.latest {
            return Ok((vec![by_id(latest(engine)?)], Vec::new()));
        }
        if self.all || !self.filter.is_empty() {
            let filters = Filters::parse(engine, &self.filter)?;
            let mut containers = containers::list(engine)?;
            containers.retain(|container| filters.pass(container));
            if !self.containers.is_empty() {
                // `start --filter` takes those of the named ones that match.
                let named: Vec<_> = self
                    .containers
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
            Err(error @ containers::Error::NotFound { .. }) => match missing {
                Missing::Fails => failures.push(error.into()),
                // `rm` has words of its own for it.
                Missing::FailsWith(code) => {
                    let text = format!("no container with ID or name \"{name}\" found: no such container");
                    failures.push(Failure::plain(text).missing("container", name).code(code));
                }
                Missing::Ignored => {}
            },
            Err(error) => failures.push(error.into()),
        };
        for path in &self.cidfile {
            match std::fs::read_to_string(path) {
                Ok(text) => {
                    let id = text.lines().next().unwrap_or_default().trim();
                    add(id, id.to_owned());
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && matches!(missing, Missing::Ignored) => {}
                Err(error) => {
                    let failure = crate::error::on_path("open", path)(error);
                    return Err(failure.context("reading CIDFile"));
                }
            }
        }
        for name in &self.containers {
            add(name, name.clone());
        }
        Ok((chosen, failures))
    }

    /// Refuses what cannot be meant together, in Podman's words.
    pub fn check(&self) -> Result<(), Failure> {
        if !self.filter.is_empty() && !self.containers.is_empty() {
            return Err(Failure::plain("--filter takes no arguments"));
        }
        self.check_but_filter()
    }

    /// The same for a command that takes the named ones that match.
    pub fn check_but_filter(&self) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::plain(text));
        if self.all && self.latest {
            return wrong("--all and --latest cannot be used together");
        }
        if !self.cidfile.is_empty() && (self.all || self.latest) {
            return wrong("--all, --latest, and --cidfile cannot be used together");
        }
        if self.all && !self.containers.is_empty() {
            return wrong("no arguments are needed with --all");
        }
        if self.latest && !self.containers.is_empty() {
            return wrong("--latest and containers cannot be used together");
        }
        if self.is_empty() {
            return wrong("you must provide at least one name or id");
        }
        Ok(())
    }

    /// Nobody is meant.
    pub fn is_empty(&self) -> bool {
        let named = !(self.containers.is_empty() && self.filter.is_empty() && self.cidfile.is_empty());
        !named && !self.all && !self.latest
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

/// The same for the kin of `inspect`: the first error is the command's, the others are said without its word.
pub fn conclude_inspect(failures: Vec<Failure>) -> Result<ExitCode, Failure> {
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(ExitCode::Success) };
    failures.for_each(|failure| output::note(&failure.to_string()));
    Err(first)
}

/// Does the deed for each and prints its label. A failure does not hold up the others; the last one is the command's.
pub fn each<E: Into<Failure>>(
    (chosen, mut failures): (Vec<Chosen>, Vec<Failure>),
    mut deed: impl FnMut(&Container) -> Result<(), E>,
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

    fn text(selected: Selected) -> String {
        selected.check().unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_meant_together_is_refused() {
        let named = Selected { containers: vec!["a".to_owned()], ..Selected::default() };
        assert!(named.check().is_ok());
        assert_eq!(text(Selected::default()), "you must provide at least one name or id");
        assert_eq!(text(Selected { all: true, ..named.clone() }), "no arguments are needed with --all");
        assert_eq!(text(Selected { latest: true, ..named.clone() }), "--latest and containers cannot be used together");
        let both = Selected { all: true, latest: true, ..Selected::default() };
        assert_eq!(text(both), "--all and --latest cannot be used together");
        let cidfile = vec![PathBuf::from("/id")];
        assert!(Selected { cidfile: cidfile.clone(), ..Selected::default() }.check().is_ok());
        assert!(Selected { cidfile, all: true, ..Selected::default() }.check().is_err());
        let filtered = Selected { filter: vec!["name=a".to_owned()], ..named };
        assert!(filtered.check_but_filter().is_ok());
        assert_eq!(text(filtered), "--filter takes no arguments");
    }
}
