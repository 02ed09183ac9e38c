//! Everything about the container's process that can be known before it exists. The child only makes system calls.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use oci_spec::runtime::{
    Capabilities, Hook, IOPriorityClass, Linux, LinuxSchedulerPolicy, LinuxSeccomp, PosixRlimitType, Process, Spec,
};
use sys::capabilities::Set;
use sys::task::StringList;

use crate::mounts::{self, MountOp};
use crate::namespaces::Namespaces;
use crate::seccomp::{self, Filter};
use crate::{Error, Result};

/// The annotation by which runtimes are asked to leave the supplementary groups alone, as crun(1) has it.
pub const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// A container that is to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) namespaces: Namespaces,
    pub(crate) mounts: Vec<MountOp>,
    pub(crate) root_target: PathBuf,
    pub(crate) root_read_only: bool,
    pub(crate) root_propagation: Option<String>,
    pub(crate) masked: Vec<PathBuf>,
    pub(crate) read_only: Vec<PathBuf>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    /// Paths below `/proc/sys`, and values.
    pub(crate) sysctls: Vec<(PathBuf, String)>,
    /// Some hook wants to see the mounts before the root is changed.
    pub(crate) waits_for_hooks: bool,
    pub(crate) create_container_hooks: Vec<Hook>,
    pub(crate) start_container_hooks: Vec<Hook>,
    pub(crate) program: Program,
}

/// A program that is to be run, in a new container or in one that lives.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) arguments: StringList,
    pub(crate) environment: StringList,
    /// Where to look for it, in order.
    pub(crate) candidates: Vec<CString>,
    pub(crate) cwd: PathBuf,
    /// The id of the container that it is the first process of, for messages.
    pub(crate) first_of: Option<String>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    /// The supplementary groups of whoever starts it stay, instead of `groups`.
    pub(crate) keep_groups: bool,
    pub(crate) umask: Option<u32>,
    pub(crate) bounding: Set,
    pub(crate) capabilities: sys::capabilities::Sets,
    pub(crate) ambient: Set,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Option<Filter>,
    /// Resource number, soft, hard.
    pub(crate) limits: Vec<(u32, u64, u64)>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) apparmor: Option<String>,
    pub(crate) selinux: Option<String>,
    /// Class and priority of ioprio_set(2).
    pub(crate) io_priority: Option<(u16, u16)>,
    pub(crate) nice: Option<i32>,
    /// Columns and rows.
    pub(crate) console_size: Option<(u16, u16)>,
    pub(crate) personality: Option<u64>,
    /// It begins with all signals blocked, see [`crate::Bundle::reads_signals`].
    pub(crate) reads_signals: bool,
}

impl Plan {
    pub(crate) fn of(spec: &Spec) -> Result<Plan> {
        let process = spec.process().as_ref().ok_or_else(|| Error::configuration("the bundle has no `process`"))?;
        let linux = spec.linux().as_ref().ok_or_else(|| Error::configuration("the bundle has no `linux` section"))?;
        let root = spec.root().as_ref().ok_or_else(|| Error::configuration("the bundle has no `root`"))?;
        refuse_unsupported(process, linux)?;
        let paths = |list: &Option<Vec<String>>| list.iter().flatten().map(PathBuf::from).collect();
        let mut program = Program::of(process, linux.seccomp().as_ref())?;
        if let Some(personality) = linux.personality() {
            program.personality = Some(match personality.domain() {
                oci_spec::runtime::LinuxPersonalityDomain::PerLinux => 0,
                oci_spec::runtime::LinuxPersonalityDomain::PerLinux32 => 8,
            });
        }
        let kept = spec.annotations().as_ref().and_then(|annotations| annotations.get(KEEP_GROUPS));
        program.keep_groups = kept.is_some_and(|value| value == "1");
        let hooks = spec.hooks().as_ref();
        let list = |hooks: Option<&Option<Vec<Hook>>>| hooks.cloned().flatten().unwrap_or_default();
        let waits_for_hooks = hooks.is_some_and(|hooks| {
            [hooks.prestart(), hooks.create_runtime()].into_iter().flatten().any(|list| !list.is_empty())
        });
        Ok(Plan {
            namespaces: Namespaces::of(spec)?,
            mounts: mounts::operations(spec)?,
            root_target: root.path().clone(),
            root_read_only: root.readonly().unwrap_or(false),
            root_propagation: linux.rootfs_propagation().clone(),
            masked: paths(linux.masked_paths()),
            read_only: paths(linux.readonly_paths()),
            hostname: spec.hostname().clone(),
            domainname: spec.domainname().clone(),
            sysctls: linux.sysctl().iter().flatten().map(|(key, value)| (sysctl_path(key), value.clone())).collect(),
            waits_for_hooks,
            create_container_hooks: list(hooks.map(|hooks| hooks.create_container())),
            start_container_hooks: list(hooks.map(|hooks| hooks.start_container())),
            program,
        })
    }
}

/// What a configuration may ask for and we do not do: an error, never silence.
fn refuse_unsupported(process: &Process, linux: &Linux) -> Result<()> {
    let scheduler = process.scheduler().as_ref();
    let other_policy = scheduler.is_some_and(|scheduler| {
        *scheduler.policy() != LinuxSchedulerPolicy::SchedOther
            || scheduler.priority().is_some_and(|priority| priority != 0)
            || scheduler.flags().as_ref().is_some_and(|flags| !flags.is_empty())
    });
    let refused = [
        ("process.scheduler with another policy than SCHED_OTHER", other_policy),
        ("process.execCPUAffinity", process.exec_cpu_affinity().is_some()),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.netDevices", linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty())),
        ("linux.timeOffsets", linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty())),
        ("linux.mountLabel", linux.mount_label().as_ref().is_some_and(|label| !label.is_empty())),
    ];
    match refused.iter().find(|(_, asked)| *asked) {
        Some((what, _)) => Err(Error::configuration(format!("{what} is not supported by creel's own runtime"))),
        None => Ok(()),
    }
}

impl Program {
    pub(crate) fn of(process: &Process, seccomp: Option<&LinuxSeccomp>) -> Result<Program> {
        let arguments = process.args().as_deref().unwrap_or_default();
        let name = arguments
            .first()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Error::configuration("there is no command to run"))?;
        let environment = process.env().as_deref().unwrap_or_default();
        let strings = |what: &str, list: &[String]| {
            StringList::new(list).map_err(|_| Error::configuration(format!("{what} with a NUL byte")))
        };
        let set =
            |sets: Option<&Option<Capabilities>>| sets.and_then(Option::as_ref).map(capability_set).unwrap_or_default();
        let capabilities = process.capabilities().as_ref();
        let permitted = set(capabilities.map(|sets| sets.permitted()));
        let user = process.user();
        Ok(Program {
            arguments: strings("an argument", arguments)?,
            environment: strings("an environment variable", environment)?,
            candidates: candidates(name, environment)?,
            cwd: process.cwd().clone(),
            first_of: None,
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
            keep_groups: false,
            umask: user.umask(),
            bounding: set(capabilities.map(|sets| sets.bounding())),
            capabilities: sys::capabilities::Sets {
                effective: set(capabilities.map(|sets| sets.effective())) & permitted,
                permitted,
                inheritable: set(capabilities.map(|sets| sets.inheritable())),
            },
            ambient: set(capabilities.map(|sets| sets.ambient())),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            seccomp: seccomp.map(seccomp::compile).transpose()?.filter(|filter| !filter.allows_everything()),
            limits: process
                .rlimits()
                .iter()
                .flatten()
                .map(|limit| (limit_number(limit.typ()), limit.soft(), limit.hard()))
                .collect(),
            oom_score_adj: process.oom_score_adj(),
            apparmor: process.apparmor_profile().clone().filter(|profile| !profile.is_empty()),
            selinux: process.selinux_label().clone().filter(|label| !label.is_empty()),
            io_priority: process.io_priority().as_ref().map(|priority| {
                let class = match priority.class() {
                    IOPriorityClass::IoprioClassRt => 1,
                    IOPriorityClass::IoprioClassBe => 2,
                    IOPriorityClass::IoprioClassIdle => 3,
                };
                (class, u16::try_from(priority.priority()).unwrap_or(7))
            }),
            nice: process.scheduler().as_ref().and_then(|scheduler| *scheduler.nice()),
            console_size: process.console_size().as_ref().map(|size| {
                let number = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
                (number(size.width()), number(size.height()))
            }),
            personality: None,
            reads_signals: false,
        })
    }

    pub(crate) fn name(&self) -> String {
        self.arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// Names that the kernel of this machine does not have would make capset(2) fail, and mean nothing.
fn capability_set(capabilities: &Capabilities) -> Set {
    static LAST: OnceLock<u32> = OnceLock::new();
    let last = *LAST.get_or_init(sys::capabilities::last);
    let named = capabilities.iter().filter_map(|capability| sys::capabilities::parse(&capability.to_string()));
    named.filter(|&number| number <= last).fold(Set::EMPTY, Set::with)
}

/// Where execvp(3) would look, with the container's own `PATH`.
fn candidates(name: &str, environment: &[String]) -> Result<Vec<CString>> {
    let nul = |_| Error::configuration("a command with a NUL byte");
    if name.contains('/') {
        return Ok(vec![CString::new(name).map_err(nul)?]);
    }
    let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
    path.unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .split(':')
        .map(|directory| {
            let path = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
            CString::new(path.into_os_string().into_encoded_bytes()).map_err(nul)
        })
        .collect()
}

/// `net.ipv4.ip_forward` and `net/ipv4/conf/eth0.1/forwarding` are both customary, see sysctl(8).
fn sysctl_path(key: &str) -> PathBuf {
    let separator = key.find(['.', '/']).map(|at| key.as_bytes()[at]);
    if separator == Some(b'/') {
        return PathBuf::from(key);
    }
    key.chars()
        .map(|letter| match letter {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect::<String>()
        .into()
}

/// `RLIMIT_*` of asm-generic/resource.h.
fn limit_number(kind: PosixRlimitType) -> u32 {
    match kind {
        PosixRlimitType::RlimitCpu => 0,
        PosixRlimitType::RlimitFsize => 1,
        PosixRlimitType::RlimitData => 2,
        PosixRlimitType::RlimitStack => 3,
        PosixRlimitType::RlimitCore => 4,
        PosixRlimitType::RlimitRss => 5,
        PosixRlimitType::RlimitNproc => 6,
        PosixRlimitType::RlimitNofile => 7,
        PosixRlimitType::RlimitMemlock => 8,
        PosixRlimitType::RlimitAs => 9,
        PosixRlimitType::RlimitLocks => 10,
        PosixRlimitType::RlimitSigpending => 11,
        PosixRlimitType::RlimitMsgqueue => 12,
        PosixRlimitType::RlimitNice => 13,
        PosixRlimitType::RlimitRtprio => 14,
        PosixRlimitType::RlimitRttime => 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_looked_for_in_the_containers_path() {
        let found = |name: &str, path: &str| candidates(name, &["PATH=/x".into(), format!("PATH={path}")]).unwrap();
        assert_eq!(found("sh", "/bin::/usr/bin"), [c"/bin/sh".into(), c"./sh".into(), CString::from(c"/usr/bin/sh")]);
        assert_eq!(found("./sh", "/bin"), [CString::from(c"./sh")]);
        assert_eq!(candidates("sh", &[]).unwrap().len(), 6);
    }

    #[test]
    fn sysctls_are_read_in_both_spellings() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward"), Path::new("net/ipv4/ip_forward"));
        assert_eq!(sysctl_path("net/ipv4/conf/eth0.1/forwarding"), Path::new("net/ipv4/conf/eth0.1/forwarding"));
        assert_eq!(sysctl_path("net.ipv4.conf.eth0/1.forwarding"), Path::new("net/ipv4/conf/eth0.1/forwarding"));
    }

    #[test]
    fn what_is_asked_for_and_not_done_is_refused() {
        let refusal = |process: &str, linux: &str| {
            let process: Process = serde_json::from_str(process).unwrap();
            let linux: Linux = serde_json::from_str(linux).unwrap();
            refuse_unsupported(&process, &linux).err().map(|error| error.to_string())
        };
        let plain = r#"{"user": {"uid": 0, "gid": 0}, "cwd": "/", "scheduler": {"policy": "SCHED_OTHER", "nice": 5}}"#;
        assert_eq!(refusal(plain, "{}"), None);
        let realtime = plain.replace("OTHER", "FIFO");
        assert!(refusal(&realtime, "{}").unwrap().starts_with("process.scheduler"));
        let offsets = r#"{"timeOffsets": {"monotonic": {"secs": 5}}}"#;
        assert!(refusal(plain, offsets).unwrap().starts_with("linux.timeOffsets"));
    }

    #[test]
    fn a_process_without_capabilities_gets_none() {
        let mut process = Process::default();
        process.set_capabilities(None);
        process.set_args(Some(vec!["true".into()]));
        let program = Program::of(&process, None).unwrap();
        assert_eq!((program.bounding, program.capabilities.permitted), (Set::EMPTY, Set::EMPTY));
    }
}
