//! What is mounted, in the order in which it is mounted.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::process::{HOLDER_PATH, INIT_PATH};
use super::{Given, ManagedFile, NetworkNamespace};
use crate::container::Record;
use crate::error::Result;
use crate::spec::{IpcMode, NamespaceMode, Source};

/// Shared memory, see shm_overview(7).
pub(crate) const SHM: &str = "/dev/shm";
/// Bytes of /dev/shm unless the user says otherwise.
pub const SHM_SIZE: u64 = 65_536_000;

/// Where systemd as process 1 wants a tmpfs; parents first.
const SYSTEMD: [&str; 4] = ["/run", "/run/lock", "/tmp", "/var/log/journal"];

/// One of the user's mounts, ready to be written down.
#[derive(Clone, Debug)]
pub(crate) enum VolumeMount {
    Bind {
        source: PathBuf,
        destination: PathBuf,
        read_only: bool,
        options: Vec<String>,
    },
    /// `fstype` with its data options.
    FileSystem {
        fstype: &'static str,
        destination: PathBuf,
        read_only: bool,
        options: Vec<String>,
    },
}

impl VolumeMount {
    fn destination(&self) -> &Path {
        match self {
            VolumeMount::Bind { destination, .. } | VolumeMount::FileSystem { destination, .. } => destination,
        }
    }

    /// Mount points can be made in it.
    fn is_writable_directory(&self) -> bool {
        match self {
            VolumeMount::Bind { read_only, .. } | VolumeMount::FileSystem { read_only, .. } => !read_only,
        }
    }
}

pub(super) fn mounts(record: &Record, given: &Given) -> Result<Vec<Mount>> {
    let mut all = kernel_mounts(record, given);
    let size = record.spec.shm_size_systemd.map(|bytes| format!("size={bytes}"));
    for path in SYSTEMD.iter().filter(|_| super::process::runs_systemd(record)) {
        let mut options = vec!["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"];
        options.extend(size.as_deref());
        all.push(mount(path, "tmpfs", "tmpfs", &options));
    }
    if record.spec.source == Source::Holder {
        // Nobody looks at it from inside: the memory that others share, and the program that waits.
        all.retain(|mount| mount.destination() == Path::new(SHM));
        all.extend(given.volumes.iter().map(volume));
        let own = given.own_executable.to_string_lossy();
        all.push(mount(HOLDER_PATH, "bind", &own, &["bind", "rprivate", "ro"]));
        return Ok(all);
    }
    if record.spec.security.read_only && record.spec.security.read_only_tmpfs {
        for path in ["/tmp", "/run", "/var/tmp"] {
            if all.iter().any(|mount| mount.destination() == Path::new(path)) {
                continue;
            }
            all.push(mount(path, "tmpfs", "tmpfs", &["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]));
        }
    }
    let read_only = record.spec.security.read_only;
    // A directory of the user's over /etc would hide what is bound into it, unless that comes after.
    let covers = |volume: &VolumeMount, file: &ManagedFile| {
        let below = Path::new(file.destination);
        below.starts_with(volume.destination()) && below != volume.destination() && volume.is_writable_directory()
    };
    let (late, early): (Vec<_>, Vec<_>) =
        given.files.iter().partition(|file| given.volumes.iter().any(|volume| covers(volume, file)));
    let managed = |file: &&ManagedFile| {
        let writable: &[&str] = &["bind", "rprivate"];
        let options = if read_only { &["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"] } else { writable };
        mount(file.destination, "bind", &file.source.to_string_lossy(), options)
    };
    all.extend(early.iter().map(managed));
    if record.spec.init {
        let init = record.spec.init_path.as_ref().unwrap_or(&given.own_executable);
        all.push(mount(INIT_PATH, "bind", &init.to_string_lossy(), &["bind", "rprivate", "ro"]));
    }
    // What the user mounts takes the place of what would be there anyway, and parents come before children.
    all.retain(|default| !given.volumes.iter().any(|volume| volume.destination() == default.destination().as_path()));
    let mut volumes: Vec<&VolumeMount> = given.volumes.iter().collect();
    volumes.sort_by_key(|volume| volume.destination().components().count());
    all.extend(volumes.into_iter().map(volume));
    let taken =
        |file: &&&ManagedFile| given.volumes.iter().any(|volume| volume.destination() == Path::new(file.destination));
    all.extend(late.iter().filter(|file| !taken(file)).map(managed));
    Ok(all)
}

fn kernel_mounts(record: &Record, given: &Given) -> Vec<Mount> {
    let spec = &record.spec;
    let read_only = if spec.security.privileged { "rw" } else { "ro" };
    let mut all = Vec::with_capacity(16);
    if matches!(spec.namespaces.pid, NamespaceMode::Host) {
        // A fresh proc belongs to the owner of the pid namespace, which is not us.
        all.push(mount("/proc", "bind", "/proc", &["rbind", "nosuid", "noexec", "nodev"]));
    } else {
        // The user's options are instead of the usual ones.
        let proc: Vec<&str> = match spec.security.proc_opts.as_slice() {
            [] => vec!["nosuid", "noexec", "nodev"],
            own => own.iter().map(String::as_str).collect(),
        };
        all.push(mount("/proc", "proc", "proc", &proc));
    }
    // With --read-only-tmpfs=false not even what is made for the container can be written to.
    let closed = spec.security.read_only && !spec.security.read_only_tmpfs;
    let access = if closed { "ro" } else { "rw" };
    all.push(mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k", access]));
    let mut devpts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if !given.single_id {
        devpts.push("gid=5");
    }
    all.push(mount("/dev/pts", "devpts", "devpts", &devpts));
    match given.network {
        // It shows the network namespace of whoever mounts it; the runtime binds the host's where that one is somebody
        // else's.
        NetworkNamespace::New | NetworkNamespace::Join(_) => {
            all.push(mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", read_only]));
        }
        // The host's namespace is not ours to mount one of.
        NetworkNamespace::Host => {
            all.push(mount("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", read_only]));
        }
    }
    if !matches!(spec.namespaces.cgroup, NamespaceMode::Host) {
        // systemd divides its cgroup.
        let read_only = if super::process::runs_systemd(record) { "rw" } else { read_only };
        let options = ["rprivate", "nosuid", "noexec", "nodev", "relatime", read_only];
        all.push(mount("/sys/fs/cgroup", "cgroup", "cgroup2", &options));
    }
    let size = format!("size={}", spec.shm_size.unwrap_or(SHM_SIZE));
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", size.as_str(), access];
    let mqueue = ["nosuid", "noexec", "nodev"];
    match spec.namespaces.ipc {
        IpcMode::Host => {
            // A host may have none.
            if given.host_mqueue {
                all.push(mount("/dev/mqueue", "bind", "/dev/mqueue", &["bind", "nosuid", "noexec", "nodev"]));
            }
            all.push(mount("/dev/shm", "bind", "/dev/shm", &["bind", "nosuid", "noexec", "nodev"]));
        }
        IpcMode::None => all.push(mount("/dev/mqueue", "mqueue", "mqueue", &mqueue)),
        IpcMode::Container(_) => {
            all.push(mount("/dev/mqueue", "mqueue", "mqueue", &mqueue));
            // The other container's; the source is put in its place when the bundle is made.
            all.push(mount(SHM, "bind", SHM, &["bind", "nosuid", "noexec", "nodev"]));
        }
        IpcMode::Shareable | IpcMode::Private | IpcMode::Path(_) => {
            all.push(mount("/dev/mqueue", "mqueue", "mqueue", &mqueue));
            all.push(mount("/dev/shm", "tmpfs", "shm", &shm));
        }
    }
    all
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(destination.into());
    mount.set_typ(Some(kind.to_owned()));
    mount.set_source(Some(source.into()));
    mount.set_options(Some(options.iter().map(|option| (*option).to_owned()).collect()));
    mount
}

fn volume(volume: &VolumeMount) -> Mount {
    let access = |read_only: bool| if read_only { "ro" } else { "rw" };
    match volume {
        VolumeMount::Bind { source, destination, read_only, options } => {
            let has = |words: &[&str]| options.iter().any(|option| words.contains(&option.as_str()));
            let mut all = options.clone();
            if !has(&["bind", "rbind"]) {
                all.push("rbind".into());
            }
            if !has(&["shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"]) {
                all.push("rprivate".into());
            }
            all.push(access(*read_only).into());
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            mount(&destination.to_string_lossy(), "bind", &source.to_string_lossy(), &all)
        }
        VolumeMount::FileSystem { fstype, destination, read_only, options } => {
            let mut all: Vec<&str> = options.iter().map(String::as_str).collect();
            all.push(access(*read_only));
            mount(&destination.to_string_lossy(), fstype, fstype, &all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{given, record};
    use super::*;
    use crate::container::ImageDefaults;
    use crate::spec::ContainerSpec;

    fn find<'a>(all: &'a [Mount], destination: &str) -> Vec<&'a Mount> {
        all.iter().filter(|mount| mount.destination() == Path::new(destination)).collect()
    }

    #[test]
    fn a_volume_takes_the_place_of_a_default_and_parents_come_first() {
        let bind = |destination: &str| VolumeMount::Bind {
            source: "/host".into(),
            destination: destination.into(),
            read_only: false,
            options: Vec::new(),
        };
        let given = Given { volumes: vec![bind("/dev/shm"), bind("/a/b/c"), bind("/a")], ..given() };
        let all = mounts(&record(ContainerSpec::default(), ImageDefaults::default()), &given).unwrap();
        let shm = find(&all, "/dev/shm");
        assert_eq!(shm.len(), 1);
        assert_eq!(shm[0].typ().as_deref(), Some("bind"));
        let place = |destination: &str| all.iter().position(|mount| mount.destination() == Path::new(destination));
        assert!(place("/a") < place("/a/b/c"));
    }

    #[test]
    fn only_the_hosts_network_has_the_hosts_sysfs() {
        for (network, kind) in
            [(NetworkNamespace::Host, "bind"), (NetworkNamespace::Join("/proc/7/ns/net".into()), "sysfs")]
        {
            let given = Given { network, ..given() };
            let all = mounts(&record(ContainerSpec::default(), ImageDefaults::default()), &given).unwrap();
            assert_eq!(find(&all, "/sys")[0].typ().as_deref(), Some(kind));
        }
    }

    #[test]
    fn a_read_only_root_keeps_places_to_write() {
        let mut spec = ContainerSpec::default();
        spec.security.read_only = true;
        spec.security.read_only_tmpfs = true;
        let all = mounts(&record(spec, ImageDefaults::default()), &given()).unwrap();
        assert_eq!(find(&all, "/tmp").len() + find(&all, "/run").len() + find(&all, "/var/tmp").len(), 3);
    }

    #[test]
    fn a_read_only_root_without_them_has_none() {
        let mut spec = ContainerSpec::default();
        spec.security.read_only = true;
        let all = mounts(&record(spec, ImageDefaults::default()), &given()).unwrap();
        for path in ["/dev", "/dev/shm"] {
            assert!(find(&all, path)[0].options().iter().flatten().any(|option| option == "ro"), "{path}");
        }
    }
}
