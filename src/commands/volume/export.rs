//! `creel volume export`

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use containers::Endpoint;

use crate::arguments::{self, go_quote};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Write a volume's content as a tar archive
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Write to a file, not to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(value_name = "VOLUME")]
    volumes: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.volumes, 1)?;
    if args.output.is_none() && output::stdout_is_terminal() {
        return Err(Failure::plain("cannot write to terminal, use command-line redirection or the --output flag"));
    }
    let engine = context.engine()?;
    let volume = super::find(&engine, &args.volumes[0]).map_err(|failure| failure.code(ExitCode::Failed))?;
    let mut out: Box<dyn Write> = match &args.output {
        Some(path) => {
            let file = std::fs::File::create(path).map_err(|error| {
                crate::error::on_path("open", path)(error)
                    .context(format!("unable to create target file path {}", go_quote(&path.to_string_lossy())))
            })?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(output::Stream::new())),
    };
    Endpoint::of_host()?.pack(&containers::volume_content(&engine, &volume)?, Path::new(""), &mut out)?;
    out.flush()?;
    Ok(ExitCode::Success)
}
