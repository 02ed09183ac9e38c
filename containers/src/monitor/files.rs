//! The files that creel manages inside a container, written to its run directory and bound from there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use network::Addresses;
use network::hosts::Hosts;
use network::resolv::{Reach, Resolv};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::oci::ManagedFile;

/// What is written before the container is made. /etc/hosts and /etc/resolv.conf are only put in place: [`fill`] writes
/// them through the same inodes when the addresses are known.
pub(super) fn write(
    run_dir: &Path,
    container: &Container,
    hostname: &str,
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
        put("resolv.conf", "/etc/resolv.conf", "")?;
    }
    Ok(files)
}

/// Fills /etc/hosts (the container's own names, the host's, and the user's) and /etc/resolv.conf.
pub(super) fn fill(
    run_dir: &Path,
    container: &Container,
    hostname: &str,
    addresses: Option<&Addresses>,
    reach: Reach,
) -> Result<()> {
    let spec = &container.spec().network;
    if !spec.no_hosts {
        let base = match spec.hosts_file.as_deref() {
            Some("none" | "image") => String::new(),
            Some(path) => fs::read_to_string(path).map_err(Error::io(path))?,
            None => fs::read_to_string("/etc/hosts").unwrap_or_default(),
        };
        let own = addresses.and_then(|found| found.ipv4.map(IpAddr::V4).or(found.ipv6.map(IpAddr::V6)));
        let names = [hostname, container.name()];
        let hosts = Hosts {
            base: &base,
            extra: &spec.add_hosts,
            own: Some((own.unwrap_or(Ipv4Addr::LOCALHOST.into()), names.as_slice())),
            host_gateway: host_gateway(addresses, reach),
        };
        let path = run_dir.join("hosts");
        fs::write(&path, hosts.text()?).map_err(Error::io(&path))?;
    }
    if !spec.dns_none {
        let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let host = match network::resolv::host_file(&host, reach) {
            "/etc/resolv.conf" => host,
            behind => fs::read_to_string(behind).unwrap_or(host),
        };
        let resolv = Resolv {
            host: &host,
            uplink: addresses.map(|found| found.dns.as_slice()).unwrap_or_default(),
            servers: &spec.dns,
            search: &spec.dns_search,
            options: &spec.dns_options,
            reach,
        };
        let path = run_dir.join("resolv.conf");
        fs::write(&path, resolv.text()).map_err(Error::io(&path))?;
    }
    Ok(())
}

/// On the host's own network the host is reached by any of its addresses.
fn host_gateway(addresses: Option<&Addresses>, reach: Reach) -> Option<IpAddr> {
    match reach {
        Reach::Host => network::host_addresses().ok().and_then(|found| found.first().copied()),
        Reach::Namespace | Reach::NamespaceIpv4Only => addresses.and_then(|found| found.host_gateway),
        Reach::Nothing => None,
    }
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
