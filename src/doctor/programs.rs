//! skopeo, and the files that say where images come from and which are trusted.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{Rung, machine};
use crate::error::folded;

/// The first one that has all of what creel asks of it: `experimental-image-proxy` with its protocol 0.2.3.
const LEAST_SKOPEO: (u32, u32) = (1, 6);

/// Started early: a Go program takes its time.
pub(super) fn start_skopeo() -> io::Result<Child> {
    Command::new("skopeo").arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

pub(super) fn skopeo(started: io::Result<Child>) -> Rung {
    const NAME: &str = "skopeo";
    let install = || machine::install("skopeo");
    let output = match started.and_then(Child::wait_with_output) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Rung::broken(NAME, "skopeo is not installed: no image can be pulled or pushed", install());
        }
        Err(error) => return Rung::broken(NAME, format!("skopeo cannot be run: {}", folded(&error)), install()),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_ascii_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    match (output.status.success(), version) {
        (true, Some(version)) if parse(version) >= LEAST_SKOPEO => Rung::good(NAME, format!("version {version}")),
        (true, Some(version)) => {
            let (major, minor) = LEAST_SKOPEO;
            Rung::broken(NAME, format!("skopeo {version} is too old: {major}.{minor} is needed"), install())
        }
        _ => {
            let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
            Rung::broken(NAME, format!("skopeo does not tell its version ({}): {said}", output.status), install())
        }
    }
}

fn parse(version: &str) -> (u32, u32) {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// registries.conf and policy.json.
pub(super) fn image_settings() -> Vec<Rung> {
    let places = images::Places::from_environment();
    vec![registries(&places), policy(&places)]
}

fn registries(places: &images::Places) -> Rung {
    const NAME: &str = "registries.conf";
    match images::registries::Registries::load(places) {
        Ok(registries) => match registries.search {
            Some(search) if !search.is_empty() => Rung::good(NAME, format!("short names mean {}", search.join(", "))),
            Some(_) => Rung::good(NAME, "short names are not looked up anywhere"),
            None => Rung::good(NAME, format!("none: short names mean {}", registries.first().unwrap_or("nothing"))),
        },
        Err(error) => Rung::broken(NAME, folded(&error), "correct the file or move it away"),
    }
}

/// containers-policy.json(5).
fn policy(places: &images::Places) -> Rung {
    const NAME: &str = "policy.json";
    let user = places.home.as_ref().map(|home| home.join(".config/containers/policy.json"));
    let mut files = user.into_iter().chain([PathBuf::from("/etc/containers/policy.json")]);
    let Some(path) = files.find(|path| path.exists()) else {
        return Rung::good(NAME, "none: every image is accepted");
    };
    let shown = path.display().to_string();
    let cure = format!("correct it, or: echo '{{\"default\":[{{\"type\":\"insecureAcceptAnything\"}}]}}' > {shown}");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Rung::broken(NAME, format!("{shown}: {}", folded(&error)), cure),
    };
    match serde_json::from_str::<serde_json::Value>(&text) {
        Err(error) => Rung::broken(NAME, format!("{shown} is no JSON: {error}"), cure),
        Ok(policy) => match policy.get("default").and_then(|default| default.as_array()) {
            None => Rung::broken(NAME, format!("{shown} has no \"default\""), cure),
            Some(default) if default.iter().any(|rule| rule.get("type").is_some_and(|kind| kind == "reject")) => {
                let others = policy.get("transports").is_some();
                let found = format!("{shown} rejects every image{}", if others { " it does not name" } else { "" });
                Rung::new(
                    NAME,
                    if others { super::Verdict::Good } else { super::Verdict::Weak },
                    found,
                    Some(cure).filter(|_| !others),
                )
            }
            Some(_) => Rung::good(NAME, shown),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(parse("1.9.3") >= LEAST_SKOPEO);
        assert!(parse("1.20.0-dev") >= LEAST_SKOPEO);
        assert!(parse("1.4.1") < LEAST_SKOPEO);
        assert!(parse("0.1.40") < LEAST_SKOPEO);
    }
}
