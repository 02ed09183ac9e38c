//! `creel volume import`

use std::io::{self, Read};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Put the content of a tar archive into a volume
#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "VOLUME [SOURCE]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 2)?;
    let source = args.words[1].as_str();
    if source == "-" && output::stdin_is_terminal() {
        return Err(Failure::plain("cannot read from terminal, use command-line redirection"));
    }
    let archive: Box<dyn Read + Send> = match source {
        "-" => Box::new(io::stdin()),
        path => {
            let file = std::fs::File::open(path)
                .map_err(|error| crate::error::on_path("open", path)(error).context("unable open input file"))?;
            Box::new(file)
        }
    };
    let engine = context.engine()?;
    let mut volume = super::find(&engine, &args.words[0]).map_err(|failure| failure.code(ExitCode::Failed))?;
    let name = volume.name.clone();
    let extracting = |failure: Failure| failure.context(format!("extracting into volume {name}"));
    containers::import_volume(&engine, &mut volume, archive).map_err(|error| extracting(error.into()))?;
    Ok(ExitCode::Success)
}
