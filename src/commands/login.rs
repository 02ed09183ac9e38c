use std::io::Read;
use std::path::{Path, PathBuf};

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
    /// Take the password from a secret
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
    /// Name of the user
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Say more
    #[arg(short, long)]
    verbose: bool,
    #[arg(value_name = "[REGISTRY]")]
    registry: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.registry, 1)?;
    if args.password.is_some() && args.password_stdin {
        return Err(Failure::plain("can't specify both --password-stdin and --password"));
    }
    if args.password_stdin && args.username.is_none() {
        return Err(Failure::plain("must provide --username with --password-stdin"));
    }
    if args.secret.is_some() && args.password.is_some() {
        return Err(Failure::plain("--secret can not be used with --password options"));
    }
    if args.secret.is_some() && args.password_stdin {
        return Err(Failure::plain("--secret can not be used with --password-stdin"));
    }
    check_files(
        args.authfile.as_deref().filter(|_| args.get_login),
        args.authfile.as_deref(),
        args.compat_auth_file.as_deref(),
    )?;
    let mut username = args.username;
    let password = match (args.password_stdin, &args.secret) {
        (true, _) => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text)?;
            Some(text.trim_end_matches(['\n', '\r']).to_owned())
        }
        (false, Some(name)) => {
            let (secret, password) = of_secret(context, name)?;
            username.get_or_insert(secret);
            Some(password)
        }
        (false, None) => args.password,
    };
    let options = LoginOptions {
        authfile: args.authfile,
        compat_auth_file: args.compat_auth_file,
        cert_dir: args.cert_dir,
        tls_verify: args.tls_verify,
        username,
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
    match images::login(registry, &options) {
        // It says "logging into X: why".
        Err(images::Error::Denied { message, .. } | images::Error::Skopeo { message }) => Err(Failure::plain(message)),
        other => Ok(other.map(|()| ExitCode::Success)?),
    }
}

/// The name and the content of a secret.
fn of_secret(context: &Context, name: &str) -> Result<(String, String), Failure> {
    let missing = || Failure::plain(format!("no secret with name or id {}: no such secret", arguments::go_quote(name)));
    let engine = context.engine()?;
    let secret = engine.store.secret(name).map_err(|_| missing())?;
    let data = containers::secret_data(&engine, &secret)?.ok_or_else(missing)?;
    let text = String::from_utf8(data).map_err(|_| Failure::plain(format!("the secret {name} is no text")))?;
    Ok((secret.name, text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// One kind of file at a time, and one that is read must be there.
pub fn check_files(read: Option<&Path>, authfile: Option<&Path>, compat: Option<&Path>) -> Result<(), Failure> {
    if authfile.is_some() && compat.is_some() {
        return Err(Failure::plain(
            "options for paths to the credential file and to the Docker-compatible credential file can not be set simultaneously",
        ));
    }
    match read {
        Some(path) => std::fs::metadata(path)
            .map(drop)
            .map_err(crate::error::on_path("faccessat", path))
            .map_err(|failure| failure.context("credential file is not accessible")),
        None => Ok(()),
    }
}
