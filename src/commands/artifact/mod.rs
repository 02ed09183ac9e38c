//! `artifact ...`: one file for each, and here what they share.

pub mod add;
pub mod extract;
pub mod inspect;
pub mod ls;
pub mod pull;
pub mod push;
pub mod rm;

use images::artifacts::{Artifact, Descriptor};

use crate::format::Value;
use crate::object;

/// As `inspect` shows it.
pub fn value(artifact: &Artifact) -> Value {
    let manifest = &artifact.manifest;
    object! {
        "Manifest": object! {
            "schemaVersion" as "SchemaVersion": u64::from(manifest.schema_version),
            "mediaType" as "MediaType"?: manifest.media_type.clone(),
            "artifactType" as "ArtifactType"?: manifest.artifact_type.clone(),
            "config" as "Config": descriptor(&manifest.config),
            "layers" as "Layers": Value::List(manifest.layers.iter().map(descriptor).collect()),
            "subject" as "Subject"?: manifest.subject.as_deref().map(descriptor),
            "annotations" as "Annotations"?: Value::map_or_nil(&manifest.annotations),
        },
        "Name": artifact.name.clone(),
        "Digest": artifact.digest.to_string(),
    }
}

fn descriptor(descriptor: &Descriptor) -> Value {
    object! {
        "mediaType" as "MediaType": descriptor.media_type.clone(),
        "digest" as "Digest": descriptor.digest.to_string(),
        "size" as "Size": descriptor.size,
        "annotations" as "Annotations"?: Value::map_or_nil(&descriptor.annotations),
        "data" as "Data"?: descriptor.data.clone(),
    }
}
