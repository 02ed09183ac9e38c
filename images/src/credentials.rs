//! Credentials as other tools have stored them, for what does not go through skopeo. See containers-auth.json(5).

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::places::Places;
use crate::pull::Credentials;

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
    let token = spellings.iter().find_map(|name| auths.get(name)?.get("auth")?.as_str())?;
    let text = String::from_utf8(decode(token)?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credentials { user: user.to_owned(), password: password.trim_matches('\0').to_owned() })
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

/// RFC 4648, section 4.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut number, mut bits) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        number = (number << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((number >> bits) & 0xff).ok()?);
        }
    }
    Some(bytes)
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
}
