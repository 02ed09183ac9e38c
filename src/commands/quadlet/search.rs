//! Where Quadlets lie, and which of them count.
//!
//! Both Podman's generator and creel's write to the one directory that systemd reads, so no file may be read by both.
//! Directories of creel's own are always read; Podman's are read too unless its generator is there.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use units::UnitFile;
use units::quadlet::{Kind, drop_in_directories};

use crate::caller::{self, variable};
use crate::error::Failure;

/// For whose manager services are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    User,
    System,
}

/// Directories of other programs' generators for a user's manager, see systemd.generator(7).
const GENERATORS: &[&str] = &[
    "/run/systemd/user-generators",
    "/etc/systemd/user-generators",
    "/usr/local/lib/systemd/user-generators",
    "/usr/lib/systemd/user-generators",
];

/// Whether Podman's generator will read Podman's directories: there, not masked, and not this program.
fn podman_generates() -> bool {
    let found = GENERATORS
        .iter()
        .map(|place| Path::new(place).join("podman-user-generator"))
        .find(|path| path.is_symlink() || path.exists());
    let Some(path) = found else { return false };
    let Ok(real) = fs::canonicalize(&path) else { return false };
    let ours = sys::exe::path().and_then(fs::canonicalize).is_ok_and(|ours| ours == real);
    let runs = fs::metadata(&real).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    runs && !ours
}

/// The directories in which Quadlets lie, the first of which wins. `$QUADLET_UNIT_DIRS` is all there is where it is set.
pub fn directories(manager: Manager) -> Result<Vec<PathBuf>, Failure> {
    if let Some(only) = variable("QUADLET_UNIT_DIRS") {
        return Ok(only.split(':').filter(|directory| !directory.is_empty()).map(PathBuf::from).collect());
    }
    if manager == Manager::System {
        return Ok(["/run", "/etc", "/usr/share"]
            .iter()
            .map(|root| Path::new(root).join("containers/systemd"))
            .collect());
    }
    let uid = caller::uid().to_string();
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let config = caller::below_home("XDG_CONFIG_HOME", ".config")?;
    let of = |whose: &str| {
        let users = Path::new("/etc").join(whose).join("systemd/users");
        let own = [Some(config.join(whose).join("systemd")), Some(users.join(&uid)), Some(users)];
        let running = runtime.as_ref().map(|runtime| runtime.join(whose).join("systemd"));
        std::iter::once(running).chain(own).flatten().collect::<Vec<_>>()
    };
    let mut directories = of("creel");
    if !podman_generates() {
        directories.extend(of("containers"));
    }
    Ok(directories)
}

/// Where `quadlet install` puts them: Podman's place, unless Podman's generator would take them from there.
pub fn install_directory() -> Result<PathBuf, Failure> {
    let whose = if podman_generates() { "creel" } else { "containers" };
    match variable("QUADLET_UNIT_DIRS").and_then(|only| only.split(':').next().map(PathBuf::from)) {
        Some(directory) if !directory.as_os_str().is_empty() => Ok(directory),
        _ => Ok(caller::below_home("XDG_CONFIG_HOME", ".config")?.join(whose).join("systemd")),
    }
}

/// A file that could not be read, or not as a unit file.
pub struct Unreadable {
    pub path: PathBuf,
    pub why: String,
}

/// All that was found.
#[derive(Default)]
pub struct Found {
    /// The file's name, and the file with its drop-ins.
    pub quadlets: Vec<(String, UnitFile)>,
    pub unreadable: Vec<Unreadable>,
    /// What was looked at but is no place for Quadlets.
    pub notes: Vec<String>,
}

/// Each directory and what is beneath it. Symbolic links are followed, and no directory is looked at twice.
fn tree(roots: &[PathBuf], notes: &mut Vec<String>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for root in roots {
        if !root.is_absolute() {
            notes.push(format!("{} not a valid file path", root.display()));
            continue;
        }
        walk(root, root.ends_with("systemd/users"), &mut seen, &mut all);
    }
    all
}

fn walk(directory: &Path, of_all_users: bool, seen: &mut HashSet<PathBuf>, all: &mut Vec<PathBuf>) {
    let Ok(real) = fs::canonicalize(directory) else { return };
    if !real.is_dir() || !seen.insert(real) {
        return;
    }
    all.push(directory.to_owned());
    for (name, path) in entries(directory) {
        // What lies beneath /etc/.../users/UID is for that user alone.
        let of_one_user = of_all_users && name.bytes().all(|byte| byte.is_ascii_digit());
        if !of_one_user && path.is_dir() {
            walk(&path, false, seen, all);
        }
    }
}

/// What is in a directory, by name; nothing where it cannot be read.
fn entries(directory: &Path) -> BTreeMap<String, PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeMap::new() };
    entries.flatten().filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}

/// The paths of all Quadlets, by their names: the first of a name counts.
pub fn paths(roots: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for directory in tree(roots, &mut Vec::new()) {
        for (name, path) in entries(&directory) {
            if Kind::of(&name).is_some() && path.is_file() {
                found.entry(name).or_insert(path);
            }
        }
    }
    found
}

/// Reads all Quadlets and their drop-ins; `reading` hears of each file before it is read.
pub fn load(roots: &[PathBuf], mut reading: impl FnMut(&Path)) -> Found {
    let mut found = Found::default();
    let directories = tree(roots, &mut found.notes);
    let mut seen = HashSet::new();
    for directory in &directories {
        for (name, path) in entries(directory) {
            if Kind::of(&name).is_none() || !path.is_file() || !seen.insert(name.clone()) {
                continue;
            }
            reading(&path);
            match read(&name, &path, &directories) {
                Ok(unit) => found.quadlets.push((name, unit)),
                Err(unreadable) => found.unreadable.push(unreadable),
            }
        }
    }
    found
}

fn read(name: &str, path: &Path, directories: &[PathBuf]) -> Result<UnitFile, Unreadable> {
    let failed = |path: &Path, why: String| Unreadable { path: path.to_owned(), why };
    let text = |path: &Path| fs::read_to_string(path).map_err(|error| failed(path, error.to_string()));
    let shown = path.to_string_lossy();
    let mut unit = UnitFile::parse(&shown, &text(path)?).map_err(|error| failed(path, error.to_string()))?;
    for drop_in in drop_ins(name, directories).into_values() {
        let content = text(&drop_in)?;
        unit.add_drop_in(&drop_in.to_string_lossy(), &content).map_err(|error| failed(&drop_in, error.to_string()))?;
    }
    Ok(unit)
}

/// By their names, in which order they count. Of one name the most special one, and of those the first that is found.
fn drop_ins(name: &str, directories: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for special in drop_in_directories(name).iter().rev() {
        for directory in directories {
            for (name, path) in entries(&directory.join(special)) {
                if name.ends_with(".conf") && path.is_file() {
                    found.entry(name).or_insert(path);
                }
            }
        }
    }
    found
}
