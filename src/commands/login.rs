use std::io::Read;
use std::path::PathBuf;

use images::LoginOptions;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Log in to a registry
#[derive(clap::Args)]
pub struct Args {
    /// File to keep the credentials in
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// File to keep the credentials in, in Docker's form
    #[arg(long, value_name = "FILE")]
    compat_auth_file: Option<PathBuf>,
    /// Show who is logged in
    #[arg(long)]
    get_login: bool,
    /// Password (others can see it in the list of processes; better is --password-stdin)
    #[arg(short, long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Read the password from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
    /// Name of the user
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Say more
    #[arg(short, long)]
    verbose: bool,
    #[arg(value_name = "REGISTRY")]
    registry: Vec<String>,
}

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.registry, 1)?;
    if args.password.is_some() && args.password_stdin {
        return Err(Failure::plain("can't specify both --password-stdin and --password"));
    }
    if args.password_stdin && args.username.is_none() {
        return Err(Failure::plain("must provide --username with --password-stdin"));
    }
    let password = match args.password_stdin {
        true => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text)?;
            Some(text.trim_end_matches(['\n', '\r']).to_owned())
        }
        false => args.password,
    };
    let options = LoginOptions {
        authfile: args.authfile,
        compat_auth_file: args.compat_auth_file,
        cert_dir: args.cert_dir,
        tls_verify: args.tls_verify,
        username: args.username,
        password,
        verbose: args.verbose,
        ..LoginOptions::default()
    };
    let registry = args.registry.first().map(String::as_str);
    if args.get_login {
        output::line(images::get_login(registry, &options)?)?;
        return Ok(ExitCode::Success);
    }
    // skopeo asks what is missing and says how it went.
    images::login(registry, &options)?;
    Ok(ExitCode::Success)
}
