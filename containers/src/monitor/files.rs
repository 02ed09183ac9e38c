//! The files that creel manages inside a container, written to its run directory and bound from there.

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use network::hosts::Hosts;
use network::resolv::Resolv;
use network::{Addresses, Endpoint};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::oci::{ManagedFile, VolumeMount};
use crate::spec::ContainerSpec;

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
    if !spec.network.leaves_resolv_conf_alone() {
        put("resolv.conf", "/etc/resolv.conf", "")?;
    }
    Ok(files)
}

/// A container's name in the hosts file of the pod whose network it shares, for as long as it runs.
pub(super) struct SharedName {
    hosts: PathBuf,
    line: String,
}

impl SharedName {
    pub(super) fn add(shared: &Path, container: &Container) -> Result<Option<SharedName>> {
        let hosts = shared.join("hosts");
        if container.spec().pod.is_none() || !hosts.exists() {
            return Ok(None);
        }
        let name = SharedName { hosts, line: format!("127.0.0.1\t{}\n", container.name()) };
        edit(&name.hosts, |text| text.push_str(&name.line)).map_err(Error::io(&name.hosts))?;
        Ok(Some(name))
    }
}

impl Drop for SharedName {
    fn drop(&mut self) {
        // Gone with the pod's network.
        let _ = edit(&self.hosts, |text| *text = text.replacen(&self.line, "", 1));
    }
}

/// In place: it is bound into containers that run.
fn edit(path: &Path, change: impl FnOnce(&mut String)) -> std::io::Result<()> {
    let mut file = fs::File::options().read(true).write(true).open(path)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    change(&mut text);
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// The text of the files that follow from the network; `None` for one that the container does not want.
pub(super) struct Filled {
    hosts: Option<String>,
    resolv: Option<String>,
}

impl Filled {
    /// /etc/hosts (the container's own names, the host's, and the user's) and /etc/resolv.conf, in a network namespace
    /// of its own.
    pub(super) fn of(
        container: &Container,
        hostname: &str,
        addresses: Option<&Addresses>,
        endpoints: &[Endpoint],
    ) -> Result<Filled> {
        filled(container, hostname, addresses, endpoints, true)
    }
}

/// Fills the files. `isolated`: in a network namespace of its own.
pub(super) fn fill(
    run_dir: &Path,
    container: &Container,
    hostname: &str,
    addresses: Option<&Addresses>,
    endpoints: &[Endpoint],
    isolated: bool,
) -> Result<()> {
    let filled = filled(container, hostname, addresses, endpoints, isolated)?;
    for (name, text) in [("hosts", filled.hosts), ("resolv.conf", filled.resolv)] {
        if let Some(text) = text {
            let path = run_dir.join(name);
            fs::write(&path, text).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// Fills the files anew, through the same inodes: they are bound into containers. Lines of others, who share them, stay.
pub(super) fn refill(run_dir: &Path, before: &Filled, after: &Filled) -> Result<()> {
    for (name, before, after) in
        [("hosts", &before.hosts, &after.hosts), ("resolv.conf", &before.resolv, &after.resolv)]
    {
        if let (Some(before), Some(after)) = (before, after) {
            let path = run_dir.join(name);
            edit(&path, |text| {
                let others: Vec<&str> = text.lines().filter(|line| !before.lines().any(|own| own == *line)).collect();
                let mut next = after.clone();
                for line in others {
                    next.push_str(line);
                    next.push('\n');
                }
                *text = next;
            })
            .map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

fn filled(
    container: &Container,
    hostname: &str,
    addresses: Option<&Addresses>,
    endpoints: &[Endpoint],
    isolated: bool,
) -> Result<Filled> {
    let spec = &container.spec().network;
    let mut filled = Filled { hosts: None, resolv: None };
    if !spec.no_hosts {
        let base = match spec.hosts_file.as_deref() {
            Some("none" | "image") => String::new(),
            Some(path) => fs::read_to_string(path).map_err(Error::io(path))?,
            None => fs::read_to_string("/etc/hosts").unwrap_or_default(),
        };
        let names = [hostname.to_owned(), container.name().to_owned()];
        let own_names: Vec<String> = spec.full_name.iter().cloned().chain(names).collect();
        let more = crate::networks::more_addresses(endpoints);
        let (host, entries) = (spec.host_names, spec.add_hosts.as_slice());
        let hosts = Hosts { base: &base, own_names: &own_names, addresses, more: &more, host, entries };
        filled.hosts = Some(network::hosts::text(&hosts));
    }
    if !spec.leaves_resolv_conf_alone() {
        let resolv = Resolv {
            host: &network::resolv::read_host(),
            uplink: addresses.map(|found| found.dns.as_slice()).unwrap_or_default(),
            isolated,
            domain: endpoints.iter().find_map(|endpoint| endpoint.search.as_deref()),
            servers: &spec.dns,
            search: &spec.dns_search,
            options: &spec.dns_options,
        };
        filled.resolv = Some(network::resolv::text(&resolv));
    }
    Ok(filled)
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

/// `--chrootdirs`: the names that are looked up are found in these directories, too.
pub(super) fn in_chroot_dirs(spec: &ContainerSpec, managed: &[ManagedFile]) -> Vec<VolumeMount> {
    let names: Vec<&ManagedFile> =
        managed.iter().filter(|file| ["/etc/hosts", "/etc/resolv.conf"].contains(&file.destination)).collect();
    let bind = |dir: &PathBuf, file: &ManagedFile| VolumeMount::Bind {
        source: file.source.clone(),
        destination: crate::volumes::clean(&dir.join(file.destination.trim_start_matches('/'))),
        read_only: false,
        options: vec!["bind".into()],
    };
    spec.chroot_dirs.iter().flat_map(|dir| names.iter().map(move |file| bind(dir, file))).collect()
}

/// What whoever made the container tells it ([`ContainerSpec::files`]).
pub(super) fn given(run_dir: &Path, spec: &ContainerSpec) -> Result<Vec<VolumeMount>> {
    let bind = |(index, (destination, text)): (usize, (&PathBuf, &String))| {
        let source = run_dir.join(format!("given-{index}"));
        fs::write(&source, text).map_err(Error::io(&source))?;
        let (destination, options) = (destination.clone(), vec!["bind".into()]);
        Ok(VolumeMount::Bind { source, destination, read_only: true, options })
    };
    spec.files.iter().enumerate().map(bind).collect()
}

/// `--tz`: the host's file for that zone, or the host's own zone for `local`.
pub(super) fn local_time(run_dir: &Path, container: &Container) -> Result<Option<ManagedFile>> {
    let Some(zone) = &container.spec().timezone else { return Ok(None) };
    let file = match zone.as_str() {
        "local" => PathBuf::from("/etc/localtime"),
        zone if zone.starts_with('/') || zone.split('/').any(|part| part == "..") => {
            return Err(Error::Invalid(format!(
                "finding timezone for container {}: {zone} is no zone",
                container.id()
            )));
        }
        zone => Path::new("/usr/share/zoneinfo").join(zone),
    };
    let source = run_dir.join("localtime");
    fs::copy(&file, &source).map_err(Error::io(&file))?;
    Ok(Some(ManagedFile { source, destination: "/etc/localtime" }))
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
