//! skopeo as a child: found, configured, and its complaints understood.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Error, Result};
use crate::places::Places;
use crate::pull::{Credentials, PullOptions};
use crate::reference::Reference;

/// `skopeo`, told whose files it works with.
pub(crate) fn command() -> Command {
    named(Command::new("skopeo"))
}

fn named(mut command: Command) -> Command {
    // In a user namespace it is uid 0 and would take itself for the real one: these are what its storage library sets
    // when it has made the namespace by itself.
    if let Some((uid, gid)) = outside_ids() {
        command.env("_CONTAINERS_USERNS_CONFIGURED", "done");
        command.env("_CONTAINERS_ROOTLESS_UID", uid.to_string());
        command.env("_CONTAINERS_ROOTLESS_GID", gid.to_string());
    }
    command
}

/// `skopeo` with the policy: the one that was named, the user's, the machine's, or none where there is none.
pub(crate) fn command_with_policy(places: &Places) -> Command {
    let mut command = command();
    add_policy(&mut command, places);
    command
}

/// A global flag of skopeo's; without one it looks for the user's policy and the machine's by itself.
pub(crate) fn add_policy(command: &mut Command, places: &Places) {
    if let Some(named) = &places.signature_policy {
        command.arg("--policy").arg(named);
    } else if places.policy().is_none() {
        command.arg("--insecure-policy");
    }
}

/// `skopeo` with the policy, in a mount namespace of its own by util-linux's unshare(1).
pub(crate) fn command_with_mounts(places: &Places) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--", "skopeo"]);
    let mut command = named(command);
    add_policy(&mut command, places);
    command
}

/// The ids that our uid 0 is outside of the user namespace; `None` in the initial one.
fn outside_ids() -> Option<(u32, u32)> {
    let outside = |file: &str| -> Option<u32> {
        let map = fs::read_to_string(file).ok()?;
        let mut fields = map.lines().next()?.split_ascii_whitespace();
        let (inside, outside) = (fields.next()?, fields.next()?);
        (inside == "0" && outside != "0").then(|| outside.parse().ok()).flatten()
    };
    Some((outside("/proc/self/uid_map")?, outside("/proc/self/gid_map")?))
}

/// Runs it to its end; its complaint becomes an error about `reference`.
pub(crate) fn output(command: &mut Command, reference: &str) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().map_err(spawn_error)?;
    check(output, reference)
}

fn check(output: Output, reference: &str) -> Result<Vec<u8>> {
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(translate(reference, &last_message(&output.stderr))),
    }
}

pub(crate) fn spawn_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::SkopeoMissing,
        _ => Error::Skopeo { message: error.to_string() },
    }
}

/// What skopeo said in the end, without the dress of its logger: `time="..." level=fatal msg="..."`.
pub(crate) fn last_message(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed without a word");
    match line.split_once("msg=\"") {
        Some((_, message)) => {
            let message = message.trim_end();
            message.strip_suffix('"').unwrap_or(message).replace("\\\"", "\"").replace("\\n", "; ")
        }
        None => line.to_owned(),
    }
}

/// Finds out from skopeo's text what the reader can do.
pub(crate) fn translate(reference: &str, message: &str) -> Error {
    let lower = message.to_ascii_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| lower.contains(text));
    let reference = reference.to_owned();
    let message = message.to_owned();
    if let Some(flag) = message.strip_prefix("unknown flag: ") {
        Error::SkopeoLacks { flag: flag.to_owned() }
    } else if has(&["is blocked in"]) {
        Error::Blocked { message }
    } else if has(&["creating signature", "signing the image", "error signing", "creating signer"]) {
        Error::Signing { message }
    } else if has(&["not logged into"]) {
        Error::NotLoggedIn { registry: reference }
    } else if has(&["source image rejected", "is not allowed by policy", "rejected by policy"]) {
        Error::Policy { message }
    } else if has(&["no space left on device", "disk quota exceeded"]) {
        Error::NoSpace { what: reference }
    } else if has(&[
        "no image found in manifest list",
        "no image found in image index",
        "no image found for architecture",
    ]) {
        Error::NoPlatform { reference, platform: message }
    } else if has(&[
        "unauthorized",
        "authentication required",
        "access denied",
        "denied:",
        "invalid username/password",
        "status code 401",
        "status code 403",
        "403 (forbidden)",
        "401 (unauthorized)",
    ]) {
        Error::Denied { message }
    } else if has(&[
        "manifest unknown",
        "name unknown",
        "repository name not known",
        "name invalid",
        "not found",
        "status code 404",
        "404 (not found)",
    ]) {
        Error::NotInRegistry { message }
    } else if has(&["x509:", "tls:", "http response to https", "certificate"]) {
        Error::Tls { message }
    } else if has(&[
        "connection refused",
        "no such host",
        "i/o timeout",
        "timed out",
        "timeout",
        "connection reset",
        "network is unreachable",
        "no route to host",
        "eof",
        "broken pipe",
        "server misbehaving",
        "status code 5",
        "internal server error",
        "bad gateway",
        "service unavailable",
        "toomanyrequests",
        "too many requests",
        "temporary failure",
        "pinging container registry",
    ]) {
        Error::Unreachable { message }
    } else if has(&["corrupted blob", "digest did not match", "digest mismatch", "does not match", "size mismatch"]) {
        Error::DigestMismatch {
            what: reference,
            expected: "what the manifest says".to_owned(),
            found: format!("something else ({message})"),
        }
    } else {
        Error::Skopeo { message }
    }
}

/// An auth.json with one entry, in a private file below `dir`: never on a command line, where others can read it.
pub(crate) fn write_authfile(dir: &Path, registry: &str, creds: &Credentials) -> Result<PathBuf> {
    let path = dir.join("auth.json");
    let mut file =
        fs::File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(Error::file(&path))?;
    file.write_all(authfile(registry, creds).as_bytes()).map_err(Error::file(&path))?;
    Ok(path)
}

/// Adds to `copy` what it needs to read from the registry of `reference`. `scratch` is for the credentials.
pub(crate) fn add_source_access(
    command: &mut Command,
    reference: &Reference,
    options: &PullOptions,
    scratch: &Path,
) -> Result<()> {
    if let Some(dir) = &options.cert_dir {
        command.arg("--src-cert-dir").arg(dir);
    }
    if let Some(verify) = options.tls_verify {
        command.arg(format!("--src-tls-verify={verify}"));
    }
    for key in &options.decryption_keys {
        command.args(["--decryption-key", key]);
    }
    if let Some(creds) = &options.creds {
        let registry = reference.domain().unwrap_or_default();
        command.arg("--src-authfile").arg(write_authfile(scratch, registry, creds)?);
    } else if let Some(authfile) = options.authfile.as_ref().or(options.places.auth_file.as_ref()) {
        command.arg("--src-authfile").arg(authfile);
    }
    Ok(())
}

/// The text of an auth.json with one entry.
pub(crate) fn authfile(registry: &str, creds: &Credentials) -> String {
    let token = BASE64_STANDARD.encode(format!("{}:{}", creds.user, creds.password));
    json!({ "auths": { registry: { "auth": token } } }).to_string()
}

/// The tags a registry has for a repository.
pub fn list_tags(repository: &Reference, options: &PullOptions) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Tags {
        #[serde(default)]
        tags: Vec<String>,
    }
    let name = repository.repository();
    let mut command = command();
    command.args(["list-tags", &format!("docker://{name}")]);
    let stdout = with_access(&mut command, repository, options, |command| output(command, &name))?;
    let tags: Tags = serde_json::from_slice(&stdout)
        .map_err(|error| Error::Skopeo { message: format!("list-tags gave no list: {error}") })?;
    Ok(tags.tags)
}

/// Adds authfile, creds, cert-dir and tls-verify to a subcommand that takes them without a prefix, and runs it.
pub(crate) fn with_access<T>(
    command: &mut Command,
    reference: &Reference,
    options: &PullOptions,
    run: impl FnOnce(&mut Command) -> Result<T>,
) -> Result<T> {
    if let Some(dir) = &options.cert_dir {
        command.arg("--cert-dir").arg(dir);
    }
    if let Some(verify) = options.tls_verify {
        command.arg(format!("--tls-verify={verify}"));
    }
    let private = match &options.creds {
        Some(creds) => {
            let dir = PrivateDir::new(&options.places)?;
            command.arg("--authfile").arg(write_authfile(&dir.0, reference.domain().unwrap_or_default(), creds)?);
            Some(dir)
        }
        None => {
            if let Some(authfile) = options.authfile.as_ref().or(options.places.auth_file.as_ref()) {
                command.arg("--authfile").arg(authfile);
            }
            None
        }
    };
    let result = run(command);
    drop(private);
    result
}

/// A directory only we can read, in memory where there is one.
pub(crate) struct PrivateDir(pub(crate) PathBuf);

impl PrivateDir {
    pub(crate) fn new(places: &Places) -> Result<PrivateDir> {
        use std::os::unix::fs::DirBuilderExt;
        let base = places.runtime.as_ref().unwrap_or(&places.tmp);
        let path = base.join(format!("creel-auth-{}", sys::random::hex::<8>().map_err(Error::file(base))?));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(Error::file(&path))?;
        Ok(PrivateDir(path))
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_written_as_auth_json_has_them() {
        let cases = [
            ("a", "b", "YTpi"),
            ("alice", "open", "YWxpY2U6b3Blbg=="),
            ("a", "bc", "YTpiYw=="),
            ("a", "bcd", "YTpiY2Q="),
        ];
        for (user, password, auth) in cases {
            let creds = Credentials { user: user.into(), password: password.into() };
            assert_eq!(authfile("h:1", &creds), format!(r#"{{"auths":{{"h:1":{{"auth":"{auth}"}}}}}}"#));
        }
    }

    #[test]
    fn complaints_become_errors_one_can_act_on() {
        type Is = fn(&Error) -> bool;
        let cases: [(&str, Is); 9] = [
            ("reading manifest x in h/x: unauthorized: authentication required", |e| matches!(e, Error::Denied { .. })),
            ("requested access to the resource is denied: denied: no", |e| matches!(e, Error::Denied { .. })),
            ("reading manifest nope in h/x: manifest unknown: manifest unknown", |e| {
                matches!(e, Error::NotInRegistry { .. })
            }),
            ("dial tcp: lookup h: no such host", |e| matches!(e, Error::Unreachable { .. })),
            ("dial tcp 127.0.0.1:1: connect: connection refused", |e| {
                matches!(e, Error::Unreachable { .. }) && !e.is_transient()
            }),
            ("read: connection reset by peer", |e| e.is_transient()),
            ("x509: certificate signed by unknown authority", |e| matches!(e, Error::Tls { .. })),
            ("http: server gave HTTP response to HTTPS client", |e| matches!(e, Error::Tls { .. })),
            ("Source image rejected: A signature was required, but no signature exists", |e| {
                matches!(e, Error::Policy { .. })
            }),
        ];
        for (text, is) in cases {
            assert!(is(&translate("h/x", text)), "{text}");
        }
        let line = br#"time="2026-01-02T03:04:05Z" level=fatal msg="Error: \"x\" is bad""#;
        assert_eq!(last_message(line), "Error: \"x\" is bad");
    }
}
