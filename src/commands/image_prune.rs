use images::{Filter, PruneOptions};
use jiff::Timestamp;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Remove images that nothing uses
#[derive(clap::Args)]
pub struct Args {
    /// Remove all that no container uses, not only untagged ones
    #[arg(short, long)]
    all: bool,
    /// Remove the caches of builds, too (there is nothing of the kind here)
    #[arg(long)]
    build_cache: bool,
    /// Remove what other tools left (there is nothing of the kind here)
    #[arg(long)]
    external: bool,
    /// Only those that pass a filter (label, label!, until)
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "image prune")?;
    if !args.force {
        let warning = match args.all {
            true => "WARNING! This command removes all images without at least one container associated with them.",
            false => "WARNING! This command removes all dangling images.",
        };
        if !output::confirm(warning)? {
            return Ok(ExitCode::Success);
        }
    }
    let engine = context.engine()?;
    let options = PruneOptions { all: args.all, filters: filters(&args.filter)? };
    let pruned = images::prune(&engine.store, &options, || containers::image_users(&engine))?;
    pruned.deleted.into_iter().try_for_each(output::line)?;
    Ok(ExitCode::Success)
}

pub fn filters(texts: &[String]) -> Result<Vec<Filter>, Failure> {
    let now = Timestamp::now();
    texts.iter().map(|text| Filter::parse(text, now).map_err(Failure::from)).collect()
}
