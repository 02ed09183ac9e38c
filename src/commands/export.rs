//! `creel export`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::output;

/// Write a container's file system as a tar archive
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.containers, 1)?;
    if args.output.is_none() && output::stdout_is_terminal() {
        return Err(Failure::plain("refusing to export to terminal. Use -o flag or redirect"));
    }
    if let Some(path) = args.output.as_ref().filter(|path| path.to_string_lossy().contains(':')) {
        let name = arguments::go_quote(&path.to_string_lossy());
        return Err(Failure::plain(format!("invalid filename (should not contain ':') {name}")));
    }
    let engine = context.engine()?;
    let container = containers::find(&engine, &args.containers[0])?;
    match &args.output {
        Some(path) => {
            let mut file = BufWriter::new(File::create(path).map_err(on_path("open", path))?);
            containers::export(&engine, &container, &mut file)?;
            file.flush().map_err(on_path("write", path))?;
        }
        None => {
            let mut out = BufWriter::new(output::Stream::new());
            containers::export(&engine, &container, &mut out)?;
            out.flush()?;
        }
    }
    Ok(ExitCode::Success)
}
