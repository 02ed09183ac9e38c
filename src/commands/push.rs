use std::path::PathBuf;

use images::{Progress, PushOptions};

use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::human;

/// Send an image to a registry or another place
#[derive(clap::Args)]
pub struct Args {
    /// File with the registries' credentials
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Compress layers with gzip, zstd or zstd:chunked
    #[arg(long, value_name = "FORMAT")]
    compression_format: Option<String>,
    /// Level of compression
    #[arg(long, value_name = "LEVEL", value_parser = number::i32)]
    compression_level: Option<i32>,
    /// Credentials for the registry (USERNAME:PASSWORD)
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
    /// Write the digest of the pushed image to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Compress layers again that are compressed in another way
    #[arg(long)]
    force_compression: bool,
    /// Type of the manifest: oci, v2s2 or v2s1
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Say nothing
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
    #[arg(value_name = "IMAGE [DESTINATION]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    crate::arguments::between(&args.words, 1, 2)?;
    let mut options = PushOptions {
        authfile: args.authfile,
        creds: args.creds.as_deref().map(str::parse).transpose()?,
        cert_dir: args.cert_dir,
        tls_verify: args.tls_verify,
        digestfile: args.digestfile,
        format: args.format,
        compression_format: args.compression_format,
        compression_level: args.compression_level,
        force_compression: args.force_compression,
        ..PushOptions::default()
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
    images::push(&engine.store, &args.words[0], args.words.get(1).map(String::as_str), &options)?;
    Ok(ExitCode::Success)
}
