use std::io::{BufWriter, Write};
use std::path::PathBuf;

use images::{Progress, SaveFormat, SaveOptions, SaveTarget};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, transfer};

/// Write images to an archive
#[derive(clap::Args)]
pub struct Args {
    /// Compress the layers of a directory
    #[arg(long)]
    compress: bool,
    /// docker-archive, oci-archive, oci-dir or docker-dir
    #[arg(long, value_name = "FORMAT", default_value = "docker-archive")]
    format: String,
    /// The arguments are several images, not further names of the first
    #[arg(short, long)]
    multi_image_archive: bool,
    /// Write to a file, not to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Do not say what is written
    #[arg(short, long)]
    quiet: bool,
    /// The policy.json to obey
    #[arg(long, value_name = "FILE", hide = true)]
    signature_policy: Option<PathBuf>,
    /// Write the layers of an OCI archive or directory without compression
    #[arg(long)]
    uncompressed: bool,
    #[arg(value_name = "IMAGE [IMAGE...]")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.images.is_empty() {
        return Err(Failure::plain("need at least 1 argument"));
    }
    transfer::places(args.signature_policy.clone())?;
    let format: SaveFormat = args.format.parse().map_err(|_| {
        Failure::plain("format value must be one of oci-dir oci-archive docker-dir docker-archive")
            .hint(format!("it is {}", arguments::go_quote(&args.format)))
    })?;
    if args.compress && format != SaveFormat::DockerDir {
        return Err(Failure::plain("--compress can only be set when --format is 'docker-dir'"));
    }
    let is_directory = matches!(format, SaveFormat::OciDir | SaveFormat::DockerDir);
    if is_directory && args.output.is_none() {
        return Err(Failure::plain(format!("{} requires --output to be specified", args.format)));
    }
    if let Some(path) = args.output.as_ref().filter(|path| path.to_string_lossy().contains(':')) {
        let name = arguments::go_quote(&path.to_string_lossy());
        return Err(Failure::plain(format!("invalid filename (should not contain ':') {name}")));
    }
    if args.output.is_none() && output::stdout_is_terminal() {
        return Err(Failure::plain("refusing to save to terminal. Use -o flag or redirect"));
    }
    let engine = context.engine()?;
    let options = SaveOptions {
        format,
        multi_image: args.multi_image_archive
            || context.config()?.boolean("engine", "multi_image_archive").unwrap_or(false),
        compress: args.compress,
        uncompressed: args.uncompressed,
        progress: if args.quiet { Progress::Quiet } else { Progress::detect() },
    };
    let names: Vec<&str> = args.images.iter().map(String::as_str).collect();
    match &args.output {
        Some(path) => images::save(&engine.store, &names, SaveTarget::Path(path), &options)?,
        None => {
            let mut out = BufWriter::new(output::Stream::new());
            images::save(&engine.store, &names, SaveTarget::Stream(&mut out), &options)?;
            out.flush()?;
        }
    }
    Ok(ExitCode::Success)
}
