use std::io;
use std::path::{Path, PathBuf};

use images::{LoadOptions, Progress};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Read images from an archive
#[derive(clap::Args)]
pub struct Args {
    /// Read from a file or directory, not from stdin
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Say nothing but the names
    #[arg(short, long)]
    quiet: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "load")?;
    let engine = context.engine()?;
    let mut options = LoadOptions::default();
    if args.quiet {
        options.progress = Progress::Quiet;
    }
    let names = match &args.input {
        Some(path) if path == Path::new("-") => load_stdin(&engine, &options)?,
        Some(path) => {
            std::fs::metadata(path).map_err(crate::error::on_path("faccessat", path))?;
            images::load(&engine.store, path, &options)?
        }
        None => {
            if output::stdin_is_terminal() {
                return Err(Failure::plain(
                    "cannot read from terminal, use command-line redirection or the --input flag",
                ));
            }
            load_stdin(&engine, &options)?
        }
    };
    for name in names {
        output::line(format!("Loaded image: {name}"))?;
    }
    Ok(ExitCode::Success)
}

/// An archive is read twice, so a stream is kept in a file meanwhile.
fn load_stdin(engine: &containers::Engine, options: &LoadOptions) -> Result<Vec<String>, Failure> {
    let staging = engine.store.staging()?;
    let path = staging.path().join("archive");
    let mut file = std::fs::File::create(&path).map_err(crate::error::on_path("open", &path))?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    images::load(&engine.store, &path, options).map_err(|error| match error {
        // Where the copy was says nothing to the user.
        images::Error::BadArchive { reason, .. } => {
            images::Error::BadArchive { path: "standard input".into(), reason }.into()
        }
        error => error.into(),
    })
}
