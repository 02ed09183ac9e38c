use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Does nothing: creel's store needs no migration
#[derive(clap::Args)]
pub struct Args {
    /// A container keeps the runtime it was made with
    #[arg(long, value_name = "NAME")]
    new_runtime: Option<String>,
    /// There is no database to migrate
    #[arg(long, hide = true)]
    migrate_db: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let is_renumber = context.command_line.iter().any(|word| word == "renumber");
    arguments::none(&args.words, if is_renumber { "system renumber" } else { "system migrate" })?;
    if let Some(runtime) = args.new_runtime {
        let failure = Failure::plain(format!("containers cannot be given the runtime {runtime:?}"));
        return Err(failure.hint("make them anew with --runtime"));
    }
    Ok(ExitCode::Success)
}
