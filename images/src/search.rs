//! Looking for repositories by word, at one registry or at those of the search list.
//!
//! skopeo has no word for it; curl fetches the two lists there are: Docker's v1 search, else the catalog of
//! distribution-spec registries.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::places::Places;
use crate::pull::Credentials;
use crate::reference::HUB;
use crate::registries::Registries;
use crate::{credentials, skopeo};

/// How many results one asks for by default.
const LIMIT: usize = 25;

#[derive(Clone, Debug)]
pub struct SearchOptions {
    pub limit: Option<usize>,
    pub tls_verify: Option<bool>,
    pub creds: Option<Credentials>,
    pub authfile: Option<PathBuf>,
    pub cert_dir: Option<PathBuf>,
    pub places: Places,
}

impl Default for SearchOptions {
    fn default() -> Self {
        SearchOptions {
            limit: None,
            tls_verify: None,
            creds: None,
            authfile: None,
            cert_dir: None,
            places: Places::from_environment(),
        }
    }
}

/// One repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The registry.
    pub index: String,
    /// With the registry.
    pub name: String,
    pub description: String,
    pub stars: u64,
    pub official: bool,
    pub automated: bool,
}

#[derive(Deserialize)]
struct V1 {
    #[serde(default)]
    results: Vec<V1Result>,
}

#[derive(Deserialize)]
struct V1Result {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    star_count: u64,
    #[serde(default)]
    is_official: bool,
    #[serde(default)]
    is_automated: bool,
}

#[derive(Deserialize)]
struct Catalog {
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

/// Repositories that fit `[REGISTRY/]TERM`. One registry of several that fails is passed over.
pub fn search(term: &str, options: &SearchOptions) -> Result<Vec<Found>> {
    let named = term.split_once('/').filter(|(first, _)| first.contains(['.', ':']) || *first == "localhost");
    let configured = Registries::load(&options.places)?;
    let (registries, term) = match named {
        Some((registry, term)) => (vec![registry.to_owned()], term),
        None => (configured.search.clone().unwrap_or_else(|| vec![HUB.to_owned()]), term),
    };
    let mut found = Vec::new();
    let mut failed = None;
    for registry in &registries {
        let is = configured.of_host(registry);
        if is.blocked {
            failed = Some(Error::Blocked { message: format!("registry {registry} is blocked in registries.conf") });
            continue;
        }
        let mut options = options.clone();
        options.tls_verify = options.tls_verify.or(is.insecure.then_some(false));
        match search_one(registry, term, &options) {
            Ok(results) => found.extend(results),
            Err(error) => failed = Some(error.while_doing(&format!("couldn't search registry {registry:?}"))),
        }
    }
    match failed {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

fn search_one(registry: &str, term: &str, options: &SearchOptions) -> Result<Vec<Found>> {
    let limit = options.limit.filter(|limit| *limit > 0).unwrap_or(LIMIT);
    let host = if registry == HUB { "index.docker.io" } else { registry };
    let asked = fetch(host, &format!("v1/search?q={}&n={limit}", escape(term)), options);
    let mut found: Vec<Found> = match asked.as_ref().ok().and_then(|text| serde_json::from_slice::<V1>(text).ok()) {
        Some(list) => list.results.into_iter().map(|result| of_v1(registry, result)).collect(),
        None if matches!(asked, Err(Error::Unreachable { .. } | Error::Tls { .. } | Error::Unsupported { .. })) => {
            return asked.map(|_| Vec::new());
        }
        None => {
            let text = fetch(host, "v2/_catalog?n=1000", options)?;
            let bad = |error: serde_json::Error| Error::Unreachable { message: format!("it gave no list: {error}") };
            let catalog: Catalog = serde_json::from_slice(&text).map_err(bad)?;
            let names = catalog.repositories.unwrap_or_default().into_iter().filter(|name| name.contains(term));
            names.map(|name| of_catalog(registry, &name)).collect()
        }
    };
    found.truncate(limit);
    Ok(found)
}

fn of_v1(registry: &str, result: V1Result) -> Found {
    // The hub writes its own one-word names without their `library/`.
    let inner = if registry == HUB && !result.name.contains('/') { "library/" } else { "" };
    Found {
        index: registry.to_owned(),
        name: format!("{registry}/{inner}{}", result.name),
        description: result.description.unwrap_or_default().replace('\n', " "),
        stars: result.star_count,
        official: result.is_official,
        automated: result.is_automated,
    }
}

fn of_catalog(registry: &str, name: &str) -> Found {
    Found {
        index: registry.to_owned(),
        name: format!("{registry}/{name}"),
        description: String::new(),
        stars: 0,
        official: false,
        automated: false,
    }
}

/// A document of the registry, by https, and by http where TLS need not be.
fn fetch(host: &str, path: &str, options: &SearchOptions) -> Result<Vec<u8>> {
    let schemes: &[&str] = if options.tls_verify == Some(false) { &["https", "http"] } else { &["https"] };
    let mut last = None;
    for scheme in schemes {
        match fetch_by(scheme, host, path, options) {
            Err(error @ (Error::Tls { .. } | Error::Unreachable { .. })) => last = Some(error),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| Error::Unreachable { message: "no answer".to_owned() }))
}

fn fetch_by(scheme: &str, host: &str, path: &str, options: &SearchOptions) -> Result<Vec<u8>> {
    let mut command = Command::new("curl");
    command.args(["-fsSL", "--max-time", "30", "--proto", "=http,https", "--proto-redir", "=http,https"]);
    if options.tls_verify == Some(false) {
        command.arg("--insecure");
    }
    if let Some(dir) = &options.cert_dir {
        command.arg("--cacert").arg(dir.join("ca.crt"));
    }
    // The password goes in by a file that only we can read, not by the command line.
    let stored = match &options.creds {
        Some(_) => None,
        None => credentials::stored(host, options.authfile.as_ref(), &options.places),
    };
    let private = match options.creds.as_ref().or(stored.as_ref()) {
        Some(creds) => {
            let dir = skopeo::PrivateDir::new(&options.places)?;
            let quoted = format!("{}:{}", creds.user, creds.password).replace('\\', "\\\\").replace('"', "\\\"");
            let file = dir.0.join("curl");
            std::fs::write(&file, format!("user = \"{quoted}\"\n")).map_err(Error::file(&file))?;
            command.arg("--config").arg(file);
            Some(dir)
        }
        None => None,
    };
    command.arg("--").arg(format!("{scheme}://{host}/{path}"));
    let output = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::Unsupported { what: "searching".to_owned(), reason: "the program curl is not installed".to_owned() }
        }
        _ => Error::file("curl")(error),
    })?;
    drop(private);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let message = stderr.lines().next().unwrap_or("no answer").to_owned();
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        // See EXIT CODES in curl(1).
        Some(22) if message.contains(" 401") || message.contains(" 403") => Err(Error::Denied { message }),
        Some(22) => Err(Error::NotInRegistry { message }),
        Some(35 | 51 | 58 | 60) => Err(Error::Tls { message }),
        _ => Err(Error::Unreachable { message }),
    }
}

/// What may stand in a query, see RFC 3986, section 2.3.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
