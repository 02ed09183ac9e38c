use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Sign images in a registry; creel does it when it pushes
#[derive(clap::Args)]
pub struct Args {
    /// The key to sign with
    #[arg(long, value_name = "KEY")]
    sign_by: Option<String>,
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.images, 1)?;
    match args.sign_by {
        None => Err(Failure::plain("no identity provided").hint("creel push --sign-by KEY signs what it pushes")),
        Some(key) => {
            Err(Failure::plain(format!("creel signs an image when it pushes it, not in a registry (--sign-by {key})"))
                .hint("creel push --sign-by KEY IMAGE"))
        }
    }
}
