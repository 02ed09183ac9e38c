//! `manifest ...`: one file for each, and here what they share.

pub mod add;
pub mod annotate;
pub mod create;
pub mod exists;
pub mod inspect;
pub mod push;
pub mod remove;
pub mod rm;

use std::path::PathBuf;

use images::{PullOptions, PushOptions};

use crate::arguments::go_quote;
use crate::context::Context;
use crate::error::Failure;

/// How to reach the registries of images that are added or looked at.
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
    /// The same as --tls-verify=false
    #[arg(long, hide = true)]
    insecure: bool,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
}

impl Access {
    fn options(self) -> Result<PullOptions, Failure> {
        crate::commands::login::check_files(self.authfile.as_deref(), None, None)?;
        Ok(PullOptions {
            tls_verify: tls_verify(self.insecure, self.tls_verify)?,
            authfile: self.authfile,
            creds: self.creds.as_deref().map(str::parse).transpose()?,
            cert_dir: self.cert_dir,
            ..PullOptions::default()
        })
    }
}

fn tls_verify(insecure: bool, verify: Option<bool>) -> Result<Option<bool>, Failure> {
    match (insecure, verify) {
        (true, Some(_)) => Err(Failure::plain("--insecure may not be used with --tls-verify")),
        (true, None) => Ok(Some(false)),
        (false, verify) => Ok(verify),
    }
}

/// `--annotation KEY=VALUE`
fn annotations(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = |text: &String| {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Failure::plain(format!("expected --annotation {} to be in key=value format", go_quote(text)))
        })?;
        Ok((key.to_owned(), value.to_owned()))
    };
    texts.iter().map(split).collect()
}

/// Where no flag says how to compress, containers.conf may.
pub fn compression_of_config(context: &Context, options: &mut PushOptions) -> Result<(), Failure> {
    if options.compression_format.is_none() {
        let config = context.config()?;
        options.compression_format = config.text("engine", "compression_format").map(str::to_owned);
        let level = config.integer("engine", "compression_level").and_then(|level| i32::try_from(level).ok());
        options.compression_level = options.compression_level.or(level);
    }
    Ok(())
}
