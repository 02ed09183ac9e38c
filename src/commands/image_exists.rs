use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Say by the exit code whether an image exists: 0 yes, 1 no
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.images, 1)?;
    match images::get(&context.store()?, &args.images[0]) {
        Ok(_) => Ok(ExitCode::Success),
        Err(images::Error::NotFound { .. }) => Ok(ExitCode::No),
        Err(error) => Err(error.into()),
    }
}
