use std::io;
use std::path::{Path, PathBuf};

use images::{LoadOptions, Progress};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, transfer};

/// Read images from an archive
#[derive(clap::Args)]
pub struct Args {
    /// Read from a file or directory, not from stdin
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Say nothing but the names
    #[arg(short, long)]
    quiet: bool,
    /// The policy.json to obey
    #[arg(long, value_name = "FILE", hide = true)]
    signature_policy: Option<PathBuf>,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "load")?;
    let engine = context.engine()?;
    let mut options = LoadOptions { places: transfer::places(args.signature_policy)?, ..LoadOptions::default() };
    if args.quiet {
        options.progress = Progress::Quiet;
    }
    let names = match &args.input {
        Some(path) if path == Path::new("-") => load_stdin(&engine, &options)?,
        Some(path) if is_url(path) => load_url(&engine, path, &options)?,
        Some(path) => {
            std::fs::metadata(path).map_err(crate::error::on_path("faccessat", path))?;
            images::load(&engine.store, path, &options).map_err(unreadable)?
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

/// In Podman's words where it is no archive.
fn unreadable(error: images::Error) -> Failure {
    let is_bad = matches!(error, images::Error::BadArchive { .. });
    let failure = Failure::from(error);
    match is_bad {
        true => failure.context("payload does not match any of the supported image formats"),
        false => failure,
    }
}

fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with("http://") || text.starts_with("https://"))
}

fn load_url(engine: &containers::Engine, url: &Path, options: &LoadOptions) -> Result<Vec<String>, Failure> {
    let mut body = images::fetch(&url.to_string_lossy())?;
    load_stream(engine, &mut body, options).map_err(|failure| failure.context(format!("downloading {}", url.display())))
}

fn load_stdin(engine: &containers::Engine, options: &LoadOptions) -> Result<Vec<String>, Failure> {
    load_stream(engine, &mut io::stdin().lock(), options)
}

/// An archive is read twice, so a stream is kept in a file meanwhile.
pub(super) fn load_stream(
    engine: &containers::Engine,
    stream: &mut dyn io::Read,
    options: &LoadOptions,
) -> Result<Vec<String>, Failure> {
    let staging = engine.store.staging()?;
    let path = staging.path().join("archive");
    let mut file = std::fs::File::create(&path).map_err(crate::error::on_path("open", &path))?;
    io::copy(stream, &mut file)?;
    images::load(&engine.store, &path, options).map_err(|error| match error {
        // Where the copy was says nothing to the user.
        images::Error::BadArchive { reason, .. } => {
            unreadable(images::Error::BadArchive { path: "the stream".into(), reason })
        }
        error => error.into(),
    })
}
