//! `creel container prune`

use containers::{Container, Engine};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::filters::Filters;
use crate::output;
use crate::select::conclude;

/// Remove all containers that do not run
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove only those that match (label, label!, until)
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    #[arg(hide = true)]
    pub rest: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.rest, "container prune")?;
    check_filters(&args.filter)?;
    if !args.force && !output::confirm("WARNING! This will remove all non running containers.")? {
        return Ok(ExitCode::Success);
    }
    let engine = context.engine()?;
    let filters = Filters::parse(&engine, &args.filter)?;
    let (ids, _, failures) = prune(&engine, &filters)?;
    ids.into_iter().try_for_each(output::line)?;
    conclude(failures)
}

/// Removes what does not run and passes the filters: ids, bytes given back, and what went wrong.
pub fn prune(engine: &Engine, filters: &Filters) -> Result<(Vec<String>, u64, Vec<Failure>), Failure> {
    let keep = |container: &Container| !filters.pass(container);
    let (mut ids, mut bytes, mut failures) = (Vec::new(), 0, Vec::new());
    for (id, result) in containers::prune(engine, keep)? {
        match result {
            Ok(size) => {
                ids.push(id.to_string());
                bytes += size;
            }
            Err(error) => failures.push(error.into()),
        }
    }
    Ok((ids, bytes, failures))
}

/// Prunes know fewer keys than lists.
pub fn check_filters(filters: &[String]) -> Result<(), Failure> {
    for filter in filters {
        let key = filter.split('=').next().unwrap_or_default();
        if !matches!(key, "label" | "label!" | "until") {
            return Err(Failure::plain(format!("{key} is an invalid filter")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labels_and_times_choose_what_is_pruned() {
        let check = |filter: &str| check_filters(&[filter.to_owned()]);
        for good in ["label=a", "label!=a=b", "until=1h"] {
            assert!(check(good).is_ok(), "{good}");
        }
        assert_eq!(check("name=a").unwrap_err().to_string(), "name is an invalid filter");
    }
}
