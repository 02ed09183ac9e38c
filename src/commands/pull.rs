use std::path::PathBuf;

use images::{Progress, PullOptions};

use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::human;
use crate::{output, select};

/// Fetch images from registries
#[derive(clap::Args)]
pub struct Args {
    /// Fetch all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Choose images for this architecture
    #[arg(long, alias = "override-arch")]
    arch: Option<String>,
    /// File with the registries' credentials
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Credentials for the registry (USERNAME:PASSWORD)
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
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
    /// Say nothing but the image's id
    #[arg(short, long)]
    quiet: bool,
    /// How often to try again
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    retry: Option<u32>,
    /// How long to wait before trying again
    #[arg(long, value_name = "DURATION")]
    retry_delay: Option<String>,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
    /// Choose images for this variant of the architecture
    #[arg(long, alias = "override-variant")]
    variant: Option<String>,
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.images, 1)?;
    super::login::check_files(args.authfile.as_deref(), None, None)?;
    if args.platform.is_some() && (args.arch.is_some() || args.os.is_some()) {
        return Err(Failure::plain("--platform option can not be specified with --arch or --os"));
    }
    let mut options = PullOptions {
        policy: super::create::pull_policy(&args.policy)?,
        platform: super::create::platform(
            args.platform.as_deref(),
            args.os.as_deref(),
            args.arch.as_deref(),
            args.variant.as_deref(),
        )?,
        authfile: args.authfile,
        creds: args.creds.as_deref().map(str::parse).transpose()?,
        cert_dir: args.cert_dir,
        tls_verify: args.tls_verify,
        decryption_keys: args.decryption_key,
        all_tags: args.all_tags,
        ..PullOptions::default()
    };
    if let Some(retry) = args.retry {
        options.retry = retry;
    }
    if let Some(delay) = &args.retry_delay {
        options.retry_delay = Some(human::parse_duration(delay).map_err(Failure::plain)?);
    }
    if args.quiet {
        options.progress = Progress::Quiet;
    }
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
