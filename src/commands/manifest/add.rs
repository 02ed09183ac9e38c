use images::lists::{self, AddOptions, Annotation};

use super::{ListAccess, annotations};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Add images to a manifest list
#[derive(clap::Args)]
pub struct Args {
    /// Of an image that is a list, add all images
    #[arg(long)]
    all: bool,
    /// Set an annotation of the image
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Architecture of the image
    #[arg(long)]
    arch: Option<String>,
    /// Features of the processor that the image needs (Docker lists only)
    #[arg(long, value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<String>,
    /// Operating system of the image
    #[arg(long)]
    os: Option<String>,
    /// Features of the operating system that the image needs
    #[arg(long, value_name = "FEATURES", value_delimiter = ',')]
    os_features: Vec<String>,
    /// Version of the operating system
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// Variant of the architecture
    #[arg(long)]
    variant: Option<String>,
    #[command(flatten)]
    access: ListAccess,
    #[arg(value_name = "LIST IMAGEORARTIFACT [IMAGEORARTIFACT...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 2)?;
    let options = AddOptions {
        all: args.all,
        annotation: Annotation {
            architecture: args.arch,
            os: args.os,
            os_version: args.os_version,
            os_features: args.os_features,
            variant: args.variant,
            features: args.features,
            annotations: annotations(&args.annotation)?,
        },
        access: args.access.for_pull()?,
    };
    let engine = context.engine()?;
    let images: Vec<&str> = args.words[1..].iter().map(String::as_str).collect();
    output::line(lists::add(&engine.store, &args.words[0], &images, &options)?)?;
    Ok(ExitCode::Success)
}
