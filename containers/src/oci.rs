//! Pure: what a container is meant to be becomes an OCI runtime configuration. Touches no disk and no kernel.

mod mounts;
mod process;
mod resources;

use std::path::PathBuf;

use oci_spec::runtime::{
    Linux, LinuxDevice, LinuxIdMapping, LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceType, LinuxPersonality,
    LinuxPersonalityDomain, LinuxSeccomp, Root, Spec,
};

use crate::container::Record;
use crate::error::{Error, Result};
use crate::spec::{IdMap, IpcMode, NamespaceMode, Source};

pub use mounts::SHM_SIZE;
pub(crate) use mounts::{SHM, VolumeMount};
pub use process::HOLDER_PATH;
pub use process::INIT_PATH;
pub(crate) use process::{
    PATH, capabilities, changed_capabilities, default_environment, exec_process, limits, runs_creel, runs_systemd,
    set_console_size,
};
pub(crate) use resources::resources;

/// What the specification leaves open and the caller found out.
pub(crate) struct Given {
    /// Where the root file system will be mounted.
    pub(crate) rootfs: PathBuf,
    pub(crate) user: crate::users::Account,
    pub(crate) hostname: String,
    /// Files that creel manages, to be bound into the container.
    pub(crate) files: Vec<ManagedFile>,
    /// The user's mounts, with their sources found and volumes made.
    pub(crate) volumes: Vec<VolumeMount>,
    pub(crate) network: NetworkNamespace,
    /// Paths of namespaces to join, for the modes that name another container.
    pub(crate) pid: Option<PathBuf>,
    pub(crate) ipc: Option<PathBuf>,
    pub(crate) uts: Option<PathBuf>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) devices: Vec<LinuxDevice>,
    pub(crate) seccomp: Option<LinuxSeccomp>,
    /// Ids of a nested user namespace; empty for the user's own.
    pub(crate) uid_maps: Vec<IdMap>,
    /// The user namespace to join instead of a new one with these maps.
    pub(crate) userns: Option<PathBuf>,
    pub(crate) gid_maps: Vec<IdMap>,
    /// Only the caller's own id exists: groups cannot be set, devpts has no gid 5.
    pub(crate) single_id: bool,
    /// The monitor's hard limits of open files and processes: the defaults are capped by them.
    pub(crate) hard_nofile: u64,
    pub(crate) hard_nproc: u64,
    pub(crate) secret_env: Vec<(String, String)>,
    /// What creel itself has to tell the program.
    pub(crate) own_env: Vec<(String, String)>,
    /// Our own file, for `--init`.
    pub(crate) own_executable: PathBuf,
    /// Columns and rows of the terminal that it begins with.
    pub(crate) console_size: Option<(u16, u16)>,
    /// The host has a /dev/mqueue to share.
    pub(crate) host_mqueue: bool,
}

/// A file of the run directory and where the container sees it.
pub(crate) struct ManagedFile {
    pub(crate) source: PathBuf,
    pub(crate) destination: &'static str,
}

pub(crate) enum NetworkNamespace {
    New,
    Host,
    Join(PathBuf),
}

/// The configuration of one run.
pub(crate) fn configuration(record: &Record, given: Given) -> Result<Spec> {
    let spec = &record.spec;
    let mut root = Root::default();
    root.set_path(given.rootfs.clone());
    root.set_readonly(Some(spec.security.read_only));

    let mut linux = Linux::default();
    linux.set_namespaces(Some(namespaces(record, &given)?));
    if given.userns.is_none() {
        linux.set_uid_mappings(id_mappings(&given.uid_maps)?);
        linux.set_gid_mappings(id_mappings(&given.gid_maps)?);
    }
    linux.set_devices(Some(given.devices.clone()));
    linux.set_resources(Some(resources(&spec.resources)?));
    linux.set_seccomp(given.seccomp.clone());
    let (masked, readonly) = protected_paths(record);
    linux.set_masked_paths(Some(masked));
    linux.set_readonly_paths(Some(readonly));
    linux.set_sysctl(Some(sysctls(record, &given)));
    linux.set_rootfs_propagation(None);
    if let Some(name) = &spec.personality {
        let mut personality = LinuxPersonality::default();
        personality.set_domain(match name.as_str() {
            "LINUX32" => LinuxPersonalityDomain::PerLinux32,
            _ => LinuxPersonalityDomain::PerLinux,
        });
        linux.set_personality(Some(personality));
    }

    let mut configuration = Spec::default();
    configuration.set_process(Some(process::process(record, &given)?));
    configuration.set_mounts(Some(mounts::mounts(record, &given)?));
    if !matches!(spec.namespaces.uts, NamespaceMode::Host) && given.uts.is_none() {
        configuration.set_hostname(Some(given.hostname.clone()));
        configuration.set_domainname(spec.domainname.clone());
    } else {
        configuration.set_hostname(None);
    }
    let mut annotations = spec.annotations.clone();
    annotations.entry("io.container.manager".into()).or_insert_with(|| "libpod".into());
    if crate::users::keeps_groups(spec) {
        annotations.insert(runtime::KEEP_GROUPS.into(), "1".into());
    }
    configuration.set_annotations(Some(annotations.into_iter().collect()));
    configuration.set_root(Some(root));
    configuration.set_linux(Some(linux));
    Ok(configuration)
}

fn namespaces(record: &Record, given: &Given) -> Result<Vec<LinuxNamespace>> {
    let spec = &record.spec.namespaces;
    let mut all = vec![namespace(LinuxNamespaceType::Mount, None)];
    if !given.uid_maps.is_empty() {
        all.push(namespace(LinuxNamespaceType::User, given.userns.clone()));
    }
    match &given.network {
        NetworkNamespace::New => all.push(namespace(LinuxNamespaceType::Network, None)),
        NetworkNamespace::Host => {}
        NetworkNamespace::Join(path) => all.push(namespace(LinuxNamespaceType::Network, Some(path.clone()))),
    }
    let simple = [
        (LinuxNamespaceType::Pid, &spec.pid, &given.pid),
        (LinuxNamespaceType::Uts, &spec.uts, &given.uts),
        (LinuxNamespaceType::Cgroup, &spec.cgroup, &given.cgroup),
    ];
    for (kind, mode, found) in simple {
        match (mode, found) {
            (NamespaceMode::Host, _) => {}
            (NamespaceMode::Path(path), _) | (NamespaceMode::Container(_), Some(path)) => {
                all.push(namespace(kind, Some(path.clone())));
            }
            (NamespaceMode::Private, _) => all.push(namespace(kind, None)),
            (NamespaceMode::Container(id), None) => return Err(not_running(id)),
        }
    }
    match (&spec.ipc, &given.ipc) {
        (IpcMode::Host, _) => {}
        (IpcMode::Path(path), _) | (IpcMode::Container(_), Some(path)) => {
            all.push(namespace(LinuxNamespaceType::Ipc, Some(path.clone())));
        }
        (IpcMode::Shareable | IpcMode::Private | IpcMode::None, _) => {
            all.push(namespace(LinuxNamespaceType::Ipc, None))
        }
        (IpcMode::Container(id), None) => return Err(not_running(id)),
    }
    Ok(all)
}

fn not_running(id: &str) -> Error {
    Error::StateImproper { what: format!("container {id} must be running to share its namespaces") }
}

fn namespace(kind: LinuxNamespaceType, path: Option<PathBuf>) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind);
    namespace.set_path(path);
    namespace
}

fn id_mappings(maps: &[IdMap]) -> Result<Option<Vec<LinuxIdMapping>>> {
    if maps.is_empty() {
        return Ok(None);
    }
    maps.iter()
        .map(|map| {
            LinuxIdMappingBuilder::default()
                .container_id(map.container)
                .host_id(map.host)
                .size(map.size)
                .build()
                .map_err(|error| Error::Invalid(error.to_string()))
        })
        .collect::<Result<Vec<_>>>()
        .map(Some)
}

/// Podman's list: what a container must not see of the host.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/interrupts",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
    "/sys/devices/system/cpu/cpu*/thermal_throttle",
];

/// Podman's list: what a container may read but not write.
const READ_ONLY: [&str; 6] = ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn protected_paths(record: &Record) -> (Vec<String>, Vec<String>) {
    let security = &record.spec.security;
    let unmasked = |path: &str| {
        security.unmask.iter().any(|pattern| {
            pattern.eq_ignore_ascii_case("ALL")
                || pattern == path
                || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
        })
    };
    if security.privileged {
        return (security.mask.clone(), Vec::new());
    }
    if record.spec.source == Source::Holder {
        return Default::default();
    }
    let keep = |paths: &[&str]| paths.iter().filter(|path| !unmasked(path)).map(|path| (*path).to_owned()).collect();
    let mut masked: Vec<String> = keep(&MASKED);
    masked.extend(security.mask.iter().cloned());
    // A host's /proc, bound, cannot have parts of it covered read-only without its owner; Podman leaves them too.
    (masked, keep(&READ_ONLY))
}

fn sysctls(record: &Record, given: &Given) -> std::collections::HashMap<String, String> {
    let mut all = std::collections::HashMap::new();
    let (range, of_root) = ("net.ipv4.ping_group_range", "0 0");
    if matches!(given.network, NetworkNamespace::New) {
        all.insert(range.to_owned(), of_root.to_owned());
    }
    all.extend(record.spec.sysctls.iter().map(|(key, value)| (key.clone(), value.clone())));
    // containers.conf has this default, too; the kernel wants the group to be there.
    let has_root_group = given.gid_maps.is_empty() || given.gid_maps.iter().any(|map| map.container == 0);
    if !has_root_group && all.get(range).is_some_and(|value| value == of_root) {
        all.remove(range);
    }
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::container::ImageDefaults;
    use crate::id::ContainerId;
    use crate::spec::ContainerSpec;

    pub(crate) fn record(spec: ContainerSpec, image: ImageDefaults) -> Record {
        Record {
            id: "ab".repeat(32).parse::<ContainerId>().unwrap(),
            name: "test".into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            spec: Box::new(spec),
            image: Some(image),
            anonymous_volumes: Vec::new(),
            single_id: false,
            builder: None,
            retired: None,
        }
    }

    pub(crate) fn given() -> Given {
        Given {
            rootfs: "/rootfs".into(),
            user: crate::users::Account::root(),
            hostname: "abababababab".into(),
            files: Vec::new(),
            volumes: Vec::new(),
            network: NetworkNamespace::New,
            pid: None,
            ipc: None,
            uts: None,
            cgroup: None,
            devices: Vec::new(),
            seccomp: None,
            uid_maps: Vec::new(),
            userns: None,
            gid_maps: Vec::new(),
            single_id: false,
            hard_nofile: 4096,
            hard_nproc: 1 << 30,
            secret_env: Vec::new(),
            own_env: Vec::new(),
            own_executable: "/usr/bin/creel".into(),
            console_size: None,
            host_mqueue: true,
        }
    }

    fn image() -> ImageDefaults {
        ImageDefaults { cmd: vec!["sh".into()], ..ImageDefaults::default() }
    }

    fn kinds(spec: &Spec) -> Vec<LinuxNamespaceType> {
        spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap().iter().map(LinuxNamespace::typ).collect()
    }

    #[test]
    fn a_plain_container_has_its_own_namespaces_and_podmans_masks() {
        let spec = configuration(&record(ContainerSpec::default(), image()), given()).unwrap();
        use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Uts};
        assert_eq!(kinds(&spec), [Mount, Network, Pid, Uts, Cgroup, Ipc]);
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!(linux.masked_paths().as_ref().unwrap().len(), MASKED.len());
        assert_eq!(linux.readonly_paths().as_ref().unwrap().len(), READ_ONLY.len());
        assert_eq!(spec.hostname().as_deref(), Some("abababababab"));
    }

    #[test]
    fn host_namespaces_are_left_out() {
        let mut wanted = ContainerSpec::default();
        wanted.namespaces.pid = NamespaceMode::Host;
        wanted.namespaces.uts = NamespaceMode::Host;
        wanted.namespaces.ipc = IpcMode::Host;
        let given = Given { network: NetworkNamespace::Host, ..given() };
        let spec = configuration(&record(wanted, image()), given).unwrap();
        assert_eq!(kinds(&spec), [LinuxNamespaceType::Mount, LinuxNamespaceType::Cgroup]);
        assert_eq!(spec.hostname(), &None);
    }

    #[test]
    fn unmask_takes_patterns() {
        let mut wanted = ContainerSpec::default();
        wanted.security.unmask = vec!["/proc/*".into()];
        wanted.security.mask = vec!["/etc/secret".into()];
        let (masked, readonly) = protected_paths(&record(wanted, image()));
        assert!(masked.iter().all(|path| !path.starts_with("/proc/")));
        assert!(masked.contains(&"/etc/secret".to_owned()));
        assert!(readonly.is_empty());
    }

    #[test]
    fn joining_a_container_that_is_gone_is_refused() {
        let mut wanted = ContainerSpec::default();
        wanted.namespaces.pid = NamespaceMode::Container("cd".repeat(32));
        let error = configuration(&record(wanted, image()), given()).unwrap_err();
        assert!(matches!(error, Error::StateImproper { .. }), "{error}");
    }
}
