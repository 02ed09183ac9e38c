//! Flags of the commands that bring things from registries and send them there, once for all of them.

use std::path::PathBuf;
use std::time::Duration;

use images::{Places, Progress, PullOptions, PushOptions};

use crate::arguments::number;
use crate::commands::login;
use crate::config::Config;
use crate::context::Context;
use crate::error::Failure;
use crate::format::human;

/// How to reach a registry.
#[derive(clap::Args)]
pub struct Access {
    /// File with the registries' credentials
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Credentials for the registry (USERNAME:PASSWORD)
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
    /// The policy.json to obey
    #[arg(long, value_name = "FILE", hide = true)]
    signature_policy: Option<PathBuf>,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tls_verify: Option<bool>,
}

impl Access {
    pub fn for_pull(self) -> Result<PullOptions, Failure> {
        login::check_files(self.authfile.as_deref(), None, None)?;
        Ok(PullOptions {
            authfile: self.authfile,
            creds: self.creds.as_deref().map(crate::credentials::credentials).transpose()?,
            cert_dir: self.cert_dir,
            tls_verify: self.tls_verify,
            places: places(self.signature_policy)?,
            ..PullOptions::default()
        })
    }

    pub fn for_push(self) -> Result<PushOptions, Failure> {
        login::check_files(self.authfile.as_deref(), None, None)?;
        Ok(PushOptions {
            authfile: self.authfile,
            creds: self.creds.as_deref().map(crate::credentials::credentials).transpose()?,
            cert_dir: self.cert_dir,
            tls_verify: self.tls_verify,
            places: places(self.signature_policy)?,
            ..PushOptions::default()
        })
    }
}

/// The usual places, but for a policy.json that `--signature-policy` names: that one must be usable.
pub fn places(signature_policy: Option<PathBuf>) -> Result<Places, Failure> {
    let places = Places { signature_policy, ..Places::from_environment() };
    if let Some(path) = &places.signature_policy {
        std::fs::metadata(path).map_err(crate::error::on_path("open", path))?;
        images::trust::check_policy(&places)?;
    }
    Ok(places)
}

/// What is said on the way, and what happens when the network fails.
#[derive(clap::Args)]
pub struct Manner {
    /// Say nothing on the way
    #[arg(short, long)]
    pub quiet: bool,
    /// How often to try again
    #[arg(long, value_name = "NUMBER", value_parser = number::u32)]
    retry: Option<u32>,
    /// How long to wait before trying again
    #[arg(long, value_name = "DURATION")]
    retry_delay: Option<String>,
}

impl Manner {
    pub fn of_pull(&self, context: &Context, options: &mut PullOptions) -> Result<(), Failure> {
        options.retry = retries(context.config()?, self.retry);
        options.retry_delay = retry_delay(context.config()?, self.retry_delay.as_deref())?;
        if self.quiet {
            options.progress = Progress::Quiet;
        }
        Ok(())
    }

    pub fn of_push(&self, context: &Context, options: &mut PushOptions) -> Result<(), Failure> {
        options.retry = retries(context.config()?, self.retry);
        options.retry_delay = retry_delay(context.config()?, self.retry_delay.as_deref())?;
        if self.quiet {
            options.progress = Progress::Quiet;
        }
        Ok(())
    }
}

/// The flag, else containers.conf.
pub fn retries(config: &Config, typed: Option<u32>) -> Option<u32> {
    typed.or_else(|| config.integer("engine", "retry").and_then(|retry| u32::try_from(retry).ok()))
}

/// The flag, else containers.conf.
pub fn retry_delay(config: &Config, typed: Option<&str>) -> Result<Option<Duration>, Failure> {
    let delay = typed.or(config.text("engine", "retry_delay"));
    delay.map(|delay| human::parse_duration(delay).map_err(Failure::plain)).transpose()
}

/// Who vouches for what is sent.
#[derive(clap::Args)]
pub struct Signing {
    /// Sign with this GPG key
    #[arg(long, value_name = "KEY")]
    sign_by: Option<String>,
    /// Sign as this sigstore parameter file says
    #[arg(long, value_name = "FILE")]
    sign_by_sigstore: Option<PathBuf>,
    /// Sign with this sigstore private key
    #[arg(long, value_name = "FILE")]
    sign_by_sigstore_private_key: Option<PathBuf>,
    /// Sign with this key of Sequoia-PGP's
    #[arg(long, value_name = "FINGERPRINT")]
    sign_by_sq_fingerprint: Option<String>,
    /// File with the passphrase of the private key
    #[arg(long, value_name = "FILE")]
    sign_passphrase_file: Option<PathBuf>,
}

impl Signing {
    pub fn apply(self, options: &mut PushOptions) {
        options.sign_by = self.sign_by;
        options.sign_by_sigstore = self.sign_by_sigstore;
        options.sign_by_sigstore_private_key = self.sign_by_sigstore_private_key;
        options.sign_by_sq_fingerprint = self.sign_by_sq_fingerprint;
        options.sign_passphrase_file = self.sign_passphrase_file;
    }
}

/// The form of an image where it arrives.
#[derive(clap::Args)]
pub struct Form {
    /// Compress layers with gzip, zstd or zstd:chunked
    #[arg(long, value_name = "FORMAT")]
    compression_format: Option<String>,
    /// Level of compression
    #[arg(long, value_name = "LEVEL", value_parser = number::i32)]
    compression_level: Option<i32>,
    /// Write the digest of what arrived to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// Compress layers again that are compressed in another way (default with --compression-format)
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    force_compression: Option<bool>,
    /// Leave signatures behind
    #[arg(long)]
    remove_signatures: bool,
}

impl Form {
    /// Where no flag says how to compress, containers.conf may.
    pub fn apply(self, context: &Context, options: &mut PushOptions) -> Result<(), Failure> {
        options.force_compression = self.force_compression.unwrap_or(self.compression_format.is_some());
        options.compression_format = self.compression_format;
        options.compression_level = self.compression_level;
        options.digestfile = self.digestfile;
        options.remove_signatures = self.remove_signatures;
        if options.compression_format.is_none() {
            let config = context.config()?;
            options.compression_format = config.text("engine", "compression_format").map(str::to_owned);
            let level = config.integer("engine", "compression_level").and_then(|level| i32::try_from(level).ok());
            options.compression_level = options.compression_level.or(level);
        }
        if options.force_compression && options.compression_format.is_none() {
            options.compression_format = Some("gzip".to_owned());
        }
        Ok(())
    }
}
