//! `manifest ...`: one file for each, and here what they share.

pub mod add;
pub mod annotate;
pub mod create;
pub mod exists;
pub mod inspect;
pub mod push;
pub mod remove;
pub mod rm;

use images::{PullOptions, PushOptions};

use crate::arguments::go_quote;
use crate::error::Failure;
use crate::transfer;

/// How to reach the registries of images that are added, looked at or sent.
#[derive(clap::Args)]
pub struct ListAccess {
    #[command(flatten)]
    registry: transfer::Access,
    /// The same as --tls-verify=false
    #[arg(long, hide = true)]
    insecure: bool,
}

impl ListAccess {
    fn for_pull(self) -> Result<PullOptions, Failure> {
        self.checked()?.for_pull()
    }

    fn for_push(self) -> Result<PushOptions, Failure> {
        self.checked()?.for_push()
    }

    fn checked(mut self) -> Result<transfer::Access, Failure> {
        if self.insecure && self.registry.tls_verify.replace(false).is_some() {
            return Err(Failure::plain("--insecure may not be used with --tls-verify"));
        }
        Ok(self.registry)
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
