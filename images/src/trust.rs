//! policy.json, as far as it must be known before skopeo is asked, see containers-policy.json(5).
//!
//! The image proxy of old skopeos (1.9) hands out content without looking at the policy. So the plain answers, "anything"
//! and "nothing", are found here, and what needs a signature goes through `skopeo copy`, which always checks.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

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

/// The types of containers-policy.json(5) that ask for a signature.
const SIGNATURES: [&str; 3] = ["signedBy", "sigstoreSigned", "signedBaseLayer"];

/// The verdict for one source that is not rejected. Without any policy.json everything is accepted.
pub(crate) fn verdict(places: &Places, source: &Source) -> Result<Verdict> {
    admitted(places, source.transport().name(), &scopes_of(source), &source.to_string())
}

/// Whether a file may become an image that nobody can have signed: an archive, a directory.
pub(crate) fn admit(places: &Places, source: &Source) -> Result<()> {
    unsigned(verdict(places, source)?, source.transport().name())
}

/// The same for the root file system of `import`.
pub(crate) fn admit_tarball(places: &Places, path: &str) -> Result<()> {
    unsigned(admitted(places, "tarball", &[String::new()], &format!("tarball:{path}"))?, "tarball")
}

/// Whether the policy can be used: for what is copied out of our own store, of which it says nothing.
pub fn check_policy(places: &Places) -> Result<()> {
    let Some(path) = places.policy() else { return Ok(()) };
    read(&path, |text| judge(text, "containers-storage", &[String::new()]).map(drop))
}

/// Whether what is asked of a source can be had of one that has no signatures.
pub(crate) fn unsigned(verdict: Verdict, transport: &str) -> Result<()> {
    match verdict {
        Verdict::Check => Err(Error::Unsupported {
            what: format!("checking signatures of {transport}"),
            reason: "policy.json requires a signature for it".to_owned(),
        }),
        Verdict::Accept | Verdict::Reject => Ok(()),
    }
}

/// What is asked of the source; that it is rejected is an error. `source` is how it was typed.
fn admitted(places: &Places, transport: &str, scopes: &[String], source: &str) -> Result<Verdict> {
    let Some(path) = places.policy() else { return Ok(Verdict::Accept) };
    match read(&path, |text| judge(text, transport, scopes))? {
        Verdict::Reject => {
            let message = format!("Source image rejected: Running image {source} is rejected by policy.");
            Err(Error::Policy { message })
        }
        verdict => Ok(verdict),
    }
}

fn read<T>(path: &Path, judge: impl FnOnce(&str) -> std::result::Result<T, String>) -> Result<T> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    judge(&text).map_err(|reason| Error::Policy { message: format!("invalid policy in {path:?}: {reason}") })
}

fn judge(text: &str, transport: &str, scopes: &[String]) -> std::result::Result<Verdict, String> {
    let policy: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let transport = policy.get("transports").and_then(|all| all.get(transport));
    let scoped = transport.and_then(|of| scopes.iter().find_map(|scope| of.get(scope)));
    let requirements = scoped.or_else(|| policy.get("default")).and_then(Value::as_array);
    let requirements = requirements.filter(|list| !list.is_empty()).ok_or("it has no requirements for this image")?;
    let mut verdict = Verdict::Accept;
    for requirement in requirements {
        match requirement.get("type").and_then(Value::as_str) {
            Some("insecureAcceptAnything") => {}
            Some("reject") => return Ok(Verdict::Reject),
            Some(kind) if SIGNATURES.contains(&kind) => verdict = Verdict::Check,
            Some(kind) => return Err(format!("Unknown policy requirement type {kind:?}")),
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

/// One line of `image trust show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `docker`, `oci`, ...; `None` for the default of all.
    pub transport: Option<String>,
    /// What it is for; empty for the whole transport.
    pub scope: String,
    /// The requirement's type, as policy.json has it.
    pub kind: String,
    /// Files with the public keys.
    pub keys: Vec<PathBuf>,
}

/// What a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    Accept,
    Reject,
    SignedBy(Vec<PathBuf>),
    SigstoreSigned(Vec<PathBuf>),
}

/// The text of policy.json; `None` where there is none and everything is accepted.
pub fn policy_text(places: &Places) -> Result<Option<String>> {
    let Some(path) = places.policy() else { return Ok(None) };
    fs::read_to_string(&path).map(Some).map_err(Error::file(path))
}

/// All rules: the default first, then by transport and scope.
pub fn rules(places: &Places) -> Result<Vec<Rule>> {
    let Some(path) = places.policy() else { return Ok(Vec::new()) };
    let policy = parse(&path)?;
    let rule = |transport: Option<&String>, scope: &str, requirement: &Value| {
        let text = |key: &str| requirement.get(key).and_then(Value::as_str).map(str::to_owned);
        let listed = requirement.get("keyPaths").and_then(Value::as_array).into_iter().flatten();
        let listed = listed.filter_map(Value::as_str).map(PathBuf::from);
        Rule {
            transport: transport.cloned(),
            scope: scope.to_owned(),
            kind: text("type").unwrap_or_default(),
            keys: text("keyPath").map(PathBuf::from).into_iter().chain(listed).collect(),
        }
    };
    let mut rules = Vec::new();
    let each = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    rules.extend(each(policy.get("default")).iter().map(|requirement| rule(None, "", requirement)));
    for (transport, scopes) in policy.get("transports").and_then(Value::as_object).into_iter().flatten() {
        for (scope, requirements) in scopes.as_object().into_iter().flatten() {
            rules.extend(each(Some(requirements)).iter().map(|requirement| rule(Some(transport), scope, requirement)));
        }
    }
    Ok(rules)
}

/// Says what images of a registry, repository or name need; `default` is for all. Changes the user's own policy.json, which
/// is made from the machine's, or from nothing, where there is none yet.
pub fn set_rule(places: &Places, scope: &str, requirement: &Requirement) -> Result<()> {
    let home = places.home.as_ref().ok_or_else(|| Error::Unsupported {
        what: "changing the trust".to_owned(),
        reason: "there is no home directory for policy.json".to_owned(),
    })?;
    let own = home.join(".config/containers/policy.json");
    let mut policy = match places.policy() {
        Some(path) => parse(&path)?,
        None => json!({ "default": [{ "type": "insecureAcceptAnything" }] }),
    };
    let keyed = |kind: &str, key: &Path| match kind {
        "signedBy" => json!({ "type": kind, "keyType": "GPGKeys", "keyPath": key }),
        _ => json!({ "type": kind, "keyPath": key }),
    };
    let list: Vec<Value> = match requirement {
        Requirement::Accept => vec![json!({ "type": "insecureAcceptAnything" })],
        Requirement::Reject => vec![json!({ "type": "reject" })],
        Requirement::SignedBy(keys) => keys.iter().map(|key| keyed("signedBy", key)).collect(),
        Requirement::SigstoreSigned(keys) => keys.iter().map(|key| keyed("sigstoreSigned", key)).collect(),
    };
    match scope {
        "default" => policy["default"] = list.into(),
        scope => policy["transports"]["docker"][scope] = list.into(),
    }
    let dir = own.parent().unwrap_or(home);
    fs::create_dir_all(dir).map_err(Error::file(dir))?;
    let text = format!("{policy:#}\n");
    let fresh = own.with_extension("json.new");
    fs::write(&fresh, text).map_err(Error::file(&fresh))?;
    fs::rename(&fresh, &own).map_err(Error::file(own))
}

fn parse(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    let bad = |reason: String| Error::BadConfiguration { path: path.to_owned(), reason };
    match serde_json::from_str(&text) {
        Ok(policy @ Value::Object(_)) => Ok(policy),
        Ok(_) => Err(bad("it is no object".to_owned())),
        Err(error) => Err(bad(error.to_string())),
    }
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
            let source: Source = source.parse().unwrap();
            assert_eq!(judge(policy, source.transport().name(), &scopes_of(&source)), Ok(verdict), "{source}");
        }
        let default = |text: &str| judge(text, "docker", &[String::new()]);
        assert!(default("{}").is_err());
        assert!(default("").is_err());
        assert!(default(r#"{"default": [{"type": "x"}]}"#).unwrap_err().contains("Unknown policy requirement type"));
    }
}
