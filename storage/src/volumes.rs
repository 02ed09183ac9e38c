//! Named volumes: `ROOT/volumes/NAME/{_data/,volume.json}`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sys::lock::FileLock;

use crate::error::{At, Error, Result};
use crate::events::{self, Event, Kind};
use crate::record::{self, Durability, Record};
use crate::store::{Store, make_private_dir};

const DATA: &str = "_data";
const RECORD: &str = "volume.json";

/// What is known of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    #[serde(default)]
    pub driver: String,
    /// Seconds and nanoseconds since 1970.
    #[serde(default)]
    pub created: (i64, u32),
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Made for one container and removed with it.
    #[serde(default)]
    pub anonymous: bool,
    /// Still empty: the first container that mounts it copies the image's content into it.
    #[serde(default)]
    pub needs_copy_up: bool,
    /// Owner of `_data`, in the user namespace.
    #[serde(default)]
    pub uid: u32,
    #[serde(default)]
    pub gid: u32,
}

impl Record for Volume {
    const VERSION: u32 = 1;
}

impl Store {
    /// Makes a volume; [`Error::NameTaken`] if there is one by that name. `created` of (0, 0) means now.
    pub fn create_volume(&self, mut volume: Volume) -> Result<Volume> {
        check_name(&volume.name)?;
        if volume.driver.is_empty() {
            volume.driver = "local".to_owned();
        }
        if volume.created == (0, 0) {
            volume.created = now();
        }
        let staging = self.staging()?;
        let data = staging.join(DATA);
        fs::DirBuilder::new().mode(0o755).create(&data).at("cannot create", &data)?;
        // Whatever the caller's umask is, the containers' users must get through.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).at("cannot change the mode of", &data)?;
        if volume.uid != 0 || volume.gid != 0 {
            std::os::unix::fs::chown(&data, Some(volume.uid), Some(volume.gid))
                .at("cannot change the owner of", &data)?;
        }
        record::write(&staging.join(RECORD), &volume, Durability::Durable)?;
        let dest = self.volume_dir(&volume.name);
        make_private_dir(&self.volumes_dir())?;
        // rename(2) replaces only an empty directory: of two creators one gets ENOTEMPTY.
        match fs::rename(staging.path(), &dest) {
            Ok(()) => {
                events::record(self, Event { name: volume.name.clone(), ..Event::new(Kind::Volume, "create") });
                Ok(volume)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                let holder = format!("the volume {}", volume.name);
                Err(Error::NameTaken { kind: "volume".to_owned(), name: volume.name, holder })
            }
            Err(error) => Err(Error::io("cannot commit to", &dest, error)),
        }
    }

    /// The volume of that exact name.
    pub fn volume(&self, name: &str) -> Result<Option<Volume>> {
        if check_name(name).is_err() {
            return Ok(None);
        }
        record::read_optional(&self.volume_dir(name).join(RECORD))
    }

    /// All volumes by name; a damaged record is an error in its own place.
    pub fn volumes(&self) -> Result<Vec<(String, Result<Volume>)>> {
        record::read_each(&self.volumes_dir(), RECORD)
    }

    /// Replaces what is known of a volume (after the copy-up, for one).
    pub fn update_volume(&self, volume: &Volume) -> Result<()> {
        check_name(&volume.name)?;
        let dir = self.volume_dir(&volume.name);
        if !dir.join(RECORD).exists() {
            return Err(Error::NotFound { kind: "volume", name: volume.name.clone() });
        }
        record::write(&dir.join(RECORD), volume, Durability::Durable)
    }

    /// Takes a volume away with its content. Whether it is in use is the caller's to know.
    pub fn remove_volume(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let dir = self.volume_dir(name);
        if fs::symlink_metadata(&dir).is_err() {
            return Err(Error::NotFound { kind: "volume", name: name.to_owned() });
        }
        self.trash(&dir)?;
        events::record(self, Event { name: name.to_owned(), ..Event::new(Kind::Volume, "remove") });
        Ok(())
    }

    /// Where the content of a volume is.
    pub fn volume_mountpoint(&self, name: &str) -> PathBuf {
        self.volume_dir(name).join(DATA)
    }

    /// Lock around a change of one volume (copy-up, removal).
    pub fn lock_volume(&self, name: &str) -> Result<FileLock> {
        check_name(name)?;
        let path = self.volume_dir(name).join("lock");
        FileLock::exclusive(&path).at("cannot lock", &path)
    }

    pub(crate) fn volume_dir(&self, name: &str) -> PathBuf {
        self.volumes_dir().join(name)
    }
}

/// Podman's rule for names: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, which also makes it a file name.
fn check_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let good = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && name.len() <= 255;
    if good {
        return Ok(());
    }
    let why = "letters, digits, and after the first `_`, `.` and `-`, 255 at most";
    Err(Error::Invalid { what: "volume name", value: name.to_owned(), why })
}

pub(crate) fn now() -> (i64, u32) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}
