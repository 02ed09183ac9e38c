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
    /// Compress the layers of a directory
    #[arg(long)]
    compress: bool,
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
    /// Layers to encrypt, by their number; negative ones count from the top
    #[arg(long, value_name = "LAYER", value_delimiter = ',', value_parser = number::i32)]
    encrypt_layer: Vec<i32>,
    /// Key to encrypt the image with
    #[arg(long, value_name = "KEY")]
    encryption_key: Vec<String>,
    /// Compress layers again that are compressed in another way
    #[arg(long)]
    force_compression: bool,
    /// Type of the manifest: oci, v2s2 or v2s1
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// Leave signatures behind
    #[arg(long)]
    remove_signatures: bool,
    /// How often to try again
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    retry: Option<u32>,
    /// How long to wait before trying again
    #[arg(long, value_name = "DURATION")]
    retry_delay: Option<String>,
    /// Sign with this GPG key
    #[arg(long, value_name = "KEY")]
    sign_by: Option<String>,
    /// Sign with this sigstore private key
    #[arg(long, value_name = "FILE")]
    sign_by_sigstore_private_key: Option<PathBuf>,
    /// File with the passphrase of the private key
    #[arg(long, value_name = "FILE")]
    sign_passphrase_file: Option<PathBuf>,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
    #[arg(value_name = "IMAGE [DESTINATION]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    crate::arguments::between(&args.words, 1, 2)?;
    super::login::check_files(args.authfile.as_deref(), None, None)?;
    if args.force_compression && args.compression_format.is_none() {
        return Err(Failure::plain("cannot use ForceCompressionFormat with undefined default compression format")
            .hint("say which: --compression-format"));
    }
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
        compress: args.compress,
        remove_signatures: args.remove_signatures,
        encryption_keys: args.encryption_key,
        encrypt_layers: args.encrypt_layer,
        sign_by: args.sign_by,
        sign_by_sigstore_private_key: args.sign_by_sigstore_private_key,
        sign_passphrase_file: args.sign_passphrase_file,
        ..PushOptions::default()
    };
    if let Some(retry) = args.retry {
        options.retry = retry;
    }
    if let Some(delay) = &args.retry_delay {
        options.retry_delay = Some(human::parse_duration(delay).map_err(Failure::plain)?);
    }
    super::manifest::compression_of_config(context, &mut options)?;
    if args.quiet {
        options.progress = Progress::Quiet;
    }
    let engine = context.engine()?;
    images::push(&engine.store, &args.words[0], args.words.get(1).map(String::as_str), &options)?;
    Ok(ExitCode::Success)
}
