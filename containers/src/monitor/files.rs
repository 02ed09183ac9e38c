//! The files that creel manages inside a container, written to its run directory and bound from there.

use std::fs;
use std::path::{Path, PathBuf};

use network::Addresses;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::oci::ManagedFile;

/// What is written before the container is made. /etc/hosts is filled in by [`write_hosts`] when the addresses are known,
/// through the same inode.
pub(super) fn write(
    run_dir: &Path,
    container: &Container,
    hostname: &str,
    dns: Option<&Addresses>,
    shared: Option<&Path>,
) -> Result<Vec<ManagedFile>> {
    let spec = container.spec();
    let mut files = Vec::new();
    let mut put = |name: &str, destination: &'static str, text: &str| -> Result<()> {
        let source = run_dir.join(name);
        fs::write(&source, text).map_err(Error::io(&source))?;
        files.push(ManagedFile { source, destination });
        Ok(())
    };
    if !spec.no_hostname {
        put("hostname", "/etc/hostname", &format!("{hostname}\n"))?;
    }
    put("containerenv", "/run/.containerenv", &containerenv(container))?;
    // A container that joins another one's network shares its names too.
    if let Some(other) = shared {
        for (name, destination) in [("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf")] {
            let source = other.join(name);
            if source.exists() {
                files.push(ManagedFile { source, destination });
            }
        }
        return Ok(files);
    }
    if !spec.network.no_hosts {
        put("hosts", "/etc/hosts", "")?;
    }
    if !spec.network.dns_none {
        put("resolv.conf", "/etc/resolv.conf", &resolv_conf(container, dns))?;
    }
    Ok(files)
}

/// Fills /etc/hosts: the container's own names, the host's, and the user's.
pub(super) fn write_hosts(
    run_dir: &Path,
    container: &Container,
    hostname: &str,
    addresses: Option<&Addresses>,
    host_network: bool,
) -> Result<()> {
    let spec = container.spec();
    if spec.network.no_hosts {
        return Ok(());
    }
    let base = match spec.network.hosts_file.as_deref() {
        Some("none") => String::new(),
        Some(path) if path != "image" => fs::read_to_string(path).map_err(Error::io(path))?,
        _ if host_network => fs::read_to_string("/etc/hosts").unwrap_or_default(),
        _ => String::new(),
    };
    let names = [hostname.to_owned(), container.name().to_owned()];
    let text = network::hosts::text(&network::hosts::Hosts {
        base: &base,
        own_names: &names,
        addresses,
        entries: &spec.network.add_hosts,
    });
    let path = run_dir.join("hosts");
    fs::write(&path, text).map_err(Error::io(&path))
}

fn resolv_conf(container: &Container, uplink: Option<&Addresses>) -> String {
    let spec = &container.spec().network;
    let host = network::resolv::read_host();
    network::resolv::text(&network::resolv::Resolv {
        host: &host,
        uplink: uplink.map(|uplink| uplink.dns.as_slice()).unwrap_or_default(),
        isolated: uplink.is_some(),
        servers: &spec.dns,
        search: &spec.dns_search,
        options: &spec.dns_options,
    })
}

/// Always there; filled for a privileged container.
fn containerenv(container: &Container) -> String {
    if !container.spec().security.privileged {
        return String::new();
    }
    let image = container.record.image.as_ref();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    format!(
        "engine=\"creel-{}\"\nname=\"{}\"\nid=\"{}\"\nimage=\"{}\"\nimageid=\"{}\"\nrootless=1\n",
        env!("CARGO_PKG_VERSION"),
        container.name(),
        container.id(),
        text(image.map(|image| image.name.as_str())),
        text(image.map(|image| image.id.as_str())),
    )
}

/// Copies of the image's passwd and group with a line for a user that they do not know.
pub(super) fn add_account(
    engine: &Engine,
    run_dir: &Path,
    container: &Container,
    account: &crate::users::Account,
) -> Result<Vec<ManagedFile>> {
    let mut files = Vec::new();
    for (name, destination, text) in [
        ("passwd", "/etc/passwd", crate::users::passwd_with(engine, container, account)?),
        ("group", "/etc/group", crate::users::group_with(engine, container, account)?),
    ] {
        if let Some(text) = text {
            let source: PathBuf = run_dir.join(name);
            fs::write(&source, text).map_err(Error::io(&source))?;
            files.push(ManagedFile { source, destination });
        }
    }
    Ok(files)
}
