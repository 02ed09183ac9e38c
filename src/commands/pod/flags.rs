//! The flags that `pod create` and `pod clone` have in common.

use std::path::PathBuf;

use containers::RestartPolicy;
use pods::PodSpec;

use super::create;
use crate::arguments::number;
use crate::commands::update;
use crate::create_args::{self, CreateArgs, LimitFlags, Surroundings, life, resources};
use crate::error::Failure;

#[derive(clap::Args, Clone, Debug, Default)]
pub struct PodFlags {
    /// Block IO weight (10 to 1000)
    #[arg(long, value_name = "WEIGHT")]
    pub(super) blkio_weight: Option<String>,
    /// Block IO weight of a device (DEVICE:WEIGHT)
    #[arg(long, value_name = "DEVICE:WEIGHT")]
    pub(super) blkio_weight_device: Vec<String>,
    /// The cgroup below which the pod's is made
    #[arg(long, value_name = "PATH")]
    pub(super) cgroup_parent: Option<String>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "SHARES", value_parser = number::u64)]
    pub(super) cpu_shares: Option<u64>,
    /// Number of CPUs
    #[arg(long, value_name = "NUMBER", value_parser = number::f64)]
    pub(super) cpus: Option<f64>,
    /// CPUs to run on (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    pub(super) cpuset_cpus: Option<String>,
    /// Memory nodes to use (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    pub(super) cpuset_mems: Option<String>,
    /// Give all members a device (HOST[:CONTAINER[:rwm]])
    #[arg(long, value_name = "DEVICE")]
    pub(super) device: Vec<String>,
    /// Limit reading from a device (PATH:BYTES per second)
    #[arg(long, value_name = "PATH:RATE")]
    pub(super) device_read_bps: Vec<String>,
    /// Limit writing to a device (PATH:BYTES per second)
    #[arg(long, value_name = "PATH:RATE")]
    pub(super) device_write_bps: Vec<String>,
    /// Map group ids (CONTAINER:HOST:SIZE)
    #[arg(long, value_name = "MAP", value_delimiter = ',')]
    pub(super) gidmap: Vec<String>,
    /// Give all members graphics processors, by CDI ("all", or a device's name)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) gpus: Vec<String>,
    /// Host name of the members
    #[arg(short = 'h', long, value_name = "NAME")]
    pub(super) hostname: Option<String>,
    /// Command of the infra container
    #[arg(long, value_name = "COMMAND")]
    pub(super) infra_command: Option<String>,
    /// Write the pid of the infra container's monitor to a file
    #[arg(long, value_name = "FILE")]
    pub(super) infra_conmon_pidfile: Option<PathBuf>,
    /// Name of the infra container
    #[arg(long, value_name = "NAME")]
    pub(super) infra_name: Option<String>,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(super) label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    pub(super) label_file: Vec<PathBuf>,
    /// Memory limit of all members together (number with unit b, k, m, g)
    #[arg(short, long, value_name = "SIZE")]
    pub(super) memory: Option<String>,
    /// Limit of memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE")]
    pub(super) memory_swap: Option<String>,
    /// PID namespace of the infra container: private, host, container:NAME, ns:PATH
    #[arg(long, value_name = "MODE")]
    pub(super) pid: Option<String>,
    /// When members are restarted: no, on-failure[:RETRIES], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    pub(super) restart: Option<String>,
    /// Security options of the members: no-new-privileges, seccomp=FILE, mask=, unmask=, label=, apparmor=
    #[arg(long, value_name = "OPTION")]
    pub(super) security_opt: Vec<String>,
    /// Size of the shared /dev/shm
    #[arg(long, value_name = "SIZE")]
    pub(super) shm_size: Option<String>,
    /// Size of the tmpfs mounts that systemd in a member needs
    #[arg(long, value_name = "SIZE")]
    pub(super) shm_size_systemd: Option<String>,
    /// Name in /etc/subgid whose ids are mapped
    #[arg(long, value_name = "NAME")]
    pub(super) subgidname: Option<String>,
    /// Name in /etc/subuid whose ids are mapped
    #[arg(long, value_name = "NAME")]
    pub(super) subuidname: Option<String>,
    /// Set a kernel parameter of the shared namespaces
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub(super) sysctl: Vec<String>,
    /// Map user ids (CONTAINER:HOST:SIZE)
    #[arg(long, value_name = "MAP", value_delimiter = ',')]
    pub(super) uidmap: Vec<String>,
    /// User namespace: host, keep-id[:OPTIONS], auto[:OPTIONS], nomap, ns:PATH
    #[arg(long, value_name = "MODE")]
    pub(super) userns: Option<String>,
    /// UTS namespace of the infra container: private, host, container:NAME, ns:PATH
    #[arg(long, value_name = "MODE")]
    pub(super) uts: Option<String>,
    /// Mount a directory or volume into all members ([SOURCE:]DESTINATION[:OPTIONS])
    #[arg(short, long, value_name = "VOLUME")]
    pub(super) volume: Vec<String>,
    /// Give all members the mounts of another container (CONTAINER[:OPTIONS])
    #[arg(long, value_name = "CONTAINER")]
    pub(super) volumes_from: Vec<String>,
}

impl PodFlags {
    fn limits(&self) -> LimitFlags {
        LimitFlags {
            blkio_weight: self.blkio_weight.clone(),
            blkio_weight_device: self.blkio_weight_device.clone(),
            cpu_shares: self.cpu_shares,
            cpus: self.cpus,
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            device_read_bps: self.device_read_bps.clone(),
            device_write_bps: self.device_write_bps.clone(),
            memory: self.memory.clone(),
            memory_swap: self.memory_swap.clone(),
            ..LimitFlags::default()
        }
    }

    /// They mean the same as for a container.
    pub(super) fn of_container(&self) -> Result<CreateArgs, Failure> {
        if let Some(name) = self.hostname.as_deref().filter(|name| !name.is_empty()) {
            name.parse::<containers::ContainerName>().map_err(|_| create::invalid_name())?;
        }
        Ok(CreateArgs {
            limits: self.limits(),
            cgroup_parent: self.cgroup_parent.clone(),
            device: self.device.clone(),
            gidmap: self.gidmap.clone(),
            gpus: self.gpus.clone(),
            hostname: self.hostname.clone(),
            label: self.label.clone(),
            label_file: self.label_file.clone(),
            pid: self.pid.clone(),
            security_opt: self.security_opt.clone(),
            shm_size: self.shm_size.clone(),
            shm_size_systemd: self.shm_size_systemd.clone(),
            subgidname: self.subgidname.clone(),
            subuidname: self.subuidname.clone(),
            sysctl: self.sysctl.clone(),
            uidmap: self.uidmap.clone(),
            userns: self.userns.clone(),
            uts: self.uts.clone(),
            volume: self.volume.clone(),
            volumes_from: self.volumes_from.clone(),
            ..CreateArgs::default()
        })
    }

    /// The defaults of a configuration file are for containers; for a pod only what was typed counts.
    pub(super) fn choose_user_namespace(&self) -> bool {
        self.userns.is_some()
            || !self.uidmap.is_empty()
            || !self.gidmap.is_empty()
            || self.subuidname.is_some()
            || self.subgidname.is_some()
    }

    pub(super) fn restart_policy(&self) -> Result<Option<RestartPolicy>, Failure> {
        let policy = self.restart.as_deref();
        policy.map(|policy| life::restart(policy, Some("running pod create option"))).transpose()
    }

    /// Puts what was typed into the specification of a pod that is there.
    pub(super) fn change(&self, spec: &mut PodSpec, around: &Surroundings<'_>) -> Result<(), Failure> {
        if self.infra_command.as_deref().is_some_and(|command| !command.is_empty()) {
            return Err(create::needs_infra_image());
        }
        let said = create::of_all(create_args::spec(&self.of_container()?, around)?);
        update::change_limits(&mut spec.resources, resources::limits(&self.limits())?);
        if self.cgroup_parent.is_some() {
            spec.resources.cgroup_parent = said.resources.cgroup_parent;
        }
        spec.hostname = said.hostname.or(spec.hostname.take());
        spec.labels.extend(said.labels);
        spec.restart = self.restart_policy()?.unwrap_or(spec.restart);
        if self.pid.is_some() {
            spec.pid = said.pid;
        }
        if self.uts.is_some() {
            spec.uts = said.uts;
        }
        if self.choose_user_namespace() {
            spec.user = said.user;
        }
        if !self.security_opt.is_empty() {
            spec.security = said.security;
        }
        if !self.sysctl.is_empty() {
            spec.sysctls.extend(said.sysctls);
        }
        if self.shm_size.is_some() {
            spec.shm_size = said.shm_size;
        }
        if self.shm_size_systemd.is_some() {
            spec.shm_size_systemd = said.shm_size_systemd;
        }
        if !self.volume.is_empty() {
            spec.mounts.retain(|mount| said.mounts.iter().all(|new| new.destination != mount.destination));
            spec.mounts.extend(said.mounts);
        }
        if !self.device.is_empty() || !self.gpus.is_empty() {
            spec.devices.extend(said.devices);
            spec.cdi_devices.extend(said.cdi_devices);
        }
        spec.volumes_from.extend(said.volumes_from);
        spec.infra.name = self.infra_name.clone().filter(|name| !name.is_empty());
        spec.infra.conmon_pidfile = self.infra_conmon_pidfile.as_ref().map(|path| around.cwd.join(path));
        Ok(())
    }
}
