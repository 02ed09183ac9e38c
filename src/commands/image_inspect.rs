use std::collections::BTreeMap;

use images::Image;
use storage::{Driver, Store};

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Nil, Value};
use crate::{object, select};

/// Show everything about images
#[derive(clap::Args)]
pub struct Args {
    /// Show through a Go template, or as "json"
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    format: String,
    #[arg(value_name = "IMAGE [IMAGE...]")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.images.is_empty() {
        return Err(Failure::plain("no names or ids specified"));
    }
    let store = context.store()?;
    let (mut values, mut failures) = (Vec::new(), Vec::new());
    for name in &args.images {
        match images::get(&store, name) {
            Ok(image) => values.push(value(&store, &image)?),
            Err(error @ (images::Error::NotFound { .. } | images::Error::InvalidReference { .. })) => {
                failures.push(Failure::plain(error.to_string()))
            }
            Err(error) => return Err(error.into()),
        }
    }
    super::inspect::print("image inspect", values, &args.format)?;
    select::conclude_inspect(failures)
}

/// One image in Podman's words and order.
pub fn value(store: &Store, image: &Image) -> Result<Value, Failure> {
    let raw = |key: &str| image.raw_config.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let annotations = image.raw_manifest.get("annotations").cloned().filter(serde_json::Value::is_object);
    let manifest_type = image.raw_manifest.get("mediaType").and_then(serde_json::Value::as_str);
    let layers: Vec<String> = image.config.rootfs().diff_ids().to_vec();
    let (tags, _): (Vec<String>, Vec<String>) = image.names.iter().cloned().partition(|name| !name.contains('@'));
    let history: Vec<Value> = image
        .raw_config
        .get("history")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |key: &str| entry.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
            object! {
                "created" as "Created": text("created"),
                "created_by" as "CreatedBy"?: text("created_by"),
                "author" as "Author"?: text("author"),
                "comment" as "Comment"?: text("comment"),
                "empty_layer" as "EmptyLayer"?: entry.get("empty_layer").and_then(serde_json::Value::as_bool).unwrap_or(false),
            }
        })
        .collect();
    Ok(object! {
        "Id": image.id.clone(),
        fn "ID": image.id.clone(),
        "Digest": image.digest.to_string(),
        "RepoTags": tags,
        "RepoDigests": repo_digests(image),
        "Parent": image.parent.clone().unwrap_or_default(),
        "Comment": image.comment(),
        "Created": image.created,
        "Config": config(image),
        "Version": raw("docker_version"),
        "Author": image.author(),
        "Architecture": image.architecture(),
        "Os": image.os(),
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": graph_driver(store, image),
        "RootFS": object! { "Type": "layers", "Layers": layers },
        "Labels": Value::map_or_nil(&image.settings.labels),
        "Annotations": annotations.map_or_else(|| Value::Map(BTreeMap::new()), Value::from),
        "ManifestType": manifest_type.unwrap_or("application/vnd.oci.image.manifest.v1+json"),
        "User": image.settings.user.clone(),
        "History": if history.is_empty() { Value::Nil(Nil::List) } else { Value::List(history) },
        "NamesHistory": Value::list(&image.names_ever()),
        "Healthcheck"?: image.settings.healthcheck.as_ref().map(|check| object! {
            "Test"?: Value::list(&check.test),
            "StartPeriod"?: check.start_period,
            "Interval"?: check.interval,
            "Timeout"?: check.timeout,
            "Retries"?: check.retries,
        }),
    })
}

/// The digests by which registries know it.
pub fn repo_digests(image: &Image) -> Vec<String> {
    let mut digests = image.repo_digests.clone();
    for name in image.names.iter().filter(|name| !name.contains('@')) {
        let repository = repository_and_tag(name).0;
        let digest = format!("{repository}@{}", image.digest);
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    digests.sort();
    digests
}

/// `registry/name` and `tag`; a name by digest has no tag.
pub fn repository_and_tag(name: &str) -> (&str, &str) {
    let (bare, digest) = name.split_once('@').map_or((name, None), |(bare, digest)| (bare, Some(digest)));
    match bare.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ if digest.is_some() => (bare, "<none>"),
        _ => (bare, "latest"),
    }
}

fn config(image: &Image) -> Value {
    let settings = &image.settings;
    let set =
        |keys: Vec<&String>| Value::Map(keys.into_iter().map(|key| (key.clone(), Value::Struct(Vec::new()))).collect());
    object! {
        "User"?: settings.user.clone(),
        "ExposedPorts"?: set(settings.exposed_ports.keys().collect()),
        "Env"?: Value::list(&settings.env),
        "Entrypoint"?: settings.entrypoint.clone(),
        "Cmd"?: settings.cmd.clone(),
        "Volumes"?: set(settings.volumes.keys().collect()),
        "WorkingDir"?: settings.working_dir.clone(),
        "Labels"?: Value::map(&settings.labels),
        "StopSignal"?: settings.stop_signal.clone(),
        "ArgsEscaped"?: false,
    }
}

fn graph_driver(store: &Store, image: &Image) -> Value {
    let paths: Vec<String> =
        image.layers.iter().rev().map(|layer| store.layer_path(layer).display().to_string()).collect();
    let mut data = BTreeMap::new();
    if let Some((top, lower)) = paths.split_first() {
        if !lower.is_empty() {
            data.insert("LowerDir".to_owned(), lower.join(":"));
        }
        data.insert("UpperDir".to_owned(), top.clone());
    }
    let name = match store.options().driver {
        Driver::Overlay => "overlay",
        Driver::Vfs => "vfs",
    };
    object! { "Name": name, "Data": Value::map(&data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_tag() {
        let table = [
            ("localhost/bb:1", ("localhost/bb", "1")),
            ("host:5000/a/b", ("host:5000/a/b", "latest")),
            ("host:5000/a/b:2", ("host:5000/a/b", "2")),
            ("host/a@sha256:00", ("host/a", "<none>")),
        ];
        for (name, expected) in table {
            assert_eq!(repository_and_tag(name), expected);
        }
    }
}
