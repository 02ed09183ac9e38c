use std::path::PathBuf;

use images::{ImportOptions, Platform, Progress};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, transfer};

/// Make an image of a tar archive of files
#[derive(clap::Args)]
pub struct Args {
    /// Architecture of the image
    #[arg(long)]
    arch: Option<String>,
    /// Set something in the image (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR)
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Comment in the image's history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Operating system of the image
    #[arg(long)]
    os: Option<String>,
    /// Say nothing but the image's id
    #[arg(short, long)]
    quiet: bool,
    /// The policy.json to obey
    #[arg(long, value_name = "FILE", hide = true)]
    signature_policy: Option<PathBuf>,
    /// Variant of the architecture
    #[arg(long)]
    variant: Option<String>,
    #[arg(value_name = "PATH [REFERENCE]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 2)?;
    let source = &args.words[0];
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    if source == "-" && output::stdin_is_terminal() {
        return Err(Failure::plain("cannot read from terminal. Use command-line redirection"));
    }
    if source != "-" && !is_url {
        std::fs::metadata(source)
            .map_err(crate::error::on_path("open", source))
            .map_err(|failure| failure.context(format!("error opening {}", arguments::go_quote(source))))?;
    }
    let platform = Platform { os: args.os, architecture: args.arch, variant: args.variant };
    let options = ImportOptions {
        changes: args.change,
        message: args.message,
        platform: (platform != Platform::default()).then_some(platform),
        progress: if args.quiet { Progress::Quiet } else { Progress::detect() },
        places: transfer::places(args.signature_policy)?,
    };
    let engine = context.engine()?;
    if is_url {
        output::line(format!("Downloading from {}", arguments::go_quote(source)))?;
    }
    let image = images::import(&engine.store, source, args.words.get(1).map(String::as_str), &options)?;
    output::line(format!("sha256:{}", image.id))?;
    Ok(ExitCode::Success)
}
