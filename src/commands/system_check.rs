use storage::{Depth, Finding, Used};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Look for damage in the store, and repair it
#[derive(clap::Args)]
pub struct Args {
    /// With --repair: remove damaged containers and images, too
    #[arg(short, long)]
    force: bool,
    /// Accepted for scripts: what is being written is recognised without an age
    #[arg(short, long, value_name = "DURATION", hide = true)]
    max: Option<String>,
    /// Names and records only, not the content of blobs
    #[arg(short, long)]
    quick: bool,
    /// Repair what was found
    #[arg(short, long)]
    repair: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "system check")?;
    let engine = context.engine()?;
    let store = &engine.store;
    let depth = if args.quick { Depth::Records } else { Depth::Content };
    let used = || {
        let reachable = images::reachable(store)?;
        Ok::<Used, images::Error>(Used { layers: reachable.layers, blobs: reachable.blobs })
    };
    let findings = store.check(depth, used)?;
    for finding in &findings {
        output::line(describe(finding))?;
    }
    if findings.is_empty() {
        return Ok(ExitCode::Success);
    }
    if !(args.repair || args.force) {
        return Err(Failure::plain("damage detected in local storage")
            .hint("creel system check --repair repairs what can be repaired"));
    }
    let left = store.repair(&findings)?;
    if left.is_empty() {
        output::line("all of it was repaired")?;
        return Ok(ExitCode::Success);
    }
    for finding in &left {
        output::line(format!("left: {}", describe(finding)))?;
    }
    Err(Failure::plain("damage detected in local storage that has no repair").hint("pull the images in question again"))
}

fn describe(finding: &Finding) -> String {
    match finding {
        Finding::DamagedRecord { path, why } => format!("{}: damaged record: {why}", path.display()),
        Finding::IncompleteLayer { path } => format!("{}: incomplete layer", path.display()),
        Finding::MissingLayer { chain_id } => format!("layer {chain_id}: missing"),
        Finding::MissingBlob { digest } => format!("blob {digest}: missing"),
        Finding::DamagedBlob { digest } => format!("blob {digest}: content differs from its digest"),
        Finding::UnusedLayer { chain_id } => format!("layer {chain_id}: not used by any image"),
        Finding::UnusedBlob { digest } => format!("blob {digest}: not used by any image"),
        Finding::NoRecord { path } => format!("{}: no record", path.display()),
        Finding::Stranger { path } => format!("{}: not creel's", path.display()),
    }
}
