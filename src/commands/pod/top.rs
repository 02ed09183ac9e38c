//! `creel pod top`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::table;
use crate::output;

/// Show the processes of a pod's containers
///
/// Columns are chosen by descriptors as for `creel top`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show those of the newest pod
    #[arg(short, long)]
    latest: bool,
    /// The pod, and which columns to show
    #[arg(value_name = "POD [FORMAT-DESCRIPTORS|ARGS...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.words.is_empty() && !args.latest {
        return Err(Failure::plain("you must provide the name or id of a running pod"));
    }
    let (name, descriptors) = match args.latest {
        true => (None, args.words.as_slice()),
        false => (args.words.first(), args.words.get(1..).unwrap_or_default()),
    };
    // A pod has no image whose own ps could be asked.
    if let Some(word) = containers::unknown_descriptor(descriptors) {
        return Err(Failure::plain(format!("'{word}': unknown descriptor")));
    }
    let engine = context.engine()?;
    let pod = match name {
        None => super::latest(&engine)?,
        Some(name) => pods::find(&engine, name)
            .map_err(|error| Failure::from(error).context("unable to look up requested container"))?,
    };
    // The infra container sees the processes of all that share its numbers with it.
    let shares_pids = pod.spec().share.pid && pod.infra().is_some_and(containers::running);
    let shown = pod.containers.iter().filter(|one| containers::running(one));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for container in shown.take(if shares_pids { 1 } else { usize::MAX }) {
        let table = containers::top(&engine, container, descriptors)?;
        rows.extend(table.into_iter().skip(usize::from(!rows.is_empty())));
    }
    let text: String = rows.iter().map(|row| row.join("\t") + "\n").collect();
    output::print(&table::align(&text))?;
    Ok(ExitCode::Success)
}
