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
    super::container_prune::check_filters(&args.filter)?;
    if !args.force {
        let mut warning = "WARNING! This command removes:\n\t- all stopped containers\n".to_owned();
        if args.volumes {
            warning.push_str("\t- all volumes not used by at least one container\n");
        }
        warning.push_str(match args.all {
            true => "\t- all images without at least one container associated with them\n",
            false => "\t- all dangling images\n",
        });
        if !output::confirm(&warning)? {
            return Ok(ExitCode::Success);
        }
    }
    let engine = context.engine()?;
    let filters = Filters::parse(&engine, &args.filter)?;
    let (ids, mut bytes, mut failures) = super::container_prune::prune(&engine, &filters)?;
    heading("Deleted Containers", &ids)?;
    if args.volumes {
        let filters = super::volume::Filters::parse(&engine, &args.filter)?;
        let (names, size, more) = super::volume::prune::prune(&engine, &filters, super::volume::prune::Which::All)?;
        heading("Deleted Volumes", &names)?;
        bytes += size;
        failures.extend(more);
    }
    let options = PruneOptions { all: args.all, filters: super::image_prune::filters(&args.filter)? };
    let pruned = images::prune(&engine.store, &options, &super::image_prune::users(&engine)?)?;
    heading("Deleted Images", &pruned.deleted)?;
    bytes += pruned.reclaimed + images::collect_garbage(&engine.store)?;
    output::line(format!("Total reclaimed space: {}", human::size4(bytes)))?;
    select::conclude(failures)
}

fn heading(text: &str, lines: &[String]) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    output::line(text)?;
    lines.iter().try_for_each(output::line)
}
