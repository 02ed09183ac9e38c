use images::PullOptions;
use images::lists::{self, Annotation};

use super::annotations;
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Say something of a manifest list, or of one image in it
#[derive(clap::Args)]
pub struct Args {
    /// Set an annotation
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Architecture of the image
    #[arg(long)]
    arch: Option<String>,
    /// Features of the processor that the image needs (Docker lists only)
    #[arg(long, value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<String>,
    /// Annotate the list itself
    #[arg(long)]
    index: bool,
    /// Operating system of the image
    #[arg(long)]
    os: Option<String>,
    /// Features of the operating system that the image needs
    #[arg(long, value_name = "FEATURES", value_delimiter = ',')]
    os_features: Vec<String>,
    /// Version of the operating system
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// The image that the list is about; with --index
    #[arg(long, value_name = "IMAGE")]
    subject: Option<String>,
    /// Variant of the architecture
    #[arg(long)]
    variant: Option<String>,
    #[arg(value_name = "LIST IMAGEORARTIFACT")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 2)?;
    let instance = args.words.get(1).map(String::as_str);
    let annotation = Annotation {
        architecture: args.arch,
        os: args.os,
        os_version: args.os_version,
        os_features: args.os_features,
        variant: args.variant,
        features: args.features,
        annotations: annotations(&args.annotation)?,
    };
    let of_image = Annotation { annotations: Vec::new(), ..annotation.clone() } != Annotation::default();
    match (args.index, instance) {
        (false, None) => return Err(Failure::plain("expected an instance digest, image name, or artifact name")),
        (true, Some(_)) => {
            return Err(Failure::plain("did not expect image or artifact name when modifying the entire index"));
        }
        (true, None) if of_image => {
            return Err(Failure::plain(
                "--arch, --features, --os, --os-features, --os-version and --variant are of one image, not of the list",
            ));
        }
        (false, Some(_)) if args.subject.is_some() => {
            return Err(Failure::plain("--subject is of the list: give --index and no image"));
        }
        _ => {}
    }
    let engine = context.engine()?;
    let id = lists::annotate(
        &engine.store,
        &args.words[0],
        instance,
        &annotation,
        args.subject.as_deref(),
        &PullOptions::default(),
    )?;
    output::line(id)?;
    Ok(ExitCode::Success)
}
