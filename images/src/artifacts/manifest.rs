//! The manifest of an artifact: an image manifest, fields in the order in which Podman writes them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use storage::Digest;

pub(super) const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Of a configuration that says nothing: `{}`.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(super) const EMPTY_CONTENT: &[u8] = b"{}";
/// The same in RFC 4648's base64.
const EMPTY_DATA: &str = "e30=";
/// Annotations of the image specification, annotations.md.
pub(super) const TITLE: &str = "org.opencontainers.image.title";
pub(super) const CREATED: &str = "org.opencontainers.image.created";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub artifact_type: String,
    pub config: Descriptor,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Box<Descriptor>>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The image specification's descriptor.md.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The content itself, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data: String,
}

/// Go writes an empty list or map as `null`.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Manifest {
    /// One without any files yet.
    pub(super) fn new(artifact_type: &str, annotations: &BTreeMap<String, String>, created: Timestamp) -> Manifest {
        let mut annotations = annotations.clone();
        annotations.insert(CREATED.to_owned(), created.to_string());
        Manifest {
            schema_version: 2,
            media_type: IMAGE_MANIFEST.to_owned(),
            artifact_type: artifact_type.to_owned(),
            config: Descriptor {
                media_type: EMPTY.to_owned(),
                digest: Digest::of(EMPTY_CONTENT),
                size: EMPTY_CONTENT.len() as u64,
                annotations: BTreeMap::new(),
                data: EMPTY_DATA.to_owned(),
            },
            layers: Vec::new(),
            subject: None,
            annotations,
        }
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add)
    }

    /// When it was made, where it says so.
    pub fn created(&self) -> Option<Timestamp> {
        self.annotations.get(CREATED)?.parse().ok()
    }

    /// Configuration and files.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.config.digest).chain(self.layers.iter().map(|layer| &layer.digest))
    }
}

impl Descriptor {
    /// The name of the file, where it has one.
    pub fn title(&self) -> Option<&str> {
        self.annotations.get(TITLE).map(String::as_str).filter(|title| !title.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_written_as_podman_writes_it() {
        let annotations = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let manifest = Manifest::new("app/x", &annotations, "2026-11-21T12:08:43.833010953Z".parse().unwrap());
        assert_eq!(
            serde_json::to_string(&manifest).unwrap(),
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"app/x","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},"layers":[],"annotations":{"k":"v","org.opencontainers.image.created":"2026-11-21T12:08:43.833010953Z"}}"#
        );
    }

    #[test]
    fn what_go_leaves_nil_is_empty() {
        let digest = Digest::of(b"");
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{digest}","size":0}},"layers":null,"annotations":null}}"#
        );
        let manifest: Manifest = serde_json::from_str(&text).unwrap();
        assert_eq!((manifest.layers.len(), manifest.annotations.len(), manifest.created()), (0, 0, None));
    }
}
