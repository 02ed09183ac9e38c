//! Volumes as claims, and a container's mounts as volumes of its pod.

use std::path::Path;

use containers::{Container, MountKind, MountSpec};
use pods::MemoryVolume;
use serde_json::{Map, Value, json};

/// A named volume as a PersistentVolumeClaim.
pub(super) fn claim(volume: &containers::Volume, now: &str) -> Value {
    let mut annotations = Map::new();
    let mut annotate = |key: &str, value: String| annotations.insert(format!("volume.podman.io/{key}"), value.into());
    annotate("driver", if volume.driver.is_empty() { "local".into() } else { volume.driver.clone() });
    if volume.uid != 0 {
        annotate("uid", volume.uid.to_string());
    }
    if volume.gid != 0 {
        annotate("gid", volume.gid.to_string());
    }
    for (option, key) in [("type", "type"), ("device", "device"), ("o", "mount-options")] {
        if let Some(value) = volume.options.get(option) {
            annotate(key, value.clone());
        }
    }
    let mut metadata = json!({ "name": volume.name, "annotations": annotations, "creationTimestamp": now });
    if !volume.labels.is_empty() {
        metadata["labels"] = json!(volume.labels);
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        "status": {},
    })
}

/// The volumes of one pod, each named once.
pub(super) struct Volumes<'a> {
    all: Vec<Value>,
    /// Those in memory that its containers share.
    memory: &'a [MemoryVolume],
}

impl<'a> Volumes<'a> {
    pub(super) fn of_pod(memory: &'a [MemoryVolume]) -> Volumes<'a> {
        Volumes { all: Vec::new(), memory }
    }

    pub(super) fn into_list(self) -> Vec<Value> {
        self.all
    }

    /// The mounts of one container: what the host has first, then named volumes.
    pub(super) fn mounts(&mut self, container: &Container, notes: &mut Vec<String>) -> Vec<Value> {
        let name = container.name();
        let declared = |mount: &MountSpec| {
            let image = container.record.image.as_ref();
            image.is_some_and(|image| image.volumes.iter().any(|path| Path::new(path) == mount.destination))
        };
        let (named, others): (Vec<_>, Vec<_>) = container
            .spec()
            .mounts
            .iter()
            // The image makes its own again.
            .filter(|mount| !(is_anonymous(mount) && declared(mount)))
            .partition(|mount| matches!(mount.kind, MountKind::Volume { .. }) && !is_anonymous(mount));
        let mut mounts = Vec::new();
        for (index, mount) in others.into_iter().enumerate() {
            let Some((volume, source)) = self.unnamed(mount, index) else {
                let place = mount.destination.display();
                notes.push(format!("container {name}: the mount on {place} has no place in a manifest"));
                continue;
            };
            mounts.push(at(mount, &volume));
            self.add(&volume, source);
        }
        for mount in named {
            let MountKind::Volume { name: Some(volume), .. } = &mount.kind else { continue };
            let mut source = json!({ "claimName": volume });
            if mount.read_only {
                source["readOnly"] = true.into();
            }
            let volume = format!("{volume}-pvc");
            mounts.push(at(mount, &volume));
            self.add(&volume, json!({ "persistentVolumeClaim": source }));
        }
        let odd = |option: &&String| {
            !matches!(
                option.as_str(),
                "rbind" | "bind" | "rprivate" | "private" | "rslave" | "slave" | "rshared" | "shared" | "z" | "Z" | "U"
            )
        };
        for mount in &container.spec().mounts {
            if let Some(option) = mount.options.iter().find(odd) {
                let place = mount.destination.display();
                notes.push(format!("container {name}: the option {option} of the mount on {place} is left out"));
            }
        }
        mounts
    }

    fn add(&mut self, name: &str, source: Value) {
        if self.all.iter().any(|volume| volume["name"] == name) {
            return;
        }
        let mut volume = source;
        volume["name"] = name.into();
        self.all.push(volume);
    }

    /// Name and source of a volume that nobody has named.
    fn unnamed(&self, mount: &MountSpec, index: usize) -> Option<(String, Value)> {
        match &mount.kind {
            MountKind::Bind { source, overlay: false } => {
                let path = source.to_string_lossy();
                let words = path.trim_matches('/').replace(|c: char| !c.is_ascii_alphanumeric(), "-").to_lowercase();
                let words = words.trim_matches('-');
                let words = &words[..words.len().min(40)];
                let name = if words.is_empty() { "root".to_owned() } else { words.trim_end_matches('-').to_owned() };
                let source = json!({ "hostPath": { "path": path, "type": kind_of(source) } });
                Some((format!("{name}-host-{index}"), source))
            }
            MountKind::Bind { overlay: true, .. }
            | MountKind::Artifact { .. }
            | MountKind::Root { .. }
            | MountKind::DevPts
            | MountKind::Ramfs => None,
            MountKind::Tmpfs { size, .. } => Some((format!("tmp-{index}"), in_memory(*size))),
            MountKind::Lent { path, .. } => {
                let name = path.file_name()?.to_string_lossy();
                let size = self.memory.iter().find(|volume| volume.name == name).and_then(|volume| volume.size);
                Some((name.into_owned(), in_memory(size)))
            }
            MountKind::Volume { .. } => Some((format!("anonymous-{index}"), json!({ "emptyDir": {} }))),
            MountKind::Image { reference, read_write: false, .. } => {
                let source = json!({ "image": { "reference": reference, "pullPolicy": "IfNotPresent" } });
                Some((format!("image-{index}"), source))
            }
            MountKind::Image { read_write: true, .. } => None,
        }
    }
}

fn is_anonymous(mount: &MountSpec) -> bool {
    matches!(mount.kind, MountKind::Volume { anonymous: true, .. } | MountKind::Volume { name: None, .. })
}

fn at(mount: &MountSpec, volume: &str) -> Value {
    let mut entry = json!({ "mountPath": mount.destination.to_string_lossy(), "name": volume });
    if mount.read_only {
        entry["readOnly"] = true.into();
    }
    if let Some(path) = &mount.subpath {
        entry["subPath"] = path.to_string_lossy().into();
    }
    let propagation = mount.options.iter().find_map(|option| match option.as_str() {
        "rshared" | "shared" => Some("Bidirectional"),
        "rslave" | "slave" => Some("HostToContainer"),
        _ => None,
    });
    if let Some(propagation) = propagation {
        entry["mountPropagation"] = propagation.into();
    }
    entry
}

fn in_memory(size: Option<u64>) -> Value {
    let mut source = json!({ "medium": "Memory" });
    if let Some(size) = size {
        source["sizeLimit"] = super::container::bytes(size).into();
    }
    json!({ "emptyDir": source })
}

/// What is there says what is meant; a source that is gone was most likely a directory.
fn kind_of(path: &Path) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let Ok(metadata) = std::fs::metadata(path) else { return "DirectoryOrCreate" };
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => "Directory",
        () if kind.is_socket() => "Socket",
        () if kind.is_char_device() => "CharDevice",
        () if kind.is_block_device() => "BlockDevice",
        () => "File",
    }
}
