//! Profiles: the default one, and those of files. A file may be in the OCI's form or in that of containers'
//! `seccomp.json`, which adds conditions to rules; both are read by one parser.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};
use serde::Deserialize;

use super::defaults;
use crate::{Error, Result};

/// One line of the default profile.
pub(super) struct Rule<'a> {
    pub(super) verdict: Verdict,
    pub(super) when: Condition<'a>,
    /// Index, comparison, value.
    pub(super) arguments: &'a [(usize, LinuxSeccompOperator, u64)],
    /// Separated by spaces.
    pub(super) names: &'a str,
}

pub(super) enum Verdict {
    Allow,
    Errno(u32),
}

/// For which containers a rule is meant.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Condition<'a> {
    /// All of these capabilities.
    pub(super) with: &'a [&'a str],
    /// None of these.
    pub(super) without: &'a [&'a str],
    /// One of these architectures, in Go's words; empty for any.
    pub(super) on: &'a [&'a str],
}

impl Condition<'_> {
    pub(super) const ALWAYS: Condition<'static> = Condition { with: &[], without: &[], on: &[] };

    fn holds(&self, capabilities: &[String]) -> bool {
        let has = |name: &&str| capabilities.iter().any(|capability| capability == name);
        self.with.iter().all(has) && !self.without.iter().any(has) && (self.on.is_empty() || self.on.contains(&GO_ARCH))
    }
}

#[cfg(target_arch = "x86_64")]
const GO_ARCH: &str = "amd64";
#[cfg(target_arch = "aarch64")]
const GO_ARCH: &str = "arm64";

#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: [Arch; 3] = [Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: [Arch; 2] = [Arch::ScmpArchAarch64, Arch::ScmpArchArm];

/// What a container with these capabilities (`CAP_…`, its bounding set) may do unless somebody says otherwise.
pub fn default_profile(capabilities: &[String]) -> LinuxSeccomp {
    let rules = defaults::RULES.iter().filter(|rule| rule.when.holds(capabilities)).map(|rule| {
        let mut syscall = LinuxSyscall::default();
        syscall.set_names(rule.names.split_ascii_whitespace().map(str::to_owned).collect());
        match rule.verdict {
            Verdict::Allow => syscall.set_action(LinuxSeccompAction::ScmpActAllow),
            Verdict::Errno(errno) => {
                syscall.set_action(LinuxSeccompAction::ScmpActErrno);
                syscall.set_errno_ret(Some(errno))
            }
        };
        let arguments: Vec<LinuxSeccompArg> = rule
            .arguments
            .iter()
            .map(|&(index, compare, value)| {
                // Every field has a default, so nothing can be missing.
                LinuxSeccompArgBuilder::default().index(index).op(compare).value(value).build().unwrap_or_default()
            })
            .collect();
        syscall.set_args(Some(arguments).filter(|arguments| !arguments.is_empty()));
        syscall
    });
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(LinuxSeccompAction::ScmpActErrno)
        .set_default_errno_ret(Some(defaults::ENOSYS))
        .set_architectures(Some(ARCHITECTURES.to_vec()))
        .set_syscalls(Some(rules.collect()));
    profile
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileProfile {
    default_action: LinuxSeccompAction,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    default_errno: Option<String>,
    #[serde(default)]
    architectures: Option<Vec<Arch>>,
    #[serde(default)]
    arch_map: Option<Vec<FileArch>>,
    #[serde(default)]
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    #[serde(default)]
    listener_path: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<FileRule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileArch {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileRule {
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    name: Option<String>,
    action: LinuxSeccompAction,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<FileArgument>>,
    #[serde(default)]
    includes: Option<FileCondition>,
    #[serde(default)]
    excludes: Option<FileCondition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileArgument {
    index: usize,
    #[serde(default)]
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: LinuxSeccompOperator,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct FileCondition {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// Reads a profile for a container with these capabilities (`CAP_…`, its bounding set).
pub fn parse_profile(text: &str, capabilities: &[String]) -> Result<LinuxSeccomp> {
    parse(text, capabilities, kernel_version())
}

fn parse(text: &str, capabilities: &[String], kernel: (u32, u32)) -> Result<LinuxSeccomp> {
    let invalid = |what: String| Error::Seccomp { what };
    let file: FileProfile = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    if file.listener_path.is_some_and(|path| !path.is_empty()) {
        return Err(invalid("a listener is not supported".into()));
    }
    if file.architectures.as_ref().is_some_and(|list| !list.is_empty())
        && file.arch_map.as_ref().is_some_and(|map| !map.is_empty())
    {
        return Err(invalid("`architectures` and `archMap` exclude each other".into()));
    }
    let architectures = match file.arch_map {
        Some(map) => map
            .into_iter()
            .find(|entry| entry.architecture == ARCHITECTURES[0])
            .map(|entry| [vec![entry.architecture], entry.sub_architectures.unwrap_or_default()].concat()),
        None => file.architectures,
    };
    let mut rules = Vec::new();
    for rule in file.syscalls.unwrap_or_default() {
        let includes = rule.includes.unwrap_or_default();
        let excludes = rule.excludes.unwrap_or_default();
        if !includes.includes(capabilities, kernel)? || excludes.excludes(capabilities, kernel)? {
            continue;
        }
        let names = match (rule.names, rule.name) {
            (Some(names), None) => names,
            (None, Some(name)) => vec![name],
            (Some(names), Some(name)) if names.is_empty() || name.is_empty() => {
                names.into_iter().chain([name]).filter(|name| !name.is_empty()).collect()
            }
            _ => return Err(invalid("a rule needs `names` or `name`".into())),
        };
        let mut builder = LinuxSyscallBuilder::default().names(names).action(rule.action);
        if let Some(errno) = errno(rule.errno.as_deref(), rule.errno_ret)? {
            builder = builder.errno_ret(errno);
        }
        let arguments: Vec<LinuxSeccompArg> = rule
            .args
            .unwrap_or_default()
            .into_iter()
            .map(|argument| {
                LinuxSeccompArgBuilder::default()
                    .index(argument.index)
                    .value(argument.value)
                    .value_two(argument.value_two)
                    .op(argument.op)
                    .build()
            })
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| invalid(error.to_string()))?;
        if !arguments.is_empty() {
            builder = builder.args(arguments);
        }
        rules.push(builder.build().map_err(|error| invalid(error.to_string()))?);
    }
    let mut builder = LinuxSeccompBuilder::default().default_action(file.default_action).syscalls(rules);
    if let Some(errno) = errno(file.default_errno.as_deref(), file.default_errno_ret)? {
        builder = builder.default_errno_ret(errno);
    }
    if let Some(architectures) = architectures {
        builder = builder.architectures(architectures);
    }
    if let Some(flags) = file.flags {
        builder = builder.flags(flags);
    }
    builder.build().map_err(|error| invalid(error.to_string()))
}

impl FileCondition {
    /// Everything that is named must hold.
    fn includes(&self, capabilities: &[String], kernel: (u32, u32)) -> Result<bool> {
        let arches = self.arches.as_deref().unwrap_or_default();
        let caps = self.caps.as_deref().unwrap_or_default();
        Ok((arches.is_empty() || arches.iter().any(|arch| arch == GO_ARCH))
            && caps.iter().all(|cap| capabilities.contains(cap))
            && self.new_enough(kernel)?.unwrap_or(true))
    }

    /// Anything that is named is enough.
    fn excludes(&self, capabilities: &[String], kernel: (u32, u32)) -> Result<bool> {
        let arches = self.arches.as_deref().unwrap_or_default();
        let caps = self.caps.as_deref().unwrap_or_default();
        Ok(arches.iter().any(|arch| arch == GO_ARCH)
            || caps.iter().any(|cap| capabilities.contains(cap))
            || self.new_enough(kernel)?.unwrap_or(false))
    }

    fn new_enough(&self, kernel: (u32, u32)) -> Result<Option<bool>> {
        match self.min_kernel.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => {
                let wanted =
                    version(text).ok_or_else(|| Error::Seccomp { what: format!("`{text}` is no kernel version") })?;
                Ok(Some(kernel >= wanted))
            }
        }
    }
}

/// `6.18.44-something` is (6, 18).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn kernel_version() -> (u32, u32) {
    version(&rustix::system::uname().release().to_string_lossy()).unwrap_or((0, 0))
}

fn errno(name: Option<&str>, number: Option<u32>) -> Result<Option<u32>> {
    const NAMES: [(&str, u32); 34] = [
        ("EPERM", 1),
        ("ENOENT", 2),
        ("ESRCH", 3),
        ("EINTR", 4),
        ("EIO", 5),
        ("ENXIO", 6),
        ("E2BIG", 7),
        ("ENOEXEC", 8),
        ("EBADF", 9),
        ("ECHILD", 10),
        ("EAGAIN", 11),
        ("ENOMEM", 12),
        ("EACCES", 13),
        ("EFAULT", 14),
        ("ENOTBLK", 15),
        ("EBUSY", 16),
        ("EEXIST", 17),
        ("EXDEV", 18),
        ("ENODEV", 19),
        ("ENOTDIR", 20),
        ("EISDIR", 21),
        ("EINVAL", 22),
        ("ENFILE", 23),
        ("EMFILE", 24),
        ("ENOTTY", 25),
        ("EFBIG", 27),
        ("ENOSPC", 28),
        ("EROFS", 30),
        ("EPIPE", 32),
        ("ERANGE", 34),
        ("ENOSYS", 38),
        ("EPROTONOSUPPORT", 93),
        ("EOPNOTSUPP", 95),
        ("EAFNOSUPPORT", 97),
    ];
    match name {
        None | Some("") => Ok(number),
        Some(name) => match NAMES.iter().find(|(known, _)| *known == name) {
            Some(&(_, number)) => Ok(Some(number)),
            None => number
                .map(Some)
                .ok_or_else(|| Error::Seccomp { what: format!("`{name}` is no errno that creel knows") }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(profile: &LinuxSeccomp, action: LinuxSeccompAction) -> Vec<&str> {
        let rules = profile.syscalls().iter().flatten();
        rules.filter(|rule| rule.action() == action).flat_map(|rule| rule.names().iter().map(String::as_str)).collect()
    }

    #[test]
    fn rules_depend_on_capabilities_architecture_and_kernel() {
        let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "defaultErrnoRet": 38,
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
                {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
                {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_BPF"]}},
                {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
                {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
                {"name": "mount", "action": "SCMP_ACT_ERRNO", "errno": "EPERM"}]}"#;
        let with = parse(text, &["CAP_BPF".into()], (4, 7)).unwrap();
        assert_eq!(names(&with, LinuxSeccompAction::ScmpActAllow), ["read", "bpf"]);
        assert_eq!(with.default_errno_ret(), Some(38));
        assert_eq!(with.architectures().as_ref().map(Vec::len), Some(2));
        let without = parse(text, &[], (6, 1)).unwrap();
        assert_eq!(names(&without, LinuxSeccompAction::ScmpActAllow), ["read", "chroot", "ptrace"]);
        assert_eq!(names(&without, LinuxSeccompAction::ScmpActErrno), ["mount"]);
    }

    #[test]
    fn a_profile_in_the_ocis_own_form_is_read() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}"#;
        let profile = parse_profile(text, &[]).unwrap();
        assert_eq!(names(&profile, LinuxSeccompAction::ScmpActErrno), ["personality"]);
    }

    #[test]
    fn a_broken_profile_says_what_is_wrong() {
        for (text, word) in [
            ("{}", "defaultAction"),
            (r#"{"defaultAction": "SCMP_ACT_NONE"}"#, "SCMP_ACT_NONE"),
            (r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}"#, "names"),
            (r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}"#, "listener"),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["x"], "action": "SCMP_ACT_ERRNO", "errno": "EWHAT"}]}"#,
                "EWHAT",
            ),
        ] {
            let error = parse_profile(text, &[]).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn kernel_versions() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("4.8"), Some((4, 8)));
        assert_eq!(version("x"), None);
    }
}
