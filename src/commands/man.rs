use std::path::PathBuf;

use crate::arguments;
use crate::cli;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Write the man pages of all commands into a directory
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "DIRECTORY")]
    directory: Vec<PathBuf>,
}

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let words: Vec<String> = args.directory.iter().map(|path| path.display().to_string()).collect();
    arguments::exactly(&words, 1)?;
    let directory = &args.directory[0];
    std::fs::create_dir_all(directory).map_err(crate::error::on_path("mkdir", directory))?;
    clap_mangen::generate_to(cli::tree(), directory)?;
    Ok(ExitCode::Success)
}
