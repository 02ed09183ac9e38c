//! Configuration files, the store's directory, the runtime directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use storage::Store;

use super::Rung;
use crate::caller;
use crate::context::Context;
use crate::error::Failure;

const MIB: u64 = 1 << 20;
/// Less than this, and nothing can be done at all.
const LEAST_SPACE: u64 = 16 * MIB;
/// Less than this, and an image of ordinary size will not fit.
const LITTLE_SPACE: u64 = 1024 * MIB;

pub(super) fn configuration(context: &Context) -> Vec<Rung> {
    const NAME: &str = "configuration";
    let broken = |failure: Failure| {
        Rung::broken(
            NAME,
            failure.to_string(),
            failure.advice().unwrap_or("correct the file or move it away").to_owned(),
        )
    };
    let read = || -> Result<(), Failure> {
        context.config()?;
        context.store_options()?;
        context.cgroup_manager()?;
        Ok(())
    };
    match read() {
        Ok(()) => vec![Rung::good(NAME, "containers.conf and storage.conf can be read")],
        Err(failure) => vec![broken(failure)],
    }
}

/// The store's directory and the disk below it; the store where it can be used.
pub(super) fn store(context: &Context, rungs: &mut Vec<Rung>) -> Option<Store> {
    const NAME: &str = "store";
    let dirs = match context.dirs() {
        Ok(dirs) => dirs,
        Err(failure) => {
            let cure = failure.advice().unwrap_or("set HOME").to_owned();
            rungs.push(Rung::broken(NAME, failure.to_string(), cure));
            return None;
        }
    };
    let root = dirs.root.clone();
    // Space first: a full disk fails everything else with many words.
    let disk = space(&root);
    if disk.verdict == super::Verdict::Broken {
        rungs.push(Rung::unknown(NAME, "space"));
        rungs.push(disk);
        return None;
    }
    let opened = context.store_options().and_then(|options| Ok(Store::open(dirs, options)?));
    let usable = match opened {
        Ok(store) => write_trial(&root.join("staging")).map(|()| store).map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match usable {
        Ok(store) => {
            rungs.push(Rung::good(NAME, format!("{} can be written", root.display())));
            rungs.push(disk);
            Some(store)
        }
        Err(failure) => {
            rungs.push(unusable(NAME, &root, &failure));
            rungs.push(disk);
            None
        }
    }
}

/// Why a directory of ours cannot be used: found by looking at its nearest part that is there.
fn unusable(name: &str, path: &Path, failure: &Failure) -> Rung {
    let there = path.ancestors().find(|part| part.exists()).unwrap_or(Path::new("/"));
    let me = caller::name_of_user();
    let elsewhere = "use another place: creel --root DIR, or graphroot in ~/.config/containers/storage.conf";
    let read_only =
        rustix::fs::statvfs(there).is_ok_and(|stat| stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    if read_only {
        return Rung::broken(name, format!("{} is on a read-only file system", path.display()), elsewhere);
    }
    let owner = fs::metadata(there).map(|metadata| metadata.uid());
    let denied = rustix::fs::access(there, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err();
    match owner {
        Ok(owner) if denied && owner != nix::unistd::geteuid().as_raw() => Rung::broken(
            name,
            format!("{} belongs to another user, and {me} may not write there", there.display()),
            format!("sudo chown -R {me} {}", there.display()),
        ),
        Ok(_) if denied => Rung::broken(
            name,
            format!("{} cannot be written by its owner {me}", there.display()),
            format!("chmod u+rwx {}", there.display()),
        ),
        _ => Rung::broken(name, failure.to_string(), failure.advice().unwrap_or(elsewhere).to_owned()),
    }
}

/// A file of one block that is really written, then taken away.
fn write_trial(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(&[1; 4096])?;
        file.sync_data()
    });
    let _ = fs::remove_file(&path);
    written
}

fn space(root: &Path) -> Rung {
    const NAME: &str = "space";
    let Some(there) = root.ancestors().find(|part| part.exists()) else {
        return Rung::unknown(NAME, "store");
    };
    let stat = match rustix::fs::statvfs(there) {
        Ok(stat) => stat,
        Err(error) => {
            let found = format!("{}: {}", there.display(), io::Error::from(error));
            return Rung::broken(NAME, found, "look at this file system");
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let shown = crate::format::human::size3(free);
    let cure = format!(
        "free some space on the file system of {}: creel system prune, df -h {}",
        root.display(),
        there.display()
    );
    let no_inodes = stat.f_files > 0 && stat.f_favail < 256;
    if no_inodes {
        return Rung::broken(
            NAME,
            format!("no free inodes below {}: new files end with no space left on device", there.display()),
            cure,
        );
    }
    match free {
        free if free < LEAST_SPACE => {
            // How much is free changes from one command to the next; what is said of it does not. The kernel's words
            // are in it, as this stands in for what a command that did not fit would have said.
            let least = LEAST_SPACE / MIB;
            let found =
                format!("less than {least} MiB free for {}: writes end with no space left on device", root.display());
            Rung::broken(NAME, found, cure)
        }
        free if free < LITTLE_SPACE => Rung::weak(NAME, format!("{shown} free for {}", root.display()), cure),
        _ => Rung::good(NAME, format!("{shown} free")),
    }
}

/// XDG_RUNTIME_DIR, see the XDG Base Directory Specification: the user's own, mode 0700.
pub(super) fn runtime_dir() -> Rung {
    const NAME: &str = "runtime directory";
    let uid = caller::uid();
    let usual = PathBuf::from(format!("/run/user/{uid}"));
    let me = caller::name_of_user();
    let log_in = match usual.is_dir() {
        true => format!("export XDG_RUNTIME_DIR={}", usual.display()),
        false => format!("sudo loginctl enable-linger {me} && export XDG_RUNTIME_DIR={}", usual.display()),
    };
    let used = caller::runtime_dir();
    let Some(named) = caller::variable("XDG_RUNTIME_DIR") else {
        let found = format!("XDG_RUNTIME_DIR is not set, {} is used", used.display());
        return match try_runtime_dir(&used) {
            // The usual place of the usual user: as good as said.
            Ok(()) if used == usual => Rung::good(NAME, found),
            Ok(()) => Rung::weak(NAME, found, log_in),
            Err(error) => Rung::broken(NAME, format!("{found}: {}", crate::error::folded(&error)), log_in),
        };
    };
    let path = Path::new(&named);
    if !path.is_absolute() {
        return Rung::weak(NAME, format!("XDG_RUNTIME_DIR={named} is not an absolute path and is passed over"), log_in);
    }
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(_) => return Rung::broken(NAME, format!("XDG_RUNTIME_DIR={named} does not exist"), log_in),
    };
    if !metadata.is_dir() {
        return Rung::broken(NAME, format!("XDG_RUNTIME_DIR={named} is not a directory"), log_in);
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        let found = format!("XDG_RUNTIME_DIR={named} belongs to uid {}, not to {me}", metadata.uid());
        let of_another = path != usual && path.starts_with("/run/user");
        let cure = if of_another { log_in } else { format!("sudo chown {me} {named}") };
        return Rung::broken(NAME, found, cure);
    }
    if let Err(error) = try_runtime_dir(path) {
        let found = format!("XDG_RUNTIME_DIR={named} cannot be written: {}", crate::error::folded(&error));
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let cure = if full { format!("free some space there: df -h {named}") } else { format!("chmod 700 {named}") };
        return Rung::broken(NAME, found, cure);
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        let mode = metadata.permissions().mode() & 0o777;
        let found = format!("XDG_RUNTIME_DIR={named} has mode {mode:04o}, others can look into it");
        return Rung::weak(NAME, found, format!("chmod 700 {named}"));
    }
    Rung::good(NAME, named)
}

fn try_runtime_dir(path: &Path) -> io::Result<()> {
    // Where nobody has named one, ours is made on demand.
    fs::create_dir_all(path)?;
    write_trial(path)
}
