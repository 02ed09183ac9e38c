//! Credentials for registries, kept by skopeo in auth.json or by the user's credential helpers.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::places::Places;
use crate::registries::Registries;
use crate::skopeo;

#[derive(Clone, Debug, Default)]
pub struct LoginOptions {
    pub authfile: Option<PathBuf>,
    /// A Docker config.json instead of auth.json.
    pub compat_auth_file: Option<PathBuf>,
    pub cert_dir: Option<PathBuf>,
    pub tls_verify: Option<bool>,
    /// Asked on the terminal where missing.
    pub username: Option<String>,
    pub password: Option<String>,
    pub verbose: bool,
    pub places: Places,
}

/// Checks the credentials with the registry and stores them. Talks with the user over the inherited standard streams.
pub fn login(registry: Option<&str>, options: &LoginOptions) -> Result<()> {
    let registry = registry_or_first(registry, options)?;
    let mut command = with_authfile("login", options);
    if let Some(dir) = &options.cert_dir {
        command.arg("--cert-dir").arg(dir);
    }
    if let Some(verify) = options.tls_verify {
        command.arg(format!("--tls-verify={verify}"));
    }
    if options.verbose {
        command.arg("--verbose");
    }
    if let Some(username) = &options.username {
        command.args(["--username", username]);
    }
    // Never on the command line, where others can read it.
    let stdin = match &options.password {
        Some(_) => {
            command.arg("--password-stdin");
            Stdio::piped()
        }
        None => Stdio::inherit(),
    };
    let mut child = command.arg(&registry).stdin(stdin).stderr(Stdio::piped()).spawn().map_err(skopeo::spawn_error)?;
    if let (Some(password), Some(mut stdin)) = (&options.password, child.stdin.take()) {
        // A child that does not read it has failed, and says why.
        let _ = stdin.write_all(password.as_bytes());
    }
    let output = child.wait_with_output().map_err(skopeo::spawn_error)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(skopeo::translate(&registry, &skopeo::last_message(&output.stderr))),
    }
}

/// The user name stored for a registry.
pub fn get_login(registry: Option<&str>, options: &LoginOptions) -> Result<String> {
    let registry = registry_or_first(registry, options)?;
    let mut command = with_authfile("login", options);
    command.args(["--get-login", &registry]);
    let name = skopeo::output(&mut command, &registry)?;
    Ok(String::from_utf8_lossy(&name).trim().to_owned())
}

/// Forgets the credentials of one registry, the first of the search list by default. skopeo says so on stdout.
pub fn logout(registry: Option<&str>, options: &LoginOptions) -> Result<()> {
    let registry = registry_or_first(registry, options)?;
    let mut command = with_authfile("logout", options);
    command.arg(&registry);
    run_logout(&mut command, &registry)
}

/// Forgets all credentials.
pub fn logout_all(options: &LoginOptions) -> Result<()> {
    let mut command = with_authfile("logout", options);
    command.arg("--all");
    run_logout(&mut command, "all registries")
}

fn run_logout(command: &mut Command, registry: &str) -> Result<()> {
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(skopeo::spawn_error)?;
    let output = child.wait_with_output().map_err(skopeo::spawn_error)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(skopeo::translate(registry, &skopeo::last_message(&output.stderr))),
    }
}

fn registry_or_first(registry: Option<&str>, options: &LoginOptions) -> Result<String> {
    match registry {
        Some(registry) => Ok(registry.trim_end_matches('/').to_owned()),
        None => Registries::load(&options.places)?.first().map(str::to_owned).ok_or(Error::NoRegistry),
    }
}

fn with_authfile(what: &str, options: &LoginOptions) -> Command {
    let mut command = skopeo::command();
    command.arg(what);
    let files = [&options.compat_auth_file, &options.authfile, &options.places.auth_file];
    if let Some(path) = files.into_iter().flatten().next() {
        command.arg("--authfile").arg(path);
    }
    command
}
