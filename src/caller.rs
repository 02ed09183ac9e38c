//! Who calls: its environment, its ids outside of the user namespace, its directories.

use std::path::PathBuf;

use containers::Settings;

use crate::error::Failure;

/// A variable of the caller; an empty one counts as unset.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The label of a container that is made by a unit of systemd; the unit says so itself.
pub fn systemd_unit() -> Option<(String, String)> {
    variable(containers::SYSTEMD_UNIT).map(|unit| (containers::SYSTEMD_UNIT.to_owned(), unit))
}

/// Whether we are root of the machine itself, not of a user namespace.
pub fn is_real_root() -> bool {
    nix::unistd::geteuid().is_root()
        && sys::userns::uid_map().is_ok_and(|map| map.iter().any(|line| line.inside == 0 && line.outside == 0))
}

/// Refuses a command whose work is of use only to who is in the user namespace already.
pub fn must_be_inside(command: &str) -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let text = format!("cannot run command \"creel {command}\" in rootless mode, must execute `creel unshare` first");
    Err(Failure::plain(text))
}

/// The caller's id outside of its user namespace. Whoever entered it before us said who that was (Podman's variable, which
/// `unshare` sets).
pub fn uid() -> u32 {
    before_entering(ROOTLESS_UID).unwrap_or_else(|| nix::unistd::geteuid().as_raw())
}

/// Whether this process is root of a user namespace only: its own, once a command has entered it.
pub fn has_entered() -> bool {
    nix::unistd::geteuid().is_root() && !is_real_root()
}

/// The caller's id outside of the namespace that this process may have entered since.
pub fn outside_uid() -> u32 {
    let map = if has_entered() { sys::userns::uid_map().unwrap_or_default() } else { Vec::new() };
    map.iter().find(|line| line.inside == 0).map_or_else(uid, |line| line.outside)
}

/// The caller's name, or its number where nobody knows one.
pub fn name_of_user() -> String {
    let uid = outside_uid();
    sys::passwd::user_of(uid).map_or_else(|| uid.to_string(), |user| user.name)
}

/// The caller's group outside of its user namespace.
pub fn gid() -> u32 {
    before_entering(ROOTLESS_GID).unwrap_or_else(|| nix::unistd::getegid().as_raw())
}

const ROOTLESS_UID: &str = "_CONTAINERS_ROOTLESS_UID";
const ROOTLESS_GID: &str = "_CONTAINERS_ROOTLESS_GID";

/// Only believed where it can be so: by somebody who is root of a namespace.
fn before_entering(name: &str) -> Option<u32> {
    let id = variable(name)?.parse().ok()?;
    (nix::unistd::geteuid().is_root() && !is_real_root()).then_some(id)
}

/// What a program that runs in the user namespace is told of who we are outside.
pub fn identity(settings: &Settings) -> [(&'static str, String); 3] {
    [
        (ROOTLESS_UID, settings.uid.to_string()),
        (ROOTLESS_GID, settings.gid.to_string()),
        ("_CONTAINERS_USERNS_CONFIGURED", "done".to_owned()),
    ]
}

/// `$HOME`, or what the password file says.
pub fn home() -> Result<PathBuf, Failure> {
    if let Some(home) = variable("HOME") {
        return Ok(home.into());
    }
    let user = sys::passwd::user_of(uid());
    user.map(|user| PathBuf::from(user.home)).ok_or_else(|| {
        Failure::plain(format!("no home directory for user {}", uid())).hint("set HOME, or give --root and --runroot")
    })
}

/// The directory that a variable of XDG names, else its usual place below the home directory.
pub fn below_home(variable_name: &str, default: &str) -> Result<PathBuf, Failure> {
    match variable(variable_name).map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(path) => Ok(path),
        None => Ok(home()?.join(default)),
    }
}

/// `$XDG_RUNTIME_DIR`; without one `/run/user/UID` where it exists, else a directory of our own in /tmp.
pub fn runtime_dir() -> PathBuf {
    if let Some(path) = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()) {
        return path;
    }
    if is_real_root() {
        return "/run".into();
    }
    let usual = PathBuf::from(format!("/run/user/{}", uid()));
    if nix::unistd::access(&usual, nix::unistd::AccessFlags::W_OK).is_ok() {
        return usual;
    }
    format!("/tmp/creel-run-{}", uid()).into()
}

/// The name under which the program was called, by its file as busybox does it: creel stands in for others.
pub fn program_of(first_word: &str) -> &'static str {
    match first_word.rsplit('/').next() {
        Some("docker") => "docker",
        Some("podman") => "podman",
        _ => "creel",
    }
}
