//! What a client says of itself to a registry, in files that live as long as the command that reads them. On no command
//! line, where everybody could read it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::creel::{Error, Result, Words};
use crate::images::docker_name;
use crate::json::{some_text, text};

/// An auth.json of a client's. Dropping it removes it.
pub(crate) struct Credentials(PathBuf);

impl Credentials {
    /// From the headers of a request, where they say anything.
    pub(crate) fn of(call: &Call<'_>) -> Result<Option<Credentials>> {
        if let Some(text) = call.request.header("x-registry-config") {
            let all = from_header(text).ok_or_else(|| Error::bad("X-Registry-Config is not base64 of JSON"))?;
            let auths = all.as_object().into_iter().flatten().map(|(server, who)| (host_of(server), who));
            return Credentials::write(auths.collect());
        }
        let Some(text) = call.request.header("x-registry-auth").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let who = from_header(text).ok_or_else(|| Error::bad("X-Registry-Auth is not base64 of JSON"))?;
        let name = docker_name(call.query("fromImage").unwrap_or_else(|| call.name()));
        let server = match some_text(&who, "serveraddress") {
            Some(address) => host_of(address),
            None => name.split('/').next().unwrap_or_default(),
        };
        Credentials::write(vec![(server, &who)])
    }

    /// A name for a file that nobody has made yet.
    fn nowhere() -> Result<Credentials> {
        let dir = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        Ok(Credentials(dir.join(format!("creel-api-{}.json", sys::random::id()?))))
    }

    fn write(auths: Vec<(&str, &Value)>) -> Result<Option<Credentials>> {
        let mut file = json!({ "auths": {} });
        for (server, who) in auths {
            let (name, word) = (text(who, "username"), text(who, "password"));
            if let Some(token) = some_text(who, "identitytoken") {
                file["auths"][server] = json!({ "identitytoken": token, "auth": BASE64_STANDARD.encode(b"<token>:") });
            } else if !name.is_empty() || !word.is_empty() {
                file["auths"][server] = json!({ "auth": BASE64_STANDARD.encode(format!("{name}:{word}")) });
            }
        }
        if file["auths"].as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(None);
        }
        let credentials = Credentials::nowhere()?;
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&credentials.0)?;
        out.write_all(file.to_string().as_bytes())?;
        Ok(Some(credentials))
    }

    pub(crate) fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// `/auth`: a login that leaves nothing behind.
pub(crate) fn auth(call: &mut Call<'_>) -> Result<Reply> {
    let wanted = call.body()?;
    let credentials = Credentials::nowhere()?;
    let mut words = Words::new(&["login", "--password-stdin"]);
    words.flag("username", Some(text(&wanted, "username"))).flag("authfile", Some(credentials.path()));
    words.names([host_of(some_text(&wanted, "serveraddress").unwrap_or("docker.io"))]);
    let outcome = call.creel.feed(&words, &mut text(&wanted, "password").as_bytes());
    outcome.map_err(|error| Error { status: if error.status == 500 { 401 } else { error.status }, ..error })?;
    Reply::json(&json!({ "IdentityToken": "", "Status": "Login Succeeded" }))
}

/// A registry's host, as auth.json has it: Docker Hub's address is a whole URL of its own.
fn host_of(address: &str) -> &str {
    let host = address.trim_start_matches("https://").trim_start_matches("http://");
    match host.split('/').next().unwrap_or(host) {
        "index.docker.io" => "docker.io",
        host => host,
    }
}

/// A JSON value that a header carries in base64: clients use either alphabet (RFC 4648), with padding and without.
fn from_header(text: &str) -> Option<Value> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = text.replace('-', "+").replace('_', "/");
    serde_json::from_slice(&GeneralPurpose::new(&STANDARD, CONFIG).decode(standard).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_their_hosts() {
        assert_eq!(host_of("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(host_of("127.0.0.1:5000"), "127.0.0.1:5000");
    }

    #[test]
    fn headers_are_read_in_either_alphabet_padded_or_not() {
        let value = json!({ "password": "\u{fb}\u{ff}?>~~" });
        let text = BASE64_STANDARD.encode(value.to_string());
        assert!(text.contains('+') && text.contains('/') && text.ends_with('='), "{text}");
        for text in [text.clone(), text.replace('+', "-").replace('/', "_"), text.trim_end_matches('=').to_owned()] {
            assert_eq!(from_header(&text), Some(value.clone()), "{text}");
        }
        assert_eq!(from_header("a b"), None);
    }
}
