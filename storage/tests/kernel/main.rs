//! The store on a real kernel, in a real user namespace, as an ordinary user, in one thread: forks and mounts need all of
//! that, so this binary brings its own harness. `cargo test -p storage --test kernel [NAME]`.
//!
//! Each test runs with the whole sub-id map; those called `one_id_...` run without sub-ids.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy's exceptions for tests know only the standard harness"
)]

mod archives;
mod crash;
mod hostile;
mod layers;
mod mounts;
mod records;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use storage::{Dirs, Store, StoreOptions};

const INNER: &str = "CREEL_KERNEL_TESTS";

/// What a test says that cannot run here.
pub(crate) struct Skip(String);

pub(crate) type Outcome = Result<(), Skip>;

pub(crate) fn skip(why: impl Into<String>) -> Outcome {
    Err(Skip(why.into()))
}

/// A store in a directory of its own, removed in the end.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        let dir = std::env::temp_dir().join(format!(
            "creel-storage-{}-{}",
            std::process::id(),
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
        ));
        std::fs::create_dir(&dir).unwrap();
        Place { dir }
    }

    pub(crate) fn store(&self) -> Store {
        self.store_with(StoreOptions::default())
    }

    pub(crate) fn store_with(&self, options: StoreOptions) -> Store {
        let dirs = Dirs { root: self.dir.join("root"), runroot: self.dir.join("runroot"), tmp: self.dir.join("tmp") };
        Store::open(dirs, options).unwrap()
    }

    pub(crate) fn container(&self, id: &str) -> PathBuf {
        let dir = self.dir.join("root/containers").join(id);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("rm").arg("-rf").arg(&self.dir).status();
    }
}

type Test = (&'static str, fn() -> Outcome);

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    match std::env::var(INNER) {
        Ok(mode) => run(&mode, filter.as_deref()),
        Err(_) => enter(filter.as_deref()),
    }
}

/// Becomes an ordinary user and enters a user namespace, once with the whole map and once with one id.
fn enter(filter: Option<&str>) -> ExitCode {
    let exe = std::env::current_exe().unwrap();
    let mut failed = false;
    for (mode, maps) in [("whole", &["--map-root-user", "--map-auto"][..]), ("one", &["--map-root-user"][..])] {
        let mut command = Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            let Some(user) = ordinary_user() else {
                eprintln!("SKIPPED storage kernel tests: no user with sub-ids in /etc/subuid");
                return ExitCode::SUCCESS;
            };
            command.args([format!("--reuid={}", user.0), format!("--regid={}", user.1), "--clear-groups".to_owned()]);
        }
        command.arg("unshare").args(maps).arg("--mount").arg(&exe).args(filter).env(INNER, mode);
        if std::env::var_os("TMPDIR").is_none() {
            // /tmp may be a tmpfs; the store is on a disk.
            command.env("TMPDIR", "/var/tmp");
        }
        match command.status() {
            Ok(status) if status.success() => {}
            // Our own verdict.
            Ok(status) if status.code() == Some(3) => failed = true,
            other => {
                let why = other.map_or_else(|error| error.to_string(), |status| status.to_string());
                eprintln!("SKIPPED storage kernel tests ({mode} map): setpriv or unshare: {why}");
                failed |= std::env::var_os("CI").is_some();
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn ordinary_user() -> Option<(u32, u32)> {
    let sub_ids = std::fs::read_to_string("/etc/subuid").ok()?;
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let name = sub_ids.lines().next()?.split(':').next()?;
    let user = sys::passwd::parse_users(&passwd).find(|user| user.name == name || user.uid.to_string() == name)?;
    Some((user.uid, user.gid))
}

fn run(mode: &str, filter: Option<&str>) -> ExitCode {
    let (mut passed, mut skipped, mut failed) = (0, 0, 0);
    let all = [archives::TESTS, crash::TESTS, hostile::TESTS, layers::TESTS, mounts::TESTS, records::TESTS].concat();
    for (name, test) in all {
        if name.starts_with("one_id_") != (mode == "one") || filter.is_some_and(|filter| !name.contains(filter)) {
            continue;
        }
        let started = std::time::Instant::now();
        match std::panic::catch_unwind(AssertUnwindSafe(test)) {
            Ok(Ok(())) => {
                println!("test {name} ... ok ({} ms)", started.elapsed().as_millis());
                passed += 1;
            }
            Ok(Err(Skip(why))) => {
                println!("test {name} ... SKIPPED: {why}");
                skipped += 1;
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    println!("{mode} map: {passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) }
}
