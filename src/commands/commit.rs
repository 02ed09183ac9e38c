//! `creel commit`

use std::path::{Path, PathBuf};

use containers::CommitOptions;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::output;

/// Make an image of a container
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Who made it
    #[arg(short, long, value_name = "NAME")]
    pub author: Option<String>,
    /// An instruction for the image's configuration: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER,
    /// VOLUME, WORKDIR
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// Take the configuration from a file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Kind of image: oci or docker
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Declare the container's volumes in the image
    #[arg(long)]
    pub include_volumes: bool,
    /// A comment for the image
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Freeze the container meanwhile
    #[arg(short, long)]
    pub pause: bool,
    /// Say nothing but the image's id
    #[arg(short, long)]
    pub quiet: bool,
    /// Make one layer of all
    #[arg(short, long)]
    pub squash: bool,
    /// The container, and the image's name
    #[arg(value_name = "CONTAINER [IMAGE]")]
    pub words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 2)?;
    let usual = context.config()?.text("engine", "image_default_format").unwrap_or("oci");
    let format = match args.format.as_deref().unwrap_or(usual) {
        "oci" => images::Format::Oci,
        "docker" | "v2s2" if args.format.is_none() => images::Format::Docker,
        "docker" => images::Format::Docker,
        other => return Err(Failure::plain(format!("unrecognized image format {}", arguments::go_quote(other)))),
    };
    let config = args.config.as_ref().map(|path| read_config(path)).transpose()?;
    let engine = context.engine()?;
    let container = containers::find(&engine, &args.words[0])?;
    let options = CommitOptions {
        names: args.words.get(1).cloned().into_iter().collect(),
        changes: args.change,
        author: args.author,
        message: args.message,
        format,
        squash: if args.squash { images::Squash::All } else { images::Squash::No },
        pause: args.pause,
        include_volumes: args.include_volumes,
        config,
        progress: if args.quiet { images::Progress::Quiet } else { images::Progress::detect() },
    };
    let image = containers::commit(&engine, &container, &options)?;
    if let Some(path) = &args.iidfile {
        std::fs::write(path, &image.id)
            .map_err(|error| on_path("open", path)(error).context("failed to write image ID"))?;
    }
    output::line(&image.id)?;
    Ok(ExitCode::Success)
}

/// The `config` object of an image's configuration, in Docker's words.
fn read_config(path: &Path) -> Result<images::Settings, Failure> {
    let text = std::fs::read_to_string(path).map_err(on_path("open", path))?;
    serde_json::from_str(&text).map_err(|error| Failure::plain(format!("parsing {}: {error}", path.display())))
}
