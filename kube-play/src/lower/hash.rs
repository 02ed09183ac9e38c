//! Fingerprints of what a manifest means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Options;

/// Takes away what a cluster writes into its objects: bookkeeping that changes by itself.
pub(super) fn strip(manifest: &mut Value) {
    let Some(object) = manifest.as_object_mut() else { return };
    object.remove("status");
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"] {
            metadata.remove(field);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
}

/// The options that change what a pod is.
pub(super) fn options(options: &Options) -> String {
    let Options {
        networks,
        addresses,
        macs,
        service,
        built: _,
        publish,
        publish_all,
        user_namespace,
        log,
        annotations,
        no_hosts,
        no_hostname,
        no_pod_prefix,
        seccomp_root,
        unit,
        replicas: _,
        directory: _,
    } = options;
    let print = (
        (networks, publish, publish_all, user_namespace, log),
        (annotations, no_hosts, no_hostname, no_pod_prefix, seccomp_root),
        (addresses, macs, service),
    );
    let besides =
        Options { replicas: None, built: BTreeMap::new(), directory: PathBuf::new(), unit: None, ..options.clone() };
    let print =
        if besides == Options::default() { String::new() } else { serde_json::to_string(&print).unwrap_or_default() };
    print + unit.as_deref().unwrap_or_default()
}

/// Adds the ids of the images that were built for what is written.
pub(super) fn built(ids: &BTreeMap<String, String>, written: &Value, print: &mut String) {
    match written {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(image) if key == "image" => print.extend(ids.get(image).map(String::as_str)),
                    value => built(ids, value, print),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| built(ids, value, print)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// 64 hex digits.
pub(super) fn hex(values: &[&Value], options: &str) -> String {
    digest(values, options).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ten letters and digits out of which no word can be made, as Kubernetes' own hashes.
pub(super) fn short(values: &[&Value], options: &str) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    digest(values, options)[..10].iter().map(|byte| char::from(LETTERS[usize::from(*byte) % 27])).collect()
}

/// As [`short`], with no options to it.
pub(crate) fn unmarked(values: &[&Value]) -> String {
    short(values, "")
}

/// What the service container of a play of these texts is called, as Podman calls it.
pub fn service_name<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    texts.for_each(|text| hasher.update(text));
    let digest: String = hasher.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}-service")
}

fn digest(values: &[&Value], options: &str) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for value in values {
        feed(value, &mut hasher);
    }
    hasher.update(options);
    hasher.finalize().to_vec()
}

/// With sorted keys; what is null is not there.
fn feed(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_by_key(|(key, _)| *key);
            hasher.update(b"{");
            for (key, value) in entries {
                hasher.update(Value::from(key.as_str()).to_string());
                hasher.update(b":");
                feed(value, hasher);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(list) => {
            hasher.update(b"[");
            for value in list {
                feed(value, hasher);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => hasher.update(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_nulls_do_not_count() {
        let [left, right, other] = [r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1,2],"c":null,"a":1}"#, r#"{"a":1,"b":[2,1]}"#]
            .map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
        assert_eq!(hex(&[&left], ""), hex(&[&right], ""));
        assert_ne!(hex(&[&left], ""), hex(&[&other], ""));
        assert_ne!(hex(&[&left], ""), hex(&[&left], "x"));
        assert_eq!(short(&[&left], "").len(), 10);
    }
}
