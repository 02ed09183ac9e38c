//! Whose turn it is, where several pulls want the same blob or layer.

use std::io;
use std::path::PathBuf;

use storage::Store;
use sys::lock::FileLock;

use crate::error::{Error, Result};

/// Where [`Turn`]s are taken, in the run root.
const TURNS: &str = "fetch";

/// Held while one blob is fetched or one layer unpacked. The file goes when it is done.
pub(super) struct Turn {
    path: PathBuf,
    _lock: FileLock,
}

impl Turn {
    pub(super) fn wait(store: &Store, what: &str) -> Result<Turn> {
        use std::os::unix::fs::MetadataExt;
        let dir = store.dirs().runroot.join(TURNS);
        std::fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
        let path = dir.join(what);
        loop {
            let lock = FileLock::exclusive(&path).map_err(Error::file(&path))?;
            let held = rustix::fs::fstat(&lock).map_err(|error| Error::file(&path)(error.into()))?;
            // The one before us has unlinked the file we waited for.
            if std::fs::metadata(&path).is_ok_and(|there| there.ino() == held.st_ino && there.dev() == held.st_dev) {
                return Ok(Turn { path, _lock: lock });
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes away what pulls that were killed have left of their [`Turn`]s. The caller has made sure that none is on its way.
pub(crate) fn forget_turns(store: &Store) -> Result<()> {
    let dir = store.dirs().runroot.join(TURNS);
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file(dir)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::file(&dir))?.path();
        match std::fs::remove_file(&path) {
            // A pull that failed may be about to end.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::file(path)(error)),
            _ => {}
        }
    }
    Ok(())
}
