//! policy.json, as far as it must be known before skopeo is asked, see containers-policy.json(5).
//!
//! The image proxy of old skopeos (1.9) hands out content without looking at the policy. So the plain answers, "anything"
//! and "nothing", are found here, and what needs a signature goes through `skopeo copy`, which always checks.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::places::Places;
use crate::reference::Source;

/// What the policy wants for one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Reject,
    /// A signature has to be checked.
    Check,
}

/// The verdict for one source. Without any policy.json everything is accepted.
pub(crate) fn verdict(places: &Places, source: &Source) -> Result<Verdict> {
    let Some(path) = places.policy() else { return Ok(Verdict::Accept) };
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    judge(&text, source).map_err(|reason| Error::BadConfiguration { path: path.clone(), reason })
}

fn judge(text: &str, source: &Source) -> std::result::Result<Verdict, String> {
    let policy: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let transport = policy.get("transports").and_then(|all| all.get(source.transport().name()));
    let scoped = transport.and_then(|scopes| scopes_of(source).into_iter().find_map(|scope| scopes.get(scope)));
    let requirements = scoped.or_else(|| policy.get("default")).and_then(Value::as_array);
    let requirements = requirements.filter(|list| !list.is_empty()).ok_or("it has no requirements for this image")?;
    let mut verdict = Verdict::Accept;
    for requirement in requirements {
        match requirement.get("type").and_then(Value::as_str) {
            Some("insecureAcceptAnything") => {}
            Some("reject") => return Ok(Verdict::Reject),
            Some(_) => verdict = Verdict::Check,
            None => return Err("a requirement has no type".to_owned()),
        }
    }
    Ok(verdict)
}

/// From the narrowest to the widest, `""` last.
fn scopes_of(source: &Source) -> Vec<String> {
    let mut scopes = Vec::new();
    match source {
        Source::Registry(reference) => {
            scopes.push(reference.complete().to_string());
            let mut name = reference.repository();
            loop {
                scopes.push(name.clone());
                match name.rfind('/') {
                    Some(at) => name.truncate(at),
                    None => break,
                }
            }
            // Subdomains: `*.example.test`.
            let mut host = name.as_str();
            while let Some((_, rest)) = host.split_once('.') {
                scopes.push(format!("*.{rest}"));
                host = rest;
            }
        }
        Source::Path { path, reference, .. } => {
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            if let Some(reference) = reference {
                scopes.push(format!("{}:{reference}", path.display()));
            }
            let parents = path.ancestors().filter(|parent| *parent != Path::new("/"));
            scopes.extend(parents.map(|parent| parent.display().to_string()));
        }
        Source::Storage(_) => {}
    }
    scopes.push(String::new());
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_scope_decides() {
        let policy = r#"{"default": [{"type": "reject"}], "transports": {"docker": {
            "a.test": [{"type": "insecureAcceptAnything"}],
            "a.test/signed": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}],
            "a.test/signed/but:not": [{"type": "insecureAcceptAnything"}],
            "*.wild.test": [{"type": "insecureAcceptAnything"}]
        }, "oci": {"": [{"type": "insecureAcceptAnything"}]}}}"#;
        let cases = [
            ("a.test/x", Verdict::Accept),
            ("a.test/signed/x:1", Verdict::Check),
            ("a.test/signed/but:not", Verdict::Accept),
            ("a.test/signed/but:yes", Verdict::Check),
            ("b.test/x", Verdict::Reject),
            ("one.two.wild.test/x", Verdict::Accept),
            ("oci:/tmp/x", Verdict::Accept),
            ("dir:/tmp/x", Verdict::Reject),
        ];
        for (source, verdict) in cases {
            assert_eq!(judge(policy, &source.parse().unwrap()), Ok(verdict), "{source}");
        }
        assert!(judge("{}", &"a.test/x".parse().unwrap()).is_err());
        assert!(judge("", &"a.test/x".parse().unwrap()).is_err());
    }
}
