//! What the tests are run against, where, and what they say of it: skips, differences that are meant.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What the tests are run against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Engine {
    Creel,
    Podman,
}

fn engine() -> (Engine, &'static Path) {
    static ENGINE: OnceLock<(Engine, PathBuf)> = OnceLock::new();
    let (engine, program) = ENGINE.get_or_init(|| {
        let named = std::env::var_os("CREEL_UNDER_TEST").map(PathBuf::from);
        if let Some(program) = named.as_ref().filter(|program| program.ends_with("podman")) {
            return (Engine::Podman, program.clone());
        }
        let program = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_creel")));
        // The checkout may lie where the ordinary user cannot go.
        let copy = base().join("creel");
        fs::copy(&program, &copy).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        (Engine::Creel, copy)
    });
    (*engine, program)
}

/// The file of the program under test; any user may execute it.
pub(crate) fn program() -> &'static Path {
    engine().1
}

/// The folder of this whole test run. Those of earlier runs that were killed go first.
pub(super) fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let parent = std::env::var_os("CREEL_TEST_DIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        for parent in [parent.as_path(), Path::new("/dev/shm")] {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(pid) = name.to_str().and_then(|name| name.strip_prefix("creel-")) else { continue };
                if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
        let base = parent.join(format!("creel-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
        base
    })
}

/// True under podman, where the behaviour that the test pins is another on purpose; the reason is printed.
pub(crate) fn differs_on_purpose(reason: &str) -> bool {
    let podman = engine().0 == Engine::Podman;
    if podman {
        record("DIFFERS", reason);
    }
    podman
}

pub(crate) fn is_podman() -> bool {
    engine().0 == Engine::Podman
}

/// Says loudly that the test could not be made here, and counts it.
pub(crate) fn skip(reason: &str) {
    record("SKIP", reason);
}

fn record(word: &str, reason: &str) {
    let thread = std::thread::current();
    let line = format!("{word} {}: {reason}\n", thread.name().unwrap_or("?"));
    // Not eprint!: the test harness would keep that to itself.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("CREEL_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Whether a program is there; else the test is skipped for that reason.
pub(crate) fn has_program(name: &str) -> bool {
    let found = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .any(|dir| Path::new(dir).join(name).exists());
    if !found {
        skip(&format!("no {name} on this machine"));
    }
    found
}
