//! One image as JSON, in Podman's words.

use serde_json::{Map, Value, json};
use storage::{Driver, Store};

use crate::error::Result;
use crate::image::Image;

pub fn inspect(store: &Store, image: &Image) -> Result<Value> {
    let config = image.raw_config.get("config").filter(|config| config.is_object()).cloned();
    let (tags, _): (Vec<&String>, Vec<&String>) = image.names.iter().partition(|name| !name.contains('@'));
    let text = |key: &str| image.raw_config.get(key).and_then(Value::as_str).unwrap_or_default();
    let manifest_type = image.raw_manifest.get("mediaType").and_then(Value::as_str);
    let annotations = image.raw_manifest.get("annotations").filter(|all| all.is_object()).cloned();
    let history: Vec<Value> = image.raw_config.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
    let labels = (!image.settings.labels.is_empty()).then_some(&image.settings.labels);
    let mut value = json!({
        "Id": image.id,
        "Digest": image.digest.to_string(),
        "RepoTags": tags,
        "RepoDigests": repo_digests(image),
        "Parent": image.parent.clone().unwrap_or_default(),
        "Comment": image.comment(),
        "Created": image.created.to_string(),
        "Config": config.map_or_else(|| json!({}), without_nulls),
        "Version": text("docker_version"),
        "Author": image.author(),
        "Architecture": image.architecture(),
        "Os": image.os(),
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": { "Name": driver(store), "Data": graph_data(store, image) },
        "RootFS": { "Type": "layers", "Layers": image.config.rootfs().diff_ids() },
        "Labels": labels,
        "Annotations": annotations.unwrap_or_else(|| json!({})),
        "ManifestType": manifest_type.unwrap_or("application/vnd.oci.image.manifest.v1+json"),
        "User": image.settings.user,
        "History": history,
        "NamesHistory": image.name_history,
    });
    if !image.variant().is_empty() {
        value["Variant"] = image.variant().into();
    }
    if let Some(check) = &image.settings.healthcheck {
        value["Healthcheck"] = serde_json::to_value(check).unwrap_or_default();
    }
    Ok(value)
}

/// The digest in every repository whose name it has, besides what is recorded.
fn repo_digests(image: &Image) -> Vec<String> {
    let mut digests = image.repo_digests.clone();
    for name in &image.names {
        let Ok(reference) = name.parse::<crate::Reference>() else { continue };
        let by_digest = reference.with_digest(reference.digest().unwrap_or(&image.digest)).to_string();
        if !digests.contains(&by_digest) {
            digests.push(by_digest);
        }
    }
    digests.sort();
    digests
}

fn driver(store: &Store) -> &'static str {
    match store.options().driver {
        Driver::Overlay => "overlay",
        Driver::Vfs => "vfs",
    }
}

/// Where the layers are, top-most first, in the words of Podman's overlay driver.
fn graph_data(store: &Store, image: &Image) -> Map<String, Value> {
    let paths: Vec<String> =
        image.layers.iter().rev().map(|layer| store.layer_path(layer).display().to_string()).collect();
    let mut data = Map::new();
    if let Some((top, lower)) = paths.split_first() {
        if !lower.is_empty() {
            data.insert("LowerDir".to_owned(), lower.join(":").into());
        }
        data.insert("UpperDir".to_owned(), top.clone().into());
    }
    data
}

fn without_nulls(mut config: Value) -> Value {
    if let Value::Object(fields) = &mut config {
        fields.retain(|_, value| !value.is_null());
    }
    config
}
