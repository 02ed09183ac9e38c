//! Device nodes of the host for a container: `--device`, and all of them with `--privileged`.

use std::ffi::OsStr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use crate::error::{Error, Result};
use crate::oci::VolumeMount;
use crate::spec::ContainerSpec;

/// Nodes that every container has anyway, or has its own of.
const OWN: [&str; 11] = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "shm", "pts", "mqueue"];

/// The nodes under the host's own names, and mounts for those that have another name in the container.
pub(crate) fn resolve(spec: &ContainerSpec) -> Result<(Vec<LinuxDevice>, Vec<VolumeMount>)> {
    let mut all = Vec::new();
    let mut mounts = Vec::new();
    for device in &spec.devices {
        for (host, container) in nodes(&device.host, &device.container)? {
            let metadata = std::fs::metadata(&host).map_err(Error::io(&host))?;
            match node(&container, &metadata) {
                Some(node) if host == container => all.push(node),
                Some(_) | None => mounts.push(node_mount(&host, &container)?),
            }
        }
    }
    if spec.security.privileged {
        let dev = Path::new("/dev");
        walk(dev, dev, &mut all)?;
    }
    Ok((all, mounts))
}

/// What a path of the host stands for: the node itself, or all nodes below a directory, with their names in the container.
pub(crate) fn nodes(host: &Path, container: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let metadata = std::fs::metadata(host).map_err(Error::io(host))?;
    if !metadata.is_dir() {
        return match node(container, &metadata) {
            Some(_) => Ok(vec![(host.to_owned(), container.to_owned())]),
            None => Err(Error::Invalid(format!("{} is not a valid device: not a device node", host.display()))),
        };
    }
    let mut found = Vec::new();
    walk(host, container, &mut found)?;
    if found.is_empty() {
        return Err(Error::Invalid(format!("no devices found in {}: invalid argument", host.display())));
    }
    let on_host = |node: &LinuxDevice| match node.path().strip_prefix(container) {
        Ok(below) => (host.join(below), node.path().clone()),
        Err(_) => (node.path().clone(), node.path().clone()),
    };
    Ok(found.iter().map(on_host).collect())
}

/// A node under another name: mknod(2) is not for us, so it is the host's, bound.
pub(crate) fn node_mount(host: &Path, container: &Path) -> Result<VolumeMount> {
    let metadata = std::fs::metadata(host).map_err(Error::io(host))?;
    if node(container, &metadata).is_none() {
        return Err(Error::Invalid(format!("{} is not a valid device: not a device node", host.display())));
    }
    Ok(VolumeMount::Bind {
        source: host.to_owned(),
        destination: container.to_owned(),
        read_only: false,
        options: vec!["rbind".into(), "dev".into()],
    })
}

/// Every node below a directory of the host; what cannot be read is left out.
fn walk(host: &Path, container: &Path, all: &mut Vec<LinuxDevice>) -> Result<()> {
    for entry in std::fs::read_dir(host).map_err(Error::io(host))?.flatten() {
        let name = entry.file_name();
        if host == Path::new("/dev") && (OWN.iter().any(|own| name == *own) || is_console(&name)) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let place = container.join(&name);
        if metadata.is_dir() {
            // A directory of somebody else's is no reason to fail.
            let _ = walk(&entry.path(), &place, all);
        } else if let Some(node) = node(&place, &metadata)
            && !all.iter().any(|other| other.path() == &place)
        {
            all.push(node);
        }
    }
    Ok(())
}

/// `tty0`, `tty1`, ...: the consoles of the machine, which Podman keeps to the host.
fn is_console(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.strip_prefix("tty"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn node(place: &Path, metadata: &std::fs::Metadata) -> Option<LinuxDevice> {
    let kind = metadata.file_type();
    let typ = match () {
        () if kind.is_char_device() => LinuxDeviceType::C,
        () if kind.is_block_device() => LinuxDeviceType::B,
        () => return None,
    };
    let mut device = LinuxDevice::default();
    device.set_path(place.to_owned());
    device.set_typ(typ);
    device.set_major(rustix::fs::major(metadata.rdev()).into());
    device.set_minor(rustix::fs::minor(metadata.rdev()).into());
    Some(device)
}
