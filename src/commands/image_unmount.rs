//! `creel image unmount`

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;
use crate::select::conclude;

/// Take the mounts of images away
#[derive(clap::Args, Debug)]
pub struct Args {
    /// All that are mounted
    #[arg(short, long)]
    all: bool,
    /// Also where it is in use (creel does so always)
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(value_name = "IMAGE [IMAGE...]")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.all && !args.images.is_empty() {
        return Err(Failure::plain("when using the --all switch, you may not pass any images names or IDs"));
    }
    if args.images.is_empty() && !args.all {
        return Err(Failure::plain("image name or ID must be specified"));
    }
    let engine = context.engine()?;
    let names = match args.all {
        true => containers::mounted_images(&engine)?.into_iter().map(|(id, _)| id).collect(),
        false => args.images,
    };
    let mut failures = Vec::new();
    for name in &names {
        let done = images::get(&engine.store, name).map_err(Failure::from).and_then(|image| {
            let gone = containers::unmount_image(&engine, &image)?;
            if gone { output::line(&image.id) } else { Ok(()) }
        });
        failures.extend(done.err());
    }
    conclude(failures)
}
