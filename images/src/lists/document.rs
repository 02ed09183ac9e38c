//! A list as the JSON document that registries keep: an OCI index, or Docker's manifest list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::{Digest, Store};

use super::record::{Instance, ListPlatform, ListRecord, find};
use super::remote;
use crate::error::{Error, Result};
use crate::pull::PullOptions;

pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Either kind; fields in the order in which Podman writes them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    /// `null` in a Docker list without any.
    pub(super) manifests: Option<Vec<Entry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[serde(default)]
    pub(super) media_type: String,
    #[serde(default)]
    pub(super) size: u64,
    pub(super) digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<ListPlatform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
}

/// Whether it can only be, or should be, an OCI index: one of its images is OCI's, or the list itself says something.
fn is_oci(list: &ListRecord) -> bool {
    !list.annotations.is_empty()
        || list.subject.is_some()
        || list.instances.iter().any(|instance| !instance.media_type.contains(".docker."))
}

fn document(list: &ListRecord) -> Document {
    let oci = is_oci(list);
    let entry = |instance: &Instance| {
        let mut platform = instance.platform.clone();
        if oci {
            // Docker's alone.
            platform.features.clear();
        }
        Entry {
            media_type: instance.media_type.clone(),
            size: instance.size,
            digest: instance.digest.clone(),
            platform: Some(platform),
            annotations: if oci { instance.annotations.clone() } else { BTreeMap::new() },
            artifact_type: None,
        }
    };
    let entries: Vec<Entry> = list.instances.iter().map(entry).collect();
    Document {
        schema_version: 2,
        media_type: if oci { OCI_INDEX } else { DOCKER_LIST }.to_owned(),
        artifact_type: None,
        manifests: (oci || !entries.is_empty()).then_some(entries),
        subject: list.subject.clone(),
        annotations: list.annotations.clone(),
    }
}

/// As a registry would keep it.
pub(crate) fn text(list: &ListRecord) -> String {
    serde_json::to_string(&document(list)).unwrap_or_default()
}

/// What `manifest inspect` shows: the list of this store, else the one of a registry.
pub fn inspect(store: &Store, name: &str, options: &PullOptions) -> Result<String> {
    let document = match find(store, name)? {
        Some(list) => document(&list),
        None => {
            let (reference, bytes) = remote::manifest_of_name(name, options)?;
            let value: Value = serde_json::from_slice(&bytes).map_err(|error| bad(&reference, &error.to_string()))?;
            if value.get("manifests").is_none() {
                return Err(bad(&reference, "it is the manifest of a single image, not a manifest list"));
            }
            serde_json::from_value(value).map_err(|error| bad(&reference, &error.to_string()))?
        }
    };
    Ok(indented(&document))
}

/// With four spaces, as Go's `MarshalIndent` is called.
fn indented(document: &Document) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Text and numbers into memory: nothing can fail.
    let _ = document.serialize(&mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

fn bad(reference: &str, reason: &str) -> Error {
    Error::BadImage { reference: reference.to_owned(), reason: reason.to_owned() }
}
