use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::transfer::{Access, Manner};
use crate::{output, select};

/// Fetch images from registries
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    manner: Manner,
    /// Fetch all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Choose images for this architecture
    #[arg(long, alias = "override-arch")]
    arch: Option<String>,
    /// Key to decrypt the image with
    #[arg(long, value_name = "KEY")]
    decryption_key: Vec<String>,
    /// Choose images for this operating system
    #[arg(long, alias = "override-os")]
    os: Option<String>,
    /// Choose images for this platform (os/arch[/variant])
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// When to fetch: always, missing, never, newer
    #[arg(long, value_name = "POLICY", default_value = "always")]
    policy: String,
    /// Choose images for this variant of the architecture
    #[arg(long, alias = "override-variant")]
    variant: Option<String>,
    #[arg(value_name = "IMAGE [IMAGE...]")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.images, 1)?;
    if args.platform.is_some() && (args.arch.is_some() || args.os.is_some()) {
        return Err(Failure::plain("--platform option can not be specified with --arch or --os"));
    }
    let mut options = args.access.for_pull()?;
    args.manner.of_pull(context, &mut options)?;
    options.policy = super::create::pull_policy(&args.policy)?;
    options.platform = super::create::platform(
        args.platform.as_deref(),
        args.os.as_deref(),
        args.arch.as_deref(),
        args.variant.as_deref(),
    )?;
    options.decryption_keys = args.decryption_key;
    options.all_tags = args.all_tags;
    let engine = context.engine()?;
    let mut failures = Vec::new();
    for name in &args.images {
        match images::pull(&engine.store, name, &options) {
            Ok(pulled) => pulled.into_iter().try_for_each(|one| output::line(one.image.id))?,
            Err(error) => failures.push(error.into()),
        }
    }
    select::conclude(failures)
}
