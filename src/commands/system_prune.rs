use images::PruneOptions;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::filters::Filters;
use crate::format::human;
use crate::{output, select};

/// Remove everything that nothing uses
#[derive(clap::Args)]
pub struct Args {
    /// Remove all images that no container uses, not only untagged ones
    #[arg(short, long)]
    all: bool,
    /// Remove what was left of builds, too (there is nothing of the kind here)
    #[arg(long)]
    build: bool,
    /// Remove only what other tools left (there is nothing of the kind here)
    #[arg(long)]
    external: bool,
    /// Only what passes a filter (label, label!, until)
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Remove volumes, too
    #[arg(long)]
    volumes: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "system prune")?;
    if args.external {
        // What other tools leave lies in their own store.
        return match args.all || args.volumes || args.build || !args.filter.is_empty() {
            true => Err(Failure::plain("system prune --external cannot be combined with other options")),
            false => Ok(ExitCode::Success),
        };
    }
    super::container_prune::check_filters(&args.filter)?;
    if !args.force {
        let mut warning = "WARNING! This command removes:\n\t- all stopped containers\n\t- all networks not used by at least one container\n".to_owned();
        if args.volumes {
            warning.push_str("\t- all volumes not used by at least one container\n");
        }
        if args.build {
            warning.push_str("\t- all build containers\n");
        }
        warning.push_str(match args.all {
            true => "\t- all images without at least one container associated with them\n\t- all build cache\n",
            false => "\t- all dangling images\n\t- all dangling build cache\n",
        });
        if !output::confirm(&warning)? {
            return Ok(ExitCode::Success);
        }
    }
    let engine = context.engine()?;
    let filters = Filters::parse(&engine, &args.filter)?;
    let (pods, pod_failures) = prune_pods(&engine, &args.filter)?;
    heading("Deleted Pods", &pods)?;
    let (ids, mut bytes, mut failures) = super::container_prune::prune(&engine, &filters)?;
    failures.extend(pod_failures);
    heading("Deleted Containers", &ids)?;
    if args.volumes {
        let filters = super::volume::Filters::parse(&engine, &args.filter)?;
        let (names, size, more) = super::volume::prune::prune(&engine, &filters, super::volume::prune::Which::All)?;
        heading("Deleted Volumes", &names)?;
        bytes += size;
        failures.extend(more);
    }
    let options = PruneOptions { all: args.all, filters: super::image_prune::filters(&args.filter)? };
    let pruned = images::prune(&engine.store, &options, || containers::image_users(&engine))?;
    heading("Deleted Images", &pruned.deleted)?;
    let filters = super::network::Filters::parse(&args.filter, super::network::Keys::Prune)?;
    let networks = super::network::networks(context, &engine)?;
    let (names, more) = super::network::prune::prune(&engine, &networks, &filters)?;
    heading("Deleted Networks", &names)?;
    failures.extend(more);
    bytes += pruned.reclaimed + images::collect_garbage(&engine.store)?;
    output::line(format!("Total reclaimed space: {}", human::size4(bytes)))?;
    select::conclude(failures)
}

/// Pods that have ended, where no filter asks for something they do not have.
fn prune_pods(engine: &containers::Engine, filters: &[String]) -> Result<(Vec<String>, Vec<Failure>), Failure> {
    let (mut ids, mut failures) = (Vec::new(), Vec::new());
    if !filters.is_empty() {
        return Ok((ids, failures));
    }
    for (pod, result) in pods::prune(engine)? {
        match result {
            Ok(outcome) if outcome.failed.is_empty() => ids.push(pod.id().to_string()),
            Ok(outcome) => failures.extend(super::pod::rm::not_removed(&pod, outcome)),
            Err(pods::Error::NotFound { .. }) => {}
            Err(error) => failures.push(error.into()),
        }
    }
    Ok((ids, failures))
}

fn heading(text: &str, lines: &[String]) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    output::line(text)?;
    lines.iter().try_for_each(output::line)
}
