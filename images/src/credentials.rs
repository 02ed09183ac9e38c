//! Credentials as other tools have stored them, for what does not go through skopeo. See containers-auth.json(5).

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use crate::places::Places;
use crate::pull::Credentials;
use crate::reference::{HUB, Reference};

impl Credentials {
    /// Those for `image` in a configuration of Docker's, the text of a `config.json`: of the entry whose name says most of
    /// the image's. None for a name without a registry: whoever it is looked for at is not to learn another's password.
    /// Helpers that the configuration names are not asked.
    pub fn in_config(config: &Value, image: &Reference) -> Option<Credentials> {
        let name = format!("{}/{}", image.domain()?, image.path());
        let fits = |key: &str| {
            let key = plain(key);
            let rest = name.strip_prefix(&key)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(key.len())
        };
        let entries = config.get("auths")?.as_object()?.iter();
        let (_, entry) =
            entries.filter_map(|(key, entry)| Some((fits(key)?, entry))).max_by_key(|(length, _)| *length)?;
        of_entry(entry)
    }
}

/// The name of an entry, which Docker writes as a URL, as names of images begin.
fn plain(key: &str) -> String {
    let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    match key {
        "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        key => key.to_owned(),
    }
}

/// `auth`, or the two parts of it.
fn of_entry(entry: &Value) -> Option<Credentials> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (user, password) = match text("auth") {
        Some(token) => {
            let text = String::from_utf8(decode(token)?).ok()?;
            let (user, password) = text.split_once(':')?;
            (user.to_owned(), password.trim_matches('\0').to_owned())
        }
        None => (text("username")?.to_owned(), text("password")?.to_owned()),
    };
    Some(Credentials { user, password })
}

/// The credentials for a registry: of `authfile` alone where one is named, else of the first file that has some.
pub(crate) fn stored(registry: &str, authfile: Option<&PathBuf>, places: &Places) -> Option<Credentials> {
    let files = match authfile.or(places.auth_file.as_ref()) {
        Some(only) => vec![only.clone()],
        None => {
            let below = |dir: &Option<PathBuf>, name: &str| dir.as_ref().map(|dir| dir.join(name));
            let all = [
                below(&places.runtime, "containers/auth.json"),
                below(&places.config, "containers/auth.json"),
                below(&places.home, ".docker/config.json"),
            ];
            all.into_iter().flatten().collect()
        }
    };
    files.into_iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        of_file(&serde_json::from_str(&text).ok()?, registry)
    })
}

fn of_file(file: &Value, registry: &str) -> Option<Credentials> {
    let helper = file.get("credHelpers").and_then(|helpers| helpers.get(registry)).or_else(|| file.get("credsStore"));
    if let Some(helper) = helper.and_then(Value::as_str) {
        return ask_helper(helper, registry);
    }
    let auths = file.get("auths")?;
    // Docker writes URLs.
    let spellings = [registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/v1/")];
    of_entry(spellings.iter().find_map(|name| auths.get(name))?)
}

/// `docker-credential-NAME get`: the registry on its standard input, JSON on its output.
fn ask_helper(name: &str, registry: &str) -> Option<Credentials> {
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(registry.as_bytes()).ok()?;
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
    let text = |key: &str| answer.get(key)?.as_str().map(str::to_owned);
    Some(Credentials { user: text("Username")?, password: text("Secret")? })
}

/// RFC 4648, section 4; files of other programs may lack the padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&STANDARD, CONFIG).decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_it_is_written() {
        for (text, plain) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(decode("a b"), None);
    }

    #[test]
    fn a_registry_is_found_under_each_of_its_spellings() {
        let file = |name: &str| serde_json::json!({ "auths": { name: { "auth": "YWxpY2U6b3Blbg==" } } });
        for name in ["reg.test:5000", "https://reg.test:5000", "https://reg.test:5000/v1/"] {
            let found = of_file(&file(name), "reg.test:5000").unwrap();
            assert_eq!((found.user.as_str(), found.password.as_str()), ("alice", "open"));
        }
        assert!(of_file(&file("other.test"), "reg.test:5000").is_none());
    }

    #[test]
    fn the_entry_that_says_most_of_an_image_is_taken() {
        let config = serde_json::json!({ "auths": {
            "https://index.docker.io/v1/": { "username": "hub", "password": "a" },
            "reg.test:5000": { "username": "all", "password": "b" },
            "reg.test:5000/team": { "auth": "dGVhbTpj" },
        } });
        for (image, user) in [
            ("docker.io/library/nginx", Some("hub")),
            ("nginx", None),
            ("reg.test:5000/one:1", Some("all")),
            ("reg.test:5000/team/one", Some("team")),
            ("reg.test:5000/teams/one", Some("all")),
            ("reg.test/one", None),
        ] {
            let found = Credentials::in_config(&config, &image.parse().unwrap());
            assert_eq!(found.map(|found| found.user).as_deref(), user, "{image}");
        }
    }
}
