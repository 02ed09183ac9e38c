//! Capabilities, `--security-opt`, sysctls.

use std::collections::BTreeMap;

use containers::{SeccompProfile, Security, SysctlNamespace};

use super::CreateArgs;
use crate::arguments::{go_bool, go_quote};
use crate::config::Config;
use crate::error::Failure;

/// capabilities(7), in the kernel's order.
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

pub fn security(args: &CreateArgs, config: &Config) -> Result<Security, Failure> {
    let cap_add = capabilities(&args.cap_add)?;
    let cap_drop = capabilities(&args.cap_drop)?;
    if [&cap_add, &cap_drop].iter().all(|names| names.iter().any(|name| name == "ALL")) {
        return Err(Failure::plain("adding all caps and removing all caps not allowed"));
    }
    if let Some(both) = cap_add.iter().find(|name| *name != "ALL" && cap_drop.contains(name)) {
        return Err(Failure::plain(format!("capability \"CAP_{both}\" cannot be dropped and added")));
    }
    match args.seccomp_policy.as_deref().unwrap_or_default() {
        "" | "default" => {}
        "image" => return Err(Failure::plain("--seccomp-policy image is not supported by creel yet")),
        other => {
            let other = go_quote(other);
            return Err(Failure::plain(format!(
                "invalid seccomp policy {other}: valid policies are [\"default\" \"image\"]"
            )));
        }
    }
    let mut security = Security {
        privileged: args.privileged || config.boolean("containers", "privileged").unwrap_or(false),
        cap_add,
        cap_drop,
        cap_default: Some(capabilities(&config.list("containers", "default_capabilities"))?)
            .filter(|names| !names.is_empty()),
        read_only: args.read_only || config.boolean("containers", "read_only").unwrap_or(false),
        read_only_tmpfs: args.read_only_tmpfs,
        ..Security::default()
    };
    for option in &args.security_opt {
        security_option(&mut security, option)?;
    }
    if security.apparmor.is_none() && std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        security.apparmor = config.text("containers", "apparmor_profile").map(str::to_owned);
    }
    Ok(security)
}

fn security_option(security: &mut Security, option: &str) -> Result<(), Failure> {
    let (key, value) = match option.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => match option.split_once(':') {
            // Docker's old spelling with a colon.
            Some((key, value)) => (key, Some(value)),
            None => (option, None),
        },
    };
    let list = |value: &str| value.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    match (key, value) {
        ("no-new-privileges", None) => security.no_new_privileges = true,
        ("no-new-privileges", Some(value)) => match go_bool(value) {
            Some(value) => security.no_new_privileges = value,
            None => return Err(Failure::plain(format!("invalid --security-opt 2: {}", go_quote(option)))),
        },
        ("seccomp", Some("")) => security.seccomp = SeccompProfile::Default,
        ("seccomp", Some("unconfined")) => security.seccomp = SeccompProfile::Unconfined,
        ("seccomp", Some(path)) => {
            let path = std::path::absolute(path).map_err(crate::error::on_path("open", path))?;
            std::fs::metadata(&path).map_err(|error| {
                crate::error::on_path("open", &path)(error).context("opening seccomp profile failed")
            })?;
            security.seccomp = SeccompProfile::File(path);
        }
        ("label", Some("nested")) if !std::path::Path::new("/sys/fs/selinux").exists() => {
            return Err(Failure::plain("statfs /sys/fs/selinux: no such file or directory")
                .hint("label=nested is for machines with SELinux"));
        }
        ("label", Some(value)) => security.labels.push(value.to_owned()),
        ("apparmor", Some("unconfined")) => security.apparmor = Some("unconfined".into()),
        ("apparmor", Some(profile)) => {
            if !std::path::Path::new("/sys/kernel/security/apparmor").exists() {
                let profile = go_quote(profile);
                return Err(Failure::plain(format!(
                    "apparmor profile {profile} specified, but Apparmor is not enabled on this system"
                )));
            }
            security.apparmor = Some(profile.to_owned());
        }
        ("mask", Some(value)) => {
            let paths = list(value);
            if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
                return Err(Failure::plain(format!("Path {} is not an absolute path", go_quote(path))));
            }
            security.mask.extend(paths);
        }
        ("unmask", Some(value)) => {
            let paths = list(value);
            let paths =
                paths.into_iter().map(|path| if path.eq_ignore_ascii_case("all") { "ALL".into() } else { path });
            security.unmask.extend(paths);
        }
        ("systempaths", Some("unconfined")) => security.unmask.push("ALL".into()),
        ("systempaths", Some(other)) => {
            return Err(Failure::plain(format!(
                "invalid systempaths option {}, only `unconfined` is supported",
                go_quote(other)
            )));
        }
        ("proc-opts", Some(value)) => security.proc_opts.extend(value.split(',').map(str::to_owned)),
        (_, Some(_)) => return Err(Failure::plain(format!("invalid --security-opt 2: {}", go_quote(option)))),
        (_, None) => return Err(Failure::plain(format!("invalid --security-opt 1: {}", go_quote(option)))),
    }
    Ok(())
}

/// Names without `CAP_`, in capitals, in the order given.
fn capabilities(texts: &[String]) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name != "ALL" && !CAPABILITIES.contains(&name) {
            return Err(Failure::plain(format!("\"CAP_{name}\": unknown capability")));
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Kernel parameters that belong to a namespace; names are compared after `/` became `.`.
pub fn sysctls(args: &CreateArgs, config: &Config) -> Result<BTreeMap<String, String>, Failure> {
    let mut sysctls = BTreeMap::new();
    let defaults = config.list("containers", "default_sysctls");
    for (text, typed) in defaults.iter().map(|text| (text, false)).chain(args.sysctl.iter().map(|text| (text, true))) {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::plain(format!("{text} is invalid, sysctl values must be in the form of KEY=VALUE")));
        };
        let key = key.trim();
        let (namespace, mode) = match SysctlNamespace::of(key) {
            Some(SysctlNamespace::Network) => ("Network", args.network.first()),
            Some(SysctlNamespace::Ipc) => ("IPC", args.ipc.as_ref()),
            None => return Err(Failure::plain(format!("sysctl '{key}' is not allowed"))),
        };
        let mode = mode.map(String::as_str).unwrap_or_default();
        let in_pod = args.pod.is_some() || args.pod_id_file.is_some();
        let is_own = !(in_pod || mode == "host" || mode.starts_with("container:") || mode.starts_with("ns:"));
        // A default of the file is for namespaces of one's own; what was typed must not be lost silently.
        if !typed && !is_own {
            continue;
        }
        if mode == "host" {
            return Err(Failure::plain(format!(
                "sysctl {key}={value} can't be set since {namespace} Namespace set to host: invalid argument"
            )));
        }
        sysctls.insert(key.to_owned(), value.trim().to_owned());
    }
    Ok(sysctls)
}

#[cfg(test)]
mod tests {
    use super::super::tests::translate;
    use super::*;

    #[test]
    fn capabilities_are_named_without_prefix() {
        let spec = translate(&["--cap-add", "cap_net_admin,ALL", "--cap-drop=CHOWN", "i"]).unwrap();
        assert_eq!(spec.security.cap_add, ["NET_ADMIN", "ALL"]);
        assert_eq!(spec.security.cap_drop, ["CHOWN"]);
    }

    #[test]
    fn security_options_are_read() {
        let line = [
            "--security-opt",
            "no-new-privileges",
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "mask=/a:/b",
            "--security-opt",
            "unmask=all",
            "--security-opt",
            "label=disable",
            "i",
        ];
        let security = translate(&line).unwrap().security;
        assert!(security.no_new_privileges);
        assert_eq!(security.seccomp, SeccompProfile::Unconfined);
        assert_eq!(security.mask, ["/a", "/b"]);
        assert_eq!(security.unmask, ["ALL"]);
        assert_eq!(security.labels, ["disable"]);
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("--security-opt", "foo", "invalid --security-opt 1: \"foo\""),
            ("--security-opt", "mask=etc", "Path \"etc\" is not an absolute path"),
            ("--security-opt", "systempaths=x", "invalid systempaths option \"x\", only `unconfined` is supported"),
            ("--security-opt", "no-new-privileges:x", "invalid --security-opt 2: \"no-new-privileges:x\""),
            (
                "--security-opt",
                "seccomp=/nonexist",
                "opening seccomp profile failed: open /nonexist: no such file or directory",
            ),
            ("--cap-add", "FOO", "\"CAP_FOO\": unknown capability"),
            ("--sysctl", "foo", "foo is invalid, sysctl values must be in the form of KEY=VALUE"),
            ("--sysctl", "a=b", "sysctl 'a' is not allowed"),
            ("--seccomp-policy", "foo", "invalid seccomp policy \"foo\": valid policies are [\"default\" \"image\"]"),
        ];
        for (flag, value, expected) in table {
            assert_eq!(translate(&[flag, value, "i"]).unwrap_err(), expected);
        }
        let both = translate(&["--cap-add", "CHOWN", "--cap-drop", "CHOWN", "i"]).unwrap_err();
        assert_eq!(both, "capability \"CAP_CHOWN\" cannot be dropped and added");
    }
}
