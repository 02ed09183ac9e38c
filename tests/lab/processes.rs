//! Which processes a test has started, however far they have wandered: none may outlive it.
//!
//! Where a cgroup v2 directory can be made, each test has one, and the kernel keeps the list. Elsewhere a process is
//! known by its environment or its mounts, which name the test's own folder, or by having such a parent.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use super::user::{tests_are_root, user};

#[derive(Debug)]
pub(crate) struct Tracker {
    cgroup: Option<PathBuf>,
    folder: PathBuf,
    /// What was written to `cgroup.subtree_control` above the test's own cgroup, to be taken back.
    switched: Mutex<Vec<(PathBuf, String)>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command: String,
}

impl Tracker {
    pub(crate) fn new(folder: &Path, name: &str) -> Tracker {
        let cgroup = parent_cgroup().map(|parent| parent.join(name));
        if let Some(cgroup) = &cgroup {
            fs::create_dir(cgroup).unwrap();
        }
        Tracker { cgroup, folder: folder.to_owned(), switched: Mutex::new(Vec::new()) }
    }

    /// The cgroup that commands are to be started in.
    pub(crate) fn entry(&self) -> Option<PathBuf> {
        let cgroup = self.cgroup.as_ref()?;
        let shell = cgroup.join("shell");
        Some(if shell.exists() { shell } else { cgroup.clone() })
    }

    /// Whether the test's cgroup is the user's own.
    pub(crate) fn is_delegated(&self) -> bool {
        self.cgroup.as_ref().is_some_and(|cgroup| cgroup.join("shell").exists())
    }

    /// Hands the test's cgroup to the ordinary user, as a login session with delegation has it. False where there is no
    /// cgroup v2 to hand over.
    pub(crate) fn delegate(&self) -> bool {
        let Some(cgroup) = &self.cgroup else { return false };
        fs::create_dir(cgroup.join("shell")).unwrap();
        if tests_are_root() {
            for folder in [cgroup.clone(), cgroup.join("shell")] {
                chown(&folder);
                for file in ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                    chown(&folder.join(file));
                }
            }
        }
        true
    }

    /// Passes a controller down from the root to the test's cgroup.
    pub(crate) fn enable_controller(&self, name: &str) -> bool {
        let (Some(cgroup), Some(root)) = (&self.cgroup, cgroup_root()) else { return false };
        let mut path = root.clone();
        let below = cgroup.strip_prefix(&root).unwrap();
        for part in below {
            let control = path.join("cgroup.subtree_control");
            let before = fs::read_to_string(&control).unwrap_or_default();
            if before.split_whitespace().any(|found| found == name) {
                // Somebody else's doing.
            } else if fs::write(&control, format!("+{name}")).is_ok() {
                self.switched.lock().unwrap().push((control, format!("-{name}")));
            } else {
                return false;
            }
            path.push(part);
        }
        fs::read_to_string(path.join("cgroup.controllers"))
            .is_ok_and(|text| text.split_whitespace().any(|found| found == name))
    }

    pub(crate) fn cgroup(&self) -> Option<&Path> {
        self.cgroup.as_deref()
    }

    pub(crate) fn alive(&self) -> Vec<Process> {
        let pids = match &self.cgroup {
            Some(cgroup) => members(cgroup),
            None => traces(&self.folder),
        };
        pids.into_iter()
            .filter_map(|pid| {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                if status.contains("\nState:\tZ") {
                    return None;
                }
                let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let words: Vec<_> = line.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
                let name = status.lines().next().and_then(|line| line.strip_prefix("Name:\t")).unwrap_or("?");
                Some(Process { pid, command: format!("{name}: {}", words.join(" ").trim()) })
            })
            .collect()
    }

    pub(crate) fn kill(&self) {
        for process in self.alive() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            remove_tree(cgroup);
        }
        for (control, word) in self.switched.lock().unwrap().iter().rev() {
            let _ = fs::write(control, word);
        }
    }
}

fn chown(path: &Path) {
    std::os::unix::fs::chown(path, Some(user().uid), Some(user().gid)).unwrap();
}

fn members(cgroup: &Path) -> Vec<i32> {
    let mut pids = Vec::new();
    if let Ok(text) = fs::read_to_string(cgroup.join("cgroup.procs")) {
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids.extend(members(&entry.path()));
        }
    }
    pids
}

fn remove_tree(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    // A killed process leaves its cgroup a moment after it has stopped being seen.
    for _ in 0..200 {
        if fs::remove_dir(cgroup).is_ok() || !cgroup.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Where cgroup v2 is mounted.
pub(super) fn cgroup_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, target, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(target))
    })
}

/// The v2 cgroup that tests may make theirs in: the one we are in, or the one above.
fn parent_cgroup() -> Option<&'static Path> {
    static PARENT: OnceLock<Option<PathBuf>> = OnceLock::new();
    PARENT
        .get_or_init(|| {
            let root = cgroup_root()?;
            let own = fs::read_to_string("/proc/self/cgroup").ok()?;
            let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
            let own = root.join(own);
            let above = own.parent().filter(|above| above.starts_with(&root)).map(Path::to_owned);
            [Some(own), above].into_iter().flatten().find(|candidate| {
                let trial = candidate.join(format!("creel-trial-{}", std::process::id()));
                let mut child = match fs::create_dir(&trial) {
                    Ok(()) => std::process::Command::new("sleep").arg("5").spawn().unwrap(),
                    Err(_) => return false,
                };
                let joined = fs::write(trial.join("cgroup.procs"), child.id().to_string()).is_ok();
                child.kill().unwrap();
                child.wait().unwrap();
                remove_tree(&trial);
                joined
            })
        })
        .as_deref()
}

/// Without a cgroup: by environment, mounts and ancestry.
fn traces(folder: &Path) -> Vec<i32> {
    let needle = format!("{}/", folder.display()).into_bytes();
    let contains = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let own = std::process::id() as i32;
    let mut found = Vec::new();
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split(' ').nth(2)?.parse::<i32>().ok());
        parents.push((pid, parent.unwrap_or(0)));
        let names_it = |file| fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|bytes| contains(&bytes));
        if pid != own && (names_it("environ") || names_it("mountinfo")) {
            found.push(pid);
        }
    }
    loop {
        let more: Vec<i32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|&(pid, _)| pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}
