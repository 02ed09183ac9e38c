//! The store: three directories, their version, its locks.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sys::lock::FileLock;

use crate::error::{At, Error, Result};
use crate::events::{self, Event, Kind};
use crate::record::{self, Durability, Record};

/// Where things are. Nothing in the records says so: the whole of `root` can be moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dirs {
    /// What outlives a reboot.
    pub root: PathBuf,
    /// What does not; on a tmpfs where there is one.
    pub runroot: PathBuf,
    /// Large temporary files (downloads) of the callers; `storage` itself stages below `root`.
    pub tmp: PathBuf,
}

/// How root file systems are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    #[default]
    Overlay,
    /// A full copy for each container; only when asked for.
    Vfs,
}

/// The user's choices about storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreOptions {
    pub driver: Driver,
    /// `fuse-overlayfs` by name or path: use it even where the kernel's overlay works.
    pub mount_program: Option<PathBuf>,
    /// Files whose owner the user namespace does not map become root's instead of an error.
    pub ignore_chown_errors: bool,
    /// Where volumes are, instead of below the root. On the root's file system: they come and go by renames.
    pub volume_path: Option<PathBuf>,
    /// Where images are written, instead of below the root; those below it are seen, too. On the root's file system:
    /// they come and go by renames.
    pub image_root: Option<PathBuf>,
    /// Roots of further stores: their images are seen and never changed.
    pub additional_stores: Vec<PathBuf>,
    pub events: events::Options,
}

/// A handle on the store. It holds nothing open and is cheap to make and to copy.
#[derive(Clone, Debug)]
pub struct Store {
    dirs: Dirs,
    options: StoreOptions,
}

/// `ROOT/version.json`: what marks a directory as ours.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Marker {}

impl Record for Marker {
    const VERSION: u32 = 1;
}

pub(crate) const VERSION_FILE: &str = "version.json";
/// What `open` makes below `root`.
const SUBDIRS: [&str; 11] =
    ["blobs/sha256", "containers", "empty", "images", "l", "layers", "names", "secrets", "staging", "trash", "volumes"];

impl Store {
    /// Opens the store, made on first use. One that a newer creel wrote is refused, a directory with other things in
    /// it too.
    pub fn open(dirs: Dirs, options: StoreOptions) -> Result<Store> {
        let store = Store { dirs, options };
        if record::read_optional::<Marker>(&store.dirs.root.join(VERSION_FILE))?.is_none() {
            store.create()?;
        }
        store.check_volume_path()?;
        store.check_image_root()?;
        Ok(store)
    }

    fn create(&self) -> Result<()> {
        let root = &self.dirs.root;
        make_private_dir(root)?;
        let known = |name: &str| {
            name == VERSION_FILE
                || name == "lock"
                || name == "adding.lock"
                || name == "building.lock"
                || name.starts_with("events.log")
                || SUBDIRS.iter().any(|dir| dir.split('/').next() == Some(name))
        };
        for entry in fs::read_dir(root).at("cannot read", root)? {
            let entry = entry.at("cannot read", root)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !known(&name) && !name.starts_with('.') && name != "lost+found" {
                return Err(Error::Invalid {
                    what: "storage root",
                    value: root.display().to_string(),
                    why: "it has other files in it and is not a store",
                });
            }
        }
        for dir in SUBDIRS {
            make_private_dir(&root.join(dir))?;
        }
        // Last: a directory with a version is complete.
        record::write(&root.join(VERSION_FILE), &Marker {}, Durability::Durable)?;
        events::record(self, Event::new(Kind::System, "refresh"));
        Ok(())
    }

    pub fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// `ROOT/name`.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dirs.root.join(name)
    }

    /// Where images, their layers and blobs are: `IMAGE_ROOT/name`.
    pub fn image_path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.options.image_root.as_ref().unwrap_or(&self.dirs.root).join(name)
    }

    /// Stores beside this one whose images are seen, for reading only. A directory that is none is left out.
    pub fn beside(&self) -> Vec<Store> {
        let root = self.options.image_root.as_ref().map(|_| &self.dirs.root);
        let roots = root.into_iter().chain(&self.options.additional_stores);
        roots
            .filter(|root| root.join("images").is_dir() && root.join("layers").is_dir())
            .map(|root| self.at(root))
            .collect()
    }

    fn at(&self, root: &Path) -> Store {
        let options = StoreOptions { image_root: None, additional_stores: Vec::new(), ..self.options.clone() };
        Store { dirs: Dirs { root: root.to_owned(), ..self.dirs.clone() }, options }
    }

    /// `NAME` in the own images, or in those of the first store that has it.
    pub(crate) fn found_beside(&self, name: &Path) -> PathBuf {
        let own = self.image_path(name);
        let is_alone = self.options.image_root.is_none() && self.options.additional_stores.is_empty();
        if is_alone || own.exists() {
            return own;
        }
        self.beside().into_iter().map(|store| store.path(name)).find(|path| path.exists()).unwrap_or(own)
    }

    /// Where volumes are.
    pub fn volumes_dir(&self) -> PathBuf {
        self.options.volume_path.clone().unwrap_or_else(|| self.path("volumes"))
    }

    fn check_volume_path(&self) -> Result<()> {
        match &self.options.volume_path {
            Some(path) => self.check_device("volume path", path),
            None => Ok(()),
        }
    }

    fn check_image_root(&self) -> Result<()> {
        let Some(path) = &self.options.image_root else { return Ok(()) };
        self.check_device("image store", path)?;
        ["blobs/sha256", "images", "layers"].iter().try_for_each(|name| make_private_dir(&path.join(name)))
    }

    fn check_device(&self, what: &'static str, path: &Path) -> Result<()> {
        make_private_dir(path)?;
        let device = |path: &Path| fs::metadata(path).at("cannot stat", path).map(|stat| stat.dev());
        if device(path)? != device(&self.dirs.root)? {
            let why = "it must be on the file system of the store";
            return Err(Error::Invalid { what, value: path.display().to_string(), why });
        }
        Ok(())
    }

    /// `ROOT/containers`.
    pub fn containers_dir(&self) -> PathBuf {
        self.path("containers")
    }

    /// `RUNROOT/containers`.
    pub fn container_run_dir(&self) -> PathBuf {
        self.dirs.runroot.join("containers")
    }

    /// The lock of the whole store, for moments only: never across a network, an unpack or a recursive delete.
    pub fn lock(&self) -> Result<FileLock> {
        let path = self.path("lock");
        FileLock::exclusive(&path).at("cannot lock", &path)
    }

    /// Held by whoever adds layers and blobs that no record names yet, from the first of them to the record. While
    /// anybody holds one, [`Store::collect`] removes nothing.
    pub fn adding(&self) -> Result<FileLock> {
        let path = self.path("adding.lock");
        FileLock::shared(&path).at("cannot lock", &path)
    }

    /// Held by whoever builds an image, from the first look at what is there to the image's name.
    pub fn building(&self) -> Result<FileLock> {
        let path = self.path("building.lock");
        FileLock::shared(&path).at("cannot lock", &path)
    }

    /// The other side of [`Store::building`]: `None`, without waiting, while somebody is.
    pub fn try_building_alone(&self) -> Result<Option<FileLock>> {
        let path = self.path("building.lock");
        FileLock::try_exclusive(&path).at("cannot lock", &path)
    }

    /// The other side of [`Store::adding`]: `None`, without waiting, while somebody is.
    pub(crate) fn try_alone(&self) -> Result<Option<FileLock>> {
        let path = self.path("adding.lock");
        FileLock::try_exclusive(&path).at("cannot lock", &path)
    }
}

/// `mkdir -p` with mode 0700.
pub(crate) fn make_private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).at("cannot create", path)
}
