//! Images made by the tests themselves: nothing comes from a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::archive::Archive;

/// An image as values: uncompressed layers, bottom first, and the `config` of its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) config: Value,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Draft {
    pub(crate) fn new(layers: Vec<Vec<u8>>) -> Draft {
        Draft { layers, config: json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }) }
    }

    /// The whole configuration blob.
    pub(crate) fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<String> = self.layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
        let history: Vec<Value> = (1..=self.layers.len())
            .map(|number| json!({ "created": CREATED, "created_by": format!("layer {number}") }))
            .collect();
        let whole = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        serde_json::to_vec(&whole).unwrap()
    }

    /// The image's id: 64 hexadecimal digits.
    pub(crate) fn id(&self) -> String {
        sha256(&self.configuration())
    }

    /// What `docker save` writes.
    pub(crate) fn docker_archive(&self, names: &[&str]) -> Vec<u8> {
        docker_archive(&[(names, self)])
    }

    /// Writes an OCI image layout with this one image, tagged.
    pub(crate) fn oci_layout(&self, folder: &Path, tag: &str, compression: Compression) {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        let blob = |bytes: &[u8]| {
            let hex = sha256(bytes);
            fs::write(blobs.join(&hex), bytes).unwrap();
            (format!("sha256:{hex}"), bytes.len())
        };
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| {
                let (kind, bytes) = compressed(layer, compression);
                let (digest, size) = blob(&bytes);
                json!({ "mediaType": kind, "digest": digest, "size": size })
            })
            .collect();
        let (digest, size) = blob(&self.configuration());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size },
            "layers": layers,
        });
        let (digest, size) = blob(&serde_json::to_vec(&manifest).unwrap());
        let index = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest,
                "size": size,
                "annotations": { "org.opencontainers.image.ref.name": tag },
            }],
        });
        fs::write(folder.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }
}

/// The time in every configuration, so that equal content gives equal ids.
pub(crate) const CREATED: &str = "2026-01-02T03:04:05Z";

pub(crate) fn docker_archive(images: &[(&[&str], &Draft)]) -> Vec<u8> {
    let mut archive = Archive::new();
    let mut manifest = Vec::new();
    let mut written = Vec::new();
    for (names, draft) in images {
        let mut layers = Vec::new();
        for layer in &draft.layers {
            let name = format!("{}.tar", sha256(layer));
            if !written.contains(&name) {
                archive = archive.file(&name, 0o644, layer);
                written.push(name.clone());
            }
            layers.push(name);
        }
        let config = format!("{}.json", draft.id());
        if !written.contains(&config) {
            archive = archive.file(&config, 0o644, draft.configuration());
            written.push(config.clone());
        }
        manifest.push(json!({ "Config": config, "RepoTags": names, "Layers": layers }));
    }
    archive.file("manifest.json", 0o644, serde_json::to_vec(&manifest).unwrap()).bytes()
}

fn compressed(layer: &[u8], compression: Compression) -> (&'static str, Vec<u8>) {
    match compression {
        Compression::None => ("application/vnd.oci.image.layer.v1.tar", layer.to_vec()),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, layer).unwrap();
            ("application/vnd.oci.image.layer.v1.tar+gzip", encoder.finish().unwrap())
        }
        Compression::Zstd => ("application/vnd.oci.image.layer.v1.tar+zstd", zstd::encode_all(layer, 3).unwrap()),
    }
}

/// The image `box`: busybox under all its names, two users, some content, and `idle`, which says `ready`, stays, and ends
/// at once when asked to stop.
pub(crate) fn box_draft() -> &'static Draft {
    static DRAFT: OnceLock<Draft> = OnceLock::new();
    DRAFT.get_or_init(|| {
        let mut layer = Archive::new();
        for folder in [
            "bin",
            "dev",
            "etc",
            "home",
            "proc",
            "root",
            "run",
            "sys",
            "usr",
            "usr/bin",
            "var",
            "www",
            "content",
            "content/sub",
        ] {
            layer = layer.directory(folder, 0o755);
        }
        for folder in ["tmp", "var/tmp"] {
            layer = layer.directory(folder, 0o1777);
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let busybox = busybox.expect("the tests need the package busybox-static");
        let applets = Command::new(busybox).arg("--list").output().unwrap().stdout;
        layer = layer.file("bin/busybox", 0o755, fs::read(busybox).unwrap());
        for applet in String::from_utf8(applets).unwrap().lines().filter(|&applet| applet != "busybox") {
            layer = layer.symlink(&format!("bin/{applet}"), "busybox");
        }
        let layer = layer
            .file("bin/idle", 0o755, IDLE)
            .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n")
            .file("etc/group", 0o644, "root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n")
            .file("etc/notes", 0o644, "not a program\n")
            .owned("home/alice", tar::EntryType::Directory, 0o755, (1000, 1000), None, &[])
            .file("content/one", 0o644, "one\n")
            .file("content/sub/two", 0o600, "two\n")
            .file("www/index.html", 0o644, "hello from the box\n")
            .bytes();
        Draft {
            layers: vec![layer],
            config: json!({
                "Cmd": ["sh"],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "ORIGIN=image"],
                "Labels": { "kind": "box" },
                "WorkingDir": "/",
            }),
        }
    })
}

const IDLE: &str = "#!/bin/sh\ntrap 'exit 0' TERM\necho ready\nwhile :; do sleep 1000 & wait $!; done\n";

/// The box as a file that can be loaded, written once.
pub(super) fn box_archive(base: &Path) -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let path = base.join("box.tar");
        fs::write(&path, box_draft().docker_archive(&[super::BOX])).unwrap();
        path
    })
}

/// An image on top of the box with other settings.
pub(crate) fn box_with(config: Value) -> Draft {
    let mut draft = box_draft().clone();
    for (key, value) in config.as_object().unwrap() {
        draft.config[key] = value.clone();
    }
    draft
}
