//! Device nodes of the host for a container: `--device`, and all of them with `--privileged`.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

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
        let metadata = std::fs::metadata(&device.host).map_err(Error::io(&device.host))?;
        let node = node(&device.container, &metadata);
        if node.is_none() && !metadata.is_dir() {
            return Err(Error::Invalid(format!("{} is not a device node", device.host.display())));
        }
        match node {
            Some(node) if device.host == device.container => all.push(node),
            Some(_) | None => mounts.push(VolumeMount::Bind {
                source: device.host.clone(),
                destination: device.container.clone(),
                read_only: false,
                options: vec!["rbind".into(), "dev".into()],
            }),
        }
    }
    if spec.security.privileged {
        let dev = Path::new("/dev");
        walk(dev, dev, &mut all)?;
    }
    Ok((all, mounts))
}

/// Every node below a directory of the host; what cannot be read is left out.
fn walk(host: &Path, container: &Path, all: &mut Vec<LinuxDevice>) -> Result<()> {
    for entry in std::fs::read_dir(host).map_err(Error::io(host))?.flatten() {
        let name = entry.file_name();
        if host == Path::new("/dev") && OWN.iter().any(|own| name == *own) {
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
