//! Who runs the program under test: an ordinary user, always. A root test run makes one for itself.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::{Uid, geteuid};

/// The ordinary user.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// First subordinate uid and how many; `None` where the user has none.
    pub(crate) sub_uids: Option<(u32, u32)>,
}

/// Whether the tests themselves are root, and the program under test therefore runs by `setpriv`.
pub(crate) fn tests_are_root() -> bool {
    geteuid().is_root()
}

pub(crate) fn user() -> &'static User {
    static USER: OnceLock<User> = OnceLock::new();
    USER.get_or_init(|| {
        if !tests_are_root() {
            let uid = geteuid();
            return find(|_, line_uid| line_uid == uid.as_raw()).unwrap();
        }
        let name = std::env::var("CREEL_TEST_USER").unwrap_or_else(|_| "creel-test".to_owned());
        for device in ["/dev/fuse", "/dev/net/tun"] {
            // What a desktop or a server has by udev; a machine that was never booted properly has it for root alone.
            if Path::new(device).exists() {
                assert!(Command::new("chmod").args(["666", device]).status().unwrap().success());
            }
        }
        if find(|line_name, _| line_name == name).is_none() {
            let made = Command::new("useradd").args(["-M", "-d", "/nonexistent", "-s", "/bin/sh", &name]).status();
            assert!(made.unwrap().success(), "useradd {name}");
        }
        for file in ["/etc/subuid", "/etc/subgid"] {
            give_subordinate_ids(file, &name);
        }
        let user = find(|line_name, _| line_name == name).unwrap();
        assert_ne!(Uid::from_raw(user.uid), Uid::from_raw(0));
        user
    })
}

fn find(wanted: impl Fn(&str, u32) -> bool) -> Option<User> {
    fs::read_to_string("/etc/passwd").unwrap().lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let (name, uid, gid) = (fields[0], fields[2].parse().ok()?, fields[3].parse().ok()?);
        let found = wanted(name, uid);
        found.then(|| User { name: name.to_owned(), uid, gid, sub_uids: subordinate_ids("/etc/subuid", name) })
    })
}

fn subordinate_ids(file: &str, name: &str) -> Option<(u32, u32)> {
    ranges(file).into_iter().find(|(owner, ..)| owner == name).map(|(_, first, count)| (first, count))
}

fn ranges(file: &str) -> Vec<(String, u32, u32)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .collect()
}

/// Behind the last range in use, so that no two users share an id.
fn give_subordinate_ids(file: &str, name: &str) {
    let ranges = ranges(file);
    if ranges.iter().any(|(owner, ..)| owner == name) {
        return;
    }
    let first = ranges.iter().map(|(_, first, count)| first + count).max().unwrap_or(0).max(100_000);
    let mut text = fs::read_to_string(file).unwrap_or_default();
    text.push_str(&format!("{name}:{first}:65536\n"));
    fs::write(file, text).unwrap();
}
