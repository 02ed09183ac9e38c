use std::path::PathBuf;

use images::LoginOptions;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// Log out of a registry
#[derive(clap::Args)]
pub struct Args {
    /// Log out of all registries
    #[arg(short, long)]
    all: bool,
    /// File with the credentials
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// File with the credentials in Docker's form
    #[arg(long, value_name = "FILE")]
    compat_auth_file: Option<PathBuf>,
    #[arg(value_name = "[REGISTRY]")]
    registry: Vec<String>,
}

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.registry, 1)?;
    let (authfile, compat) = (args.authfile.as_deref(), args.compat_auth_file.as_deref());
    super::login::check_files(authfile, authfile, compat)?;
    let options =
        LoginOptions { authfile: args.authfile, compat_auth_file: args.compat_auth_file, ..LoginOptions::default() };
    if args.all {
        if !args.registry.is_empty() {
            return Err(Failure::plain("--all takes no arguments"));
        }
        images::logout_all(&options)?;
        return Ok(ExitCode::Success);
    }
    // skopeo says what it removed.
    images::logout(args.registry.first().map(String::as_str), &options)?;
    Ok(ExitCode::Success)
}
