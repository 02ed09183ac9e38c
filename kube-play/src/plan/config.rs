//! ConfigMaps and Secrets, and their keys as files.

use std::collections::BTreeMap;

use network::Certificate;
use serde::{Deserialize, Serialize};

use super::{FieldRef, Meta, Objects, PodFacts, ResourceRef};

/// A ConfigMap or a Secret to be stored. Secrets are in clear: whoever writes this down keeps it from others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigObject {
    pub meta: Meta,
    pub data: BTreeMap<String, Bytes>,
    /// A Secret's; `Opaque` where none was written. Empty for ConfigMaps.
    pub kind: String,
    pub immutable: bool,
}

impl ConfigObject {
    /// The certificate and key of a Secret, for no host yet, or what is wrong with them: `has no ...`.
    pub fn certificate(&self) -> Result<Certificate, String> {
        let text = |key: &str| match self.data.get(key) {
            Some(value) => Ok(String::from_utf8_lossy(&value.bytes).into_owned()),
            None => Err(format!("has no key {key:?}")),
        };
        let certificate = Certificate { hosts: Vec::new(), chain: text("tls.crt")?, key: text("tls.key")? };
        certificate.check().map_err(|error| error.to_string())?;
        Ok(certificate)
    }
}

/// A value of a ConfigMap or a Secret: text where it is UTF-8. `binary` comes from `binaryData`, which no variable reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    pub bytes: Vec<u8>,
    pub binary: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BytesForm {
    Text(String),
    Base64(String),
    Binary(String),
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.bytes) {
            _ if self.binary => BytesForm::Binary(crate::model::encoded(&self.bytes)),
            Ok(text) => BytesForm::Text(text.to_owned()),
            Err(_) => BytesForm::Base64(crate::model::encoded(&self.bytes)),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let decoded =
            |text: String| crate::model::decoded(&text).ok_or_else(|| serde::de::Error::custom("is not base64"));
        Ok(match BytesForm::deserialize(deserializer)? {
            BytesForm::Text(text) => Bytes { bytes: text.into_bytes(), binary: false },
            BytesForm::Base64(text) => Bytes { bytes: decoded(text)?, binary: false },
            BytesForm::Binary(text) => Bytes { bytes: decoded(text)?, binary: true },
        })
    }
}

/// What a volume of configMap, secret, downwardAPI or projected holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Projection {
    /// Permission bits of files without their own.
    pub mode: u32,
    pub sources: Vec<ProjectedSource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectedSource {
    ConfigMap { name: String, items: Vec<KeyPath>, optional: bool },
    Secret { name: String, items: Vec<KeyPath>, optional: bool },
    Downward { items: Vec<DownwardFile> },
}

/// A key that becomes a file; no items at all: every key under its own name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPath {
    pub key: String,
    /// Relative, without `..`.
    pub path: String,
    pub mode: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownwardFile {
    pub path: String,
    pub value: DownwardValue,
    pub mode: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DownwardValue {
    Field(FieldRef),
    Resource(ResourceRef),
}

/// One file of a projected volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectedFile {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

impl Projection {
    /// The files as they are now, by path; where two sources write one path the later wins. Fails with what is missing.
    pub fn files(&self, objects: &Objects, facts: &PodFacts) -> Result<BTreeMap<String, ProjectedFile>, String> {
        let mut files = BTreeMap::new();
        for source in &self.sources {
            let (object, word, name, items, optional) = match source {
                ProjectedSource::ConfigMap { name, items, optional } => {
                    (objects.config_map(&facts.namespace, name), "ConfigMap", name, items, *optional)
                }
                ProjectedSource::Secret { name, items, optional } => {
                    (objects.secret(&facts.namespace, name), "Secret", name, items, *optional)
                }
                ProjectedSource::Downward { items } => {
                    for item in items {
                        let text = match &item.value {
                            DownwardValue::Field(field) => field.value(facts),
                            DownwardValue::Resource(resource) => resource.value(facts),
                        };
                        let mode = item.mode.unwrap_or(self.mode);
                        files.insert(item.path.clone(), ProjectedFile { bytes: text.into_bytes(), mode });
                    }
                    continue;
                }
            };
            let Some(object) = object else {
                if optional {
                    continue;
                }
                return Err(format!("{word} {name:?} does not exist in namespace {}", facts.namespace));
            };
            if items.is_empty() {
                for (key, value) in &object.data {
                    files.insert(key.clone(), ProjectedFile { bytes: value.bytes.clone(), mode: self.mode });
                }
            }
            for item in items {
                match object.data.get(&item.key) {
                    Some(value) => {
                        let mode = item.mode.unwrap_or(self.mode);
                        files.insert(item.path.clone(), ProjectedFile { bytes: value.bytes.clone(), mode });
                    }
                    None if optional => {}
                    None => return Err(format!("{word} {name:?} has no key {:?}", item.key)),
                }
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::planned;

    #[test]
    fn stored_values_come_back_as_they_were() {
        let plan = planned(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { text: 'zwölf' }\nbinaryData: { blob: AP8=, ascii: Zm9v }\n",
        );
        let written = serde_json::to_string(&plan).expect("JSON");
        assert_eq!(serde_json::from_str::<crate::Plan>(&written).expect("JSON"), plan);
    }
}
