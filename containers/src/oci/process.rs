//! The program: its arguments, environment, identity and limits.

use std::collections::{BTreeMap, HashSet};

use oci_spec::runtime::{
    BoxBuilder, Capabilities, Capability, LinuxCapabilities, PosixRlimit, PosixRlimitBuilder, Process, Spec, User,
};

use super::Given;
use crate::container::Record;
use crate::error::{Error, Result};
use crate::spec::{ContainerSpec, Security, SystemdMode, Ulimit};
use crate::users::Account;

/// Where the built-in init is bound; Podman's name for it.
pub const INIT_PATH: &str = "/run/podman-init";
const INIT_WORD: &str = "__init";

/// Where creel is bound in a container that only holds namespaces.
pub const HOLDER_PATH: &str = "/creel";

/// Where programs are looked for, unless image or user say otherwise.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn process(record: &Record, given: &Given) -> Result<Process> {
    let spec = &record.spec;
    let mut arguments = arguments(record)?;
    if spec.init {
        let init = [INIT_PATH, INIT_WORD, "--"].map(str::to_owned);
        arguments.splice(0..0, init);
    }
    let mut process = identity(&spec.security, &given.user, spec.tty)?;
    process.user_mut().set_umask(Some(spec.umask.unwrap_or(0o022)));
    process.set_args(Some(arguments));
    process.set_env(Some(environment(record, given)));
    process.set_cwd(workdir(record).into());
    process.set_rlimits(Some(rlimits(limits(&spec.ulimits, given.hard_nofile, given.hard_nproc))?));
    process.set_oom_score_adj(spec.oom_score_adj);
    // What creel starts has the caller's profile, which is none as a rule; a machine without AppArmor has no `unconfined`.
    process.set_apparmor_profile(spec.security.apparmor.clone().filter(|profile| profile != "unconfined"));
    set_console_size(&mut process, given.console_size);
    Ok(process)
}

/// Whether the first process is one of creel's own, which read their signals from a descriptor.
pub(crate) fn runs_creel(configuration: &Spec) -> bool {
    const OWN: [[&str; 2]; 3] = [[INIT_PATH, INIT_WORD], [HOLDER_PATH, "__hold"], [HOLDER_PATH, "__hello"]];
    let arguments = configuration.process().as_ref().and_then(|process| process.args().as_deref()).unwrap_or_default();
    OWN.iter().any(|words| arguments.starts_with(&words.map(str::to_owned)))
}

/// Columns and rows, where they are known.
pub(crate) fn set_console_size(process: &mut Process, size: Option<(u16, u16)>) {
    // Built from two numbers: nothing can be missing.
    let built = |(columns, rows)| BoxBuilder::default().width(columns).height(rows).build().ok();
    process.set_console_size(size.and_then(built));
}

/// The process of an `exec`: the container's own rules, another command. `given` is what [`limits`] says.
pub(crate) fn exec_process(
    security: &Security,
    given: Vec<Ulimit>,
    account: &Account,
    tty: bool,
    arguments: Vec<String>,
    environment: Vec<String>,
    workdir: &str,
) -> Result<Process> {
    let mut process = identity(security, account, tty)?;
    process.set_rlimits(Some(rlimits(given)?));
    process.user_mut().set_umask(Some(0o022));
    process.set_args(Some(arguments));
    process.set_env(Some(environment));
    process.set_cwd(workdir.into());
    Ok(process)
}

fn identity(security: &Security, account: &Account, tty: bool) -> Result<Process> {
    let mut user = User::default();
    user.set_uid(account.uid);
    user.set_gid(account.gid);
    user.set_additional_gids(Some(account.groups.clone()));
    let mut process = Process::default();
    process.set_user(user);
    process.set_terminal(Some(tty));
    process.set_capabilities(Some(capabilities(security, account.uid)?));
    process.set_no_new_privileges(Some(security.no_new_privileges));
    process.set_rlimits(None);
    Ok(process)
}

/// Whether process 1 is systemd, or said to be, and gets what that needs; see `podman run --systemd`.
pub(crate) fn runs_systemd(record: &Record) -> bool {
    match record.spec.systemd {
        SystemdMode::Always => true,
        SystemdMode::Off => false,
        SystemdMode::Auto => {
            let Ok(arguments) = arguments(record) else { return false };
            let first = arguments.first().map(String::as_str).unwrap_or_default();
            matches!(first, "/sbin/init" | "/usr/sbin/init" | "/usr/local/sbin/init")
                || first.rsplit('/').next() == Some("systemd")
        }
    }
}

/// Entrypoint and command: an entrypoint of the user's own drops the image's command.
fn arguments(record: &Record) -> Result<Vec<String>> {
    let spec = &record.spec;
    let image = record.image.as_ref();
    let mut arguments = match &spec.entrypoint {
        // A word of nothing only says that the image's is not wanted.
        Some(entrypoint) if entrypoint == &[""] && !spec.command.is_empty() => Vec::new(),
        Some(entrypoint) => entrypoint.clone(),
        None => image.map(|image| image.entrypoint.clone()).unwrap_or_default(),
    };
    if spec.uses_image_command() {
        arguments.extend(image.map(|image| image.cmd.clone()).unwrap_or_default());
    } else {
        arguments.extend(spec.command.iter().cloned());
    }
    if arguments.first().is_none_or(String::is_empty) {
        let message = "no command or entrypoint provided, and no CMD or ENTRYPOINT from image: cannot find `` in $PATH: No \
                       such file or directory: OCI runtime attempted to invoke a command that was not found";
        return Err(Error::StartFailed { message: message.into(), exit_code: 127 });
    }
    Ok(arguments)
}

pub(super) fn workdir(record: &Record) -> String {
    let image = record.image.as_ref().and_then(|image| image.workdir.clone());
    let workdir = record.spec.workdir.clone().or(image).filter(|workdir| !workdir.is_empty());
    match workdir {
        Some(workdir) if workdir.starts_with('/') => workdir,
        Some(relative) => format!("/{relative}"),
        None => "/".to_owned(),
    }
}

fn environment(record: &Record, given: &Given) -> Vec<String> {
    let spec = &record.spec;
    let mut all = default_environment(record);
    if spec.tty {
        all.entry("TERM".into()).or_insert_with(|| "xterm".into());
    }
    if !spec.no_hostname {
        all.entry("HOSTNAME".into()).or_insert_with(|| given.hostname.clone());
    }
    all.entry("HOME".into()).or_insert_with(|| given.user.home.clone());
    all.extend(given.secret_env.iter().cloned());
    all.extend(given.own_env.iter().cloned());
    all.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// What image and user say, without what depends on the run (TERM, HOSTNAME, HOME).
pub(crate) fn default_environment(record: &Record) -> BTreeMap<String, String> {
    let spec = &record.spec;
    let mut all = BTreeMap::from([("PATH".to_owned(), PATH.to_owned()), ("container".to_owned(), "podman".to_owned())]);
    if runs_systemd(record) {
        all.insert("container_uuid".into(), record.id.as_str().get(..32).unwrap_or_default().to_owned());
    }
    all.extend(spec.proxy_env.iter().cloned());
    if let Some(image) = &record.image {
        all.extend(image.env.iter().filter_map(|entry| {
            let (key, value) = entry.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        }));
    }
    if spec.unset_env_all {
        all.clear();
    }
    for key in &spec.unset_env {
        all.remove(key);
    }
    all.extend(spec.env.iter().cloned());
    all
}

/// Podman's eleven.
const DEFAULT_CAPABILITIES: [Capability; 11] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// The five sets, see capabilities(7). Another user than root keeps the bounding set and has nothing in effect, except
/// what `--cap-add` names, which becomes ambient.
pub(crate) fn capabilities(security: &Security, uid: u32) -> Result<LinuxCapabilities> {
    let bounding = bounding_set(security)?;
    let named = if security.privileged { Capabilities::new() } else { parse_capabilities(&security.cap_add)? };
    let effective: Capabilities =
        if uid == 0 { bounding.clone() } else { named.intersection(&bounding).copied().collect() };
    let ambient = if uid == 0 { Capabilities::new() } else { effective.clone() };
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(bounding));
    sets.set_permitted(Some(effective.clone()));
    sets.set_effective(Some(effective));
    sets.set_inheritable(Some(ambient.clone()));
    sets.set_ambient(Some(ambient));
    Ok(sets)
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("all")
}

fn bounding_set(security: &Security) -> Result<Capabilities> {
    let (added, dropped) = (&security.cap_add, &security.cap_drop);
    let start: Capabilities = if security.privileged || added.iter().any(|name| is_all(name)) {
        every_capability()
    } else if dropped.iter().any(|name| is_all(name)) {
        Capabilities::new()
    } else {
        match &security.cap_default {
            Some(names) => parse_capabilities(names)?,
            None => DEFAULT_CAPABILITIES.into(),
        }
    };
    let added = parse_capabilities(added)?;
    let dropped = parse_capabilities(dropped)?;
    if let Some(both) = added.intersection(&dropped).next() {
        return Err(Error::Invalid(format!("capability \"CAP_{both}\" cannot be dropped and added")));
    }
    let mut set: Capabilities = start.union(&added).copied().collect();
    set.retain(|capability| !dropped.contains(capability));
    Ok(set)
}

/// What a container has beyond the usual capabilities, and what it lacks of them: names, sorted.
pub(crate) fn changed_capabilities(security: &Security) -> Result<(Vec<String>, Vec<String>)> {
    if security.privileged {
        return Ok((Vec::new(), Vec::new()));
    }
    let (usual, has) = (Capabilities::from(DEFAULT_CAPABILITIES), bounding_set(security)?);
    let beyond = |set: &Capabilities, other: &Capabilities| {
        let mut names: Vec<String> = set.difference(other).map(|capability| format!("CAP_{capability}")).collect();
        names.sort();
        names
    };
    Ok((beyond(&has, &usual), beyond(&usual, &has)))
}

fn parse_capabilities(names: &[String]) -> Result<Capabilities> {
    names
        .iter()
        .filter(|name| !is_all(name))
        .map(|name| {
            let upper = name.to_ascii_uppercase();
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
            bare.parse::<Capability>().map_err(|_| {
                Error::Invalid(format!("invalid capability: \"{name}\": unknown capability \"CAP_{bare}\""))
            })
        })
        .collect()
}

/// All that the last kernel knows; what the running one lacks is left out where they are set.
fn every_capability() -> Capabilities {
    sys::capabilities::NAMES
        .iter()
        .filter_map(|name| name.strip_prefix("CAP_")?.parse::<Capability>().ok())
        .collect::<HashSet<_>>()
}

const DEFAULT_LIMIT: u64 = 1_048_576;

/// The limits of a container that has started: the wanted ones and, unless those of the host are wanted, as many files
/// and processes as the caller may have. Sorted by name.
pub(crate) fn limits(wanted: &[Ulimit], hard_nofile: u64, hard_nproc: u64) -> Vec<Ulimit> {
    if wanted.iter().any(|limit| limit.name == "host") {
        return Vec::new();
    }
    let usual = [("nofile", hard_nofile), ("nproc", hard_nproc)].map(|(name, hard)| {
        let limit = DEFAULT_LIMIT.min(hard);
        Ulimit { name: name.into(), soft: limit, hard: limit }
    });
    let all: BTreeMap<String, Ulimit> =
        usual.into_iter().chain(wanted.iter().cloned()).map(|limit| (limit.name.clone(), limit)).collect();
    all.into_values().collect()
}

fn rlimits(limits: Vec<Ulimit>) -> Result<Vec<PosixRlimit>> {
    limits
        .into_iter()
        .map(|Ulimit { name, soft, hard }| {
            let typ =
                serde_json::from_value(serde_json::Value::String(format!("RLIMIT_{}", name.to_ascii_uppercase())))
                    .map_err(|_| Error::Invalid(format!("invalid ulimit type: {name}")))?;
            PosixRlimitBuilder::default()
                .typ::<oci_spec::runtime::PosixRlimitType>(typ)
                .soft(soft)
                .hard(hard)
                .build()
                .map_err(|error| Error::Invalid(error.to_string()))
        })
        .collect()
}

/// What the surface shows in inspect as the whole command of a container.
impl ContainerSpec {
    /// Whether the image's own command runs.
    pub fn uses_image_command(&self) -> bool {
        self.command.is_empty() && self.entrypoint.as_ref().is_none_or(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{given, record};
    use super::*;
    use crate::container::ImageDefaults;

    fn image() -> ImageDefaults {
        ImageDefaults {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into()],
            env: vec!["A=image".into(), "PATH=/image".into()],
            workdir: Some("srv".into()),
            ..ImageDefaults::default()
        }
    }

    fn args(change: impl FnOnce(&mut ContainerSpec)) -> String {
        let mut spec = ContainerSpec::default();
        change(&mut spec);
        arguments(&record(spec, image())).map_or_else(|error| error.to_string(), |args| args.join(" "))
    }

    #[test]
    fn entrypoint_and_command_follow_the_field_s_rules() {
        assert_eq!(args(|_| {}), "/entry serve");
        assert_eq!(args(|spec| spec.command = vec!["x".into()]), "/entry x");
        assert_eq!(args(|spec| spec.entrypoint = Some(vec!["/e".into()])), "/e");
        assert_eq!(
            args(|spec| {
                spec.entrypoint = Some(Vec::new());
                spec.command = vec!["x".into()];
            }),
            "x"
        );
        assert_eq!(args(|spec| spec.entrypoint = Some(Vec::new())), "serve");
        assert!(args(|spec| spec.entrypoint = Some(vec![String::new()])).starts_with("no command"));
        assert_eq!(
            args(|spec| {
                spec.entrypoint = Some(vec![String::new()]);
                spec.command = vec!["x".into()];
            }),
            "x"
        );
    }

    #[test]
    fn the_users_environment_wins_over_the_images() {
        let mut spec = ContainerSpec { tty: true, env: vec![("A".into(), "user".into())], ..ContainerSpec::default() };
        spec.unset_env = vec!["container".into()];
        let all = environment(&record(spec, image()), &given());
        let expected = ["A=user", "HOME=/root", "HOSTNAME=abababababab", "PATH=/image", "TERM=xterm"];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_relative_workdir_starts_at_the_root() {
        assert_eq!(workdir(&record(ContainerSpec::default(), image())), "/srv");
    }

    #[test]
    fn capabilities_of_root_and_of_others() {
        let mut security = Security { cap_add: vec!["net_raw".into()], ..Security::default() };
        security.cap_drop = vec!["CAP_CHOWN".into()];
        let root = capabilities(&security, 0).unwrap();
        assert_eq!(root.bounding().as_ref().unwrap().len(), 11);
        assert_eq!(root.effective(), root.bounding());
        assert!(root.ambient().as_ref().unwrap().is_empty());
        let other = capabilities(&security, 5).unwrap();
        assert_eq!(other.bounding(), root.bounding());
        assert_eq!(other.ambient().as_ref().unwrap().iter().collect::<Vec<_>>(), [&Capability::NetRaw]);
        assert_eq!(other.effective(), other.ambient());
    }

    #[test]
    fn privileged_has_every_capability() {
        let security = Security { privileged: true, ..Security::default() };
        assert_eq!(capabilities(&security, 0).unwrap().bounding().as_ref().unwrap().len(), 41);
    }

    #[test]
    fn unknown_and_contradicting_capabilities_are_refused() {
        let unknown = Security { cap_add: vec!["NOPE".into()], ..Security::default() };
        assert!(capabilities(&unknown, 0).unwrap_err().to_string().contains("CAP_NOPE"));
        let both = Security { cap_add: vec!["CHOWN".into()], cap_drop: vec!["CHOWN".into()], ..Security::default() };
        assert!(capabilities(&both, 0).is_err());
    }

    #[test]
    fn default_limits_are_capped_by_ours() {
        let given = rlimits(limits(&[], 4096, u64::MAX)).unwrap();
        let shown: Vec<_> = given.iter().map(|limit| (limit.typ().to_string(), limit.soft())).collect();
        assert_eq!(shown, [("RLIMIT_NOFILE".to_owned(), 4096), ("RLIMIT_NPROC".to_owned(), DEFAULT_LIMIT)]);
        let own = Ulimit { name: "core".into(), soft: 0, hard: u64::MAX };
        assert_eq!(rlimits(limits(&[own], 1, 1)).unwrap().len(), 3);
        let host = Ulimit { name: "host".into(), soft: 0, hard: 0 };
        assert!(rlimits(limits(&[host], 1, 1)).unwrap().is_empty());
    }
}
