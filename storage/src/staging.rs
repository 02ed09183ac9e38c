//! Unfinished and unwanted things: directories whose writer holds a lease, and the trash. Correctness after a SIGKILL
//! rests on [`Store::sweep`] alone: what has no holder goes.

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};
use crate::remove::remove_tree;
use crate::store::{Store, make_private_dir};

const LEASE: &str = ".lease";

/// A private directory on the file system of the store, gone when dropped. What is finished is renamed out of it.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    lease_path: PathBuf,
    _lease: File,
}

impl Staging {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Commits the whole directory: it becomes `dest`, which must not exist or be an empty directory.
    pub fn commit(self, dest: &Path) -> Result<()> {
        fs::rename(&self.path, dest).at("cannot commit to", dest)
    }
}

impl Deref for Staging {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The directory first: one without a lease is anybody's to sweep. What fails here, the next sweep repeats.
        let _ = remove_tree(&self.path);
        let _ = fs::remove_file(&self.lease_path);
    }
}

impl Store {
    /// A new empty staging directory, mode 0700.
    pub fn staging(&self) -> Result<Staging> {
        let dir = self.path("staging");
        loop {
            let path = dir.join(random_name()?);
            let lease_path = lease_of(&path);
            let open = || File::options().create_new(true).write(true).mode(0o600).open(&lease_path);
            let lease = match open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make_private_dir(&dir)?;
                    open()
                }
                other => other,
            }
            .at("cannot create", &lease_path)?;
            lease.lock().at("cannot lock", &lease_path)?;
            // A sweeper may have come between the creation and the lock.
            if !is_at(&lease, &lease_path)? {
                continue;
            }
            let staging = Staging { path, lease_path, _lease: lease };
            fs::DirBuilder::new().mode(0o700).create(&staging.path).at("cannot create", &staging.path)?;
            return Ok(staging);
        }
    }

    /// Takes `path` away at once by renaming it into the trash of its file system; unlinking happens in
    /// [`Store::empty_trash`], outside all locks. An absent path is fine.
    pub fn trash(&self, path: &Path) -> Result<()> {
        let dir =
            if path.starts_with(&self.dirs().runroot) { self.dirs().runroot.join("trash") } else { self.path("trash") };
        loop {
            let dest = dir.join(random_name()?);
            match fs::rename(path, &dest) {
                Ok(()) => {
                    self.tell();
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if fs::symlink_metadata(path).is_err() {
                        return Ok(());
                    }
                    make_private_dir(&dir)?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("cannot take away", path, error)),
            }
        }
    }

    /// Unlinks what is in the trash. Several at once do not disturb each other. Must run in the user namespace: the
    /// kernel's overlay leaves directories of mode 000, and files may belong to sub-ids.
    pub fn empty_trash(&self) -> Result<()> {
        let mut first_error = None;
        for dir in [self.path("trash"), self.dirs().runroot.join("trash")] {
            for entry in entries_of(&dir)? {
                if let Err(error) = remove_tree(&dir.join(entry)) {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Removes every staging directory whose writer is gone, and empties the trash. Called by every command that
    /// writes, after it has released its locks.
    pub fn sweep(&self) -> Result<()> {
        let dir = self.path("staging");
        let entries = entries_of(&dir)?;
        for entry in &entries {
            let path = dir.join(entry);
            if let Some(stem) = entry.as_bytes().strip_suffix(LEASE.as_bytes()) {
                self.sweep_one(&path, &dir.join(std::ffi::OsStr::from_bytes(stem)))?;
            } else if !lease_of(&path).try_exists().at("cannot stat", &path)? {
                // Its lease was there before it and goes after it, so this one is nobody's.
                self.trash(&path)?;
            }
        }
        self.empty_trash()
    }

    fn sweep_one(&self, lease_path: &Path, staged: &Path) -> Result<()> {
        let lease = match File::options().write(true).open(lease_path) {
            Ok(lease) => lease,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("cannot open", lease_path, error)),
        };
        match lease.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(()),
            Err(fs::TryLockError::Error(error)) => return Err(Error::io("cannot lock", lease_path, error)),
        }
        if !is_at(&lease, lease_path)? {
            return Ok(());
        }
        self.trash(staged)?;
        fs::remove_file(lease_path).at("cannot remove", lease_path)
    }
}

fn lease_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LEASE);
    PathBuf::from(name)
}

/// Is `path` still a name of `file`?
fn is_at(file: &File, path: &Path) -> Result<bool> {
    let ours = file.metadata().at("cannot stat", path)?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(there.ino() == ours.ino() && there.dev() == ours.dev()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("cannot stat", path, error)),
    }
}

pub(crate) fn entries_of(dir: &Path) -> Result<Vec<std::ffi::OsString>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.file_name()).at("cannot read", dir)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("cannot read", dir, error)),
    }
}

/// 16 hex digits from the kernel.
pub(crate) fn random_name() -> Result<String> {
    sys::random::hex::<8>().at("cannot read", Path::new("random numbers"))
}
