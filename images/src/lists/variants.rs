//! What a list is sent with beyond its images: each of them again, compressed in another way.
//!
//! skopeo compresses, from one `dir` directory into another; what is sent is then complete and goes out as it is.

use std::fs;
use std::path::Path;

use serde_json::Value;
use storage::Digest;

use super::push::ListPushOptions;
use super::record::{Instance, ListRecord};
use crate::error::{Error, Result};
use crate::{skopeo, view};

/// The mark by which a client finds the variant it likes best.
const ZSTD_MARK: &str = "io.github.containers.compression.zstd";

/// Compresses the images in `sent`, a `dir` directory of the list, as the options want them, and adds the variants that the
/// list does not have for a platform. Returns the list as it is to be sent; `scratch` is for what is made on the way.
pub(super) fn prepare(list: &ListRecord, sent: &Path, scratch: &Path, options: &ListPushOptions) -> Result<ListRecord> {
    let push = &options.push;
    let usual = push.compression_format.as_deref().unwrap_or("gzip");
    let mut whole = list.clone();
    for instance in &mut whole.instances {
        let manifest = read(sent, instance)?;
        let layers = Layers::of(&manifest);
        if layers.are_plain() || (push.force_compression && !layers.are(usual)) {
            *instance = compressed(sent, scratch, instance, &manifest, options, usual)?;
        }
    }
    for instance in whole.instances.clone() {
        let manifest = read(sent, &instance)?;
        if Layers::of(&manifest).0.is_empty() {
            continue;
        }
        for algorithm in &options.add_compression {
            let is_there = |other: &Instance| -> Result<bool> {
                Ok(other.platform == instance.platform && Layers::of(&read(sent, other)?).are(algorithm))
            };
            let there: Vec<bool> = whole.instances.iter().map(is_there).collect::<Result<_>>()?;
            if !there.contains(&true) {
                whole.instances.push(compressed(sent, scratch, &instance, &manifest, options, algorithm)?);
            }
        }
    }
    Ok(whole)
}

fn read(sent: &Path, instance: &Instance) -> Result<Value> {
    let path = sent.join(format!("{}.manifest.json", instance.digest.hex()));
    let bytes = fs::read(&path).map_err(Error::file(&path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::BadImage { reference: instance.digest.to_string(), reason: error.to_string() })
}

/// The file system layers of a manifest, as (packing, chunked). An artifact has none.
struct Layers(Vec<(String, bool)>);

impl Layers {
    fn of(manifest: &Value) -> Layers {
        let packed = |layer: &Value| {
            let (_, packing) = layer["mediaType"].as_str()?.rsplit_once(".tar")?;
            let annotations = layer["annotations"].as_object();
            let chunked = annotations.is_some_and(|annotations| annotations.keys().any(|key| key.contains("chunked")));
            Some((packing.trim_start_matches(['+', '.']).to_owned(), chunked))
        };
        Layers(manifest["layers"].as_array().into_iter().flatten().filter_map(packed).collect())
    }

    fn are_plain(&self) -> bool {
        self.0.iter().any(|(packing, _)| packing.is_empty())
    }

    fn are(&self, algorithm: &str) -> bool {
        let fits = |(packing, chunked): &(String, bool)| match algorithm {
            "zstd:chunked" => packing == "zstd" && *chunked,
            _ => packing == algorithm,
        };
        self.0.iter().all(fits)
    }
}

/// The image once more in `sent`, with this algorithm.
fn compressed(
    sent: &Path,
    scratch: &Path,
    instance: &Instance,
    manifest: &Value,
    options: &ListPushOptions,
    algorithm: &str,
) -> Result<Instance> {
    let (from, to) = (scratch.join("from"), scratch.join("to"));
    for dir in [&from, &to] {
        fs::create_dir(dir).map_err(Error::file(dir))?;
    }
    let original = sent.join(format!("{}.manifest.json", instance.digest.hex()));
    view::write_manifest_file(&from, &fs::read(&original).map_err(Error::file(&original))?)?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    for blob in std::iter::once(&manifest["config"]).chain(layers) {
        let digest: Digest = blob["digest"].as_str().unwrap_or_default().parse()?;
        let blob = fs::canonicalize(sent.join(digest.hex())).map_err(Error::file(sent.join(digest.hex())))?;
        view::link_file(&blob, &from.join(digest.hex()))?;
    }

    let mut command = skopeo::command();
    command.args(["--insecure-policy", "copy", "-q", "--dest-compress", "--dest-compress-format", algorithm]);
    if options.push.compression_format.as_deref() == Some(algorithm)
        && let Some(level) = options.push.compression_level
    {
        command.arg(format!("--dest-compress-level={level}"));
    }
    match &options.push.format {
        Some(format) => _ = command.args(["--format", format]),
        // Docker's manifests have no word for it.
        None if algorithm != "gzip" => _ = command.args(["--format", "oci"]),
        None => {}
    }
    command.arg(format!("dir:{}", from.display())).arg(format!("dir:{}", to.display()));
    skopeo::output(&mut command, &instance.digest.to_string())?;

    let made = fs::read(to.join("manifest.json")).map_err(Error::file(to.join("manifest.json")))?;
    let media_type =
        serde_json::from_slice::<Value>(&made).ok().and_then(|made| made["mediaType"].as_str().map(Into::into));
    let mut variant = Instance {
        digest: Digest::of(&made),
        size: made.len() as u64,
        media_type: media_type.unwrap_or_else(|| instance.media_type.clone()),
        ..instance.clone()
    };
    variant.annotations.remove(ZSTD_MARK);
    if algorithm.starts_with("zstd") {
        variant.annotations.insert(ZSTD_MARK.to_owned(), "true".to_owned());
    }
    view::take_in(&to, sent, &variant.digest)?;
    for dir in [from, to] {
        fs::remove_dir_all(&dir).map_err(Error::file(dir))?;
    }
    Ok(variant)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_packing_is_read_from_either_kind_of_manifest() {
        let of = |types: &[&str]| {
            let layers: Vec<Value> = types.iter().map(|name| json!({ "mediaType": name })).collect();
            Layers::of(&json!({ "layers": layers }))
        };
        let (oci, docker) = ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar");
        assert!(of(&[oci]).are_plain() && of(&[docker]).are_plain());
        assert!(of(&[&format!("{oci}+gzip"), &format!("{docker}.gzip")]).are("gzip"));
        assert!(!of(&[&format!("{oci}+gzip"), &format!("{oci}+zstd")]).are("zstd"));
        assert!(!of(&[&format!("{oci}+zstd")]).are("zstd:chunked"));
        assert!(of(&["text/plain"]).0.is_empty());
    }
}
