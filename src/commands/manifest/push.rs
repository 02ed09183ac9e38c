use std::path::PathBuf;

use images::lists::{self, ListPushOptions};
use images::{Progress, PushOptions};

use super::tls_verify;
use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Send a manifest list with its images to a registry
#[derive(clap::Args)]
pub struct Args {
    /// Send the images, too
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    all: bool,
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
    /// Write the digest of the pushed list to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Compress layers again that are compressed in another way
    #[arg(long)]
    force_compression: bool,
    /// Type of the list: oci or v2s2
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The same as --tls-verify=false
    #[arg(long, hide = true)]
    insecure: bool,
    /// The same as --rm
    #[arg(short, long, hide = true)]
    purge: bool,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// Leave signatures behind
    #[arg(long)]
    remove_signatures: bool,
    /// Remove the list here when it has been sent
    #[arg(long)]
    rm: bool,
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
    #[arg(value_name = "LIST [DESTINATION]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 2)?;
    crate::commands::login::check_files(args.authfile.as_deref(), None, None)?;
    let mut push = PushOptions {
        authfile: args.authfile,
        creds: args.creds.as_deref().map(str::parse).transpose()?,
        cert_dir: args.cert_dir,
        tls_verify: tls_verify(args.insecure, args.tls_verify)?,
        digestfile: args.digestfile,
        format: args.format.map(|format| list_format(&format)).transpose()?,
        compression_format: args.compression_format,
        compression_level: args.compression_level,
        force_compression: args.force_compression,
        remove_signatures: args.remove_signatures,
        sign_by: args.sign_by,
        sign_by_sigstore_private_key: args.sign_by_sigstore_private_key,
        sign_passphrase_file: args.sign_passphrase_file,
        ..PushOptions::default()
    };
    super::compression_of_config(context, &mut push)?;
    if args.quiet {
        push.progress = Progress::Quiet;
    }
    let engine = context.engine()?;
    let options = ListPushOptions { all: args.all, push };
    let name = &args.words[0];
    lists::push(&engine.store, name, args.words.get(1).map(String::as_str), &options)?;
    if args.rm || args.purge {
        let removed = lists::remove(&engine.store, &[name], false)?;
        removed.errors.into_iter().next().map_or(Ok(()), Err)?;
    }
    Ok(ExitCode::Success)
}

fn list_format(text: &str) -> Result<String, Failure> {
    match text {
        "oci" | "v2s2" => Ok(text.to_owned()),
        "docker" => Ok("v2s2".to_owned()),
        other => Err(Failure::plain(format!(
            "unknown format {}: choose one of the supported formats: 'oci' or 'v2s2'",
            arguments::go_quote(other)
        ))),
    }
}
