//! `creel top`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::table;
use crate::{output, select};

/// Show the processes of a running container
///
/// Columns are chosen by descriptors: user pid ppid pcpu etime tty time args, and hpid huser group nice state ... Anything
/// else is passed to the container's own ps.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show those of the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// The container, and which columns to show
    #[arg(value_name = "CONTAINER [FORMAT-DESCRIPTORS|ARGS...]")]
    pub words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.words.is_empty() && !args.latest {
        return Err(Failure::plain("you must provide the name or id of a running container"));
    }
    let (name, descriptors) = match args.latest {
        true => (None, args.words.as_slice()),
        false => (args.words.first().map(String::as_str), args.words.get(1..).unwrap_or_default()),
    };
    let engine = context.engine()?;
    let container = select::one(&engine, name, args.latest)?;
    let rows = containers::top(&engine, &container, descriptors)?;
    let text: String = rows.iter().map(|row| row.join("\t") + "\n").collect();
    output::print(&table::align(&text))?;
    Ok(ExitCode::Success)
}
