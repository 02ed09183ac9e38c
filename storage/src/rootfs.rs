//! The root file system of a container: which way it is mounted, and what must be on disk for it.
//!
//! Native overlay where a probe in this user namespace has shown that it works; fuse-overlayfs where it has not or where
//! the user asks for it; a copy only when asked for by name. Nothing is mounted here: that is the child's, in its own
//! mount namespace.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD};
use sys::mount::RootMount;
use sys::process::{Pidfd, Process};

use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::layers::short_name;
use crate::probe::Verdict;
use crate::remove::remove_tree;
use crate::shift::IdShift;
use crate::store::{Driver, Store};
use crate::{copy, fuse};

/// In a container's directory: its upper directory was begun under fuse-overlayfs, and what that writes is not
/// for the kernel to read (nor the other way round). At the top of a store: some of its layers are of that kind.
pub(crate) const FUSE_MARK: &str = "fuse-overlayfs";
/// In a container's directory: its copy, with the vfs driver.
pub(crate) const COPY: &str = "rootfs";
pub(crate) const UPPER: &str = "upper";
pub(crate) const WORK: &str = "work";
/// An empty directory at the root of the store.
const EMPTY: &str = "empty";

/// What a root file system is made of.
#[derive(Clone, Copy, Debug)]
pub struct RootfsRequest<'a> {
    /// Chain ids, bottom first.
    pub layers: &'a [Digest],
    /// Gets `upper/` and `work/`.
    pub container_dir: &'a Path,
    /// Writes need not outlive a crash of the host.
    pub volatile: bool,
    /// No upper directory at all (`image mount`); a container with `--read-only` still needs one for its mount points.
    pub read_only: bool,
}

/// A root file system ready to be mounted.
#[derive(Debug)]
pub struct Prepared {
    pub mount: RootMount,
    /// The server of a FUSE mount: a child of the caller, which ends with the mount.
    pub server: Option<FuseServer>,
    /// One line for the user where the fast way is not taken.
    pub driver_note: Option<String>,
}

/// A process that serves a FUSE mount, or waits for it to be made.
#[derive(Debug)]
pub struct FuseServer {
    pub process: Process,
    pub pidfd: Pidfd,
}

/// Which kind of mount is used.
pub(crate) enum Way {
    Native,
    Fuse { why: Option<String> },
}

impl Store {
    /// Decides how the root file system is mounted and prepares it. The caller is in the user namespace and, unless the
    /// answer is known already or does not need it, single-threaded (a probe or a FUSE server is forked).
    pub fn root_mount(&self, request: &RootfsRequest<'_>) -> Result<Prepared> {
        if self.options().driver == Driver::Vfs || request.container_dir.join(COPY).exists() {
            return self.copied_root(request, None);
        }
        let way = self.way(request.container_dir)?;
        self.overlay_root(&self.lower_names(request.layers)?, request, way, None, "")
    }

    /// As [`Store::root_mount`], over one directory of the user's instead of layers (`--rootfs PATH:O`).
    pub fn root_mount_over(&self, lower: &Path, request: &RootfsRequest<'_>) -> Result<Prepared> {
        let way = self.way(request.container_dir)?;
        self.overlay_root(&[lower.to_owned()], request, way, None, "")
    }

    /// `shift` is for an upper over nothing, whose root nobody has described; `more_fuse` are further options of
    /// fuse-overlayfs.
    pub(crate) fn overlay_root(
        &self,
        lower: &[PathBuf],
        request: &RootfsRequest<'_>,
        way: Way,
        shift: Option<&IdShift>,
        more_fuse: &str,
    ) -> Result<Prepared> {
        let dir = request.container_dir;
        let mut lower = lower.to_vec();
        let (upper, work) = if request.read_only {
            // overlay wants two lower directories where it has no upper one.
            if lower.len() < 2 {
                lower.push(PathBuf::from(EMPTY));
            }
            (None, None)
        } else {
            let like = lower.first().map(|top| self.path(top));
            let owner = shift.and_then(|shift| Some((shift.uid(0)?, shift.gid(0)?))).unwrap_or_default();
            prepare_upper(dir, like.as_deref(), owner, &way)?;
            (Some(self.name_from_root(&dir.join(UPPER))), Some(self.name_from_root(&dir.join(WORK))))
        };
        if lower.is_empty() {
            lower.push(PathBuf::from(EMPTY));
        }
        match way {
            Way::Native => Ok(Prepared {
                mount: RootMount::Overlay {
                    base: self.dirs().root.clone(),
                    lower,
                    upper,
                    work,
                    volatile: request.volatile && !request.read_only,
                    options: Vec::new(),
                },
                server: None,
                driver_note: None,
            }),
            Way::Fuse { why } => {
                let program = self.mount_program();
                let (mount, server) = fuse::prepare(
                    &program,
                    &self.dirs().root,
                    &lower,
                    upper.as_deref().zip(work.as_deref()),
                    request.volatile,
                    more_fuse,
                )
                .map_err(|error| match (error, &why) {
                    (Error::Unsupported { what, why: second }, Some(first)) => {
                        Error::Unsupported { what, why: format!("{first}; {second}") }
                    }
                    (error, _) => error,
                })?;
                let driver_note =
                    why.map(|why| format!("root file systems are mounted with {}: {why}", program.display()));
                Ok(Prepared { mount, server: Some(server), driver_note })
            }
        }
    }

    pub(crate) fn way(&self, container_dir: &Path) -> Result<Way> {
        let marked = container_dir.join(FUSE_MARK).exists();
        if self.options().mount_program.is_some() || marked {
            if !marked && container_dir.join(UPPER).exists() && container_dir.join(WORK).join("work").exists() {
                // Begun by the kernel: fuse-overlayfs would misread it.
                return self.native();
            }
            return Ok(Way::Fuse { why: None });
        }
        match self.probe_overlay()? {
            Verdict::Works => Ok(Way::Native),
            Verdict::Refused(why) => Ok(Way::Fuse { why: Some(why) }),
        }
    }

    fn native(&self) -> Result<Way> {
        match self.probe_overlay()? {
            Verdict::Works => Ok(Way::Native),
            Verdict::Refused(why) => Err(Error::Unsupported {
                what: "mounting this container".to_owned(),
                why: format!("it was made with the kernel's overlay, and {why}"),
            }),
        }
    }

    fn mount_program(&self) -> PathBuf {
        self.options().mount_program.clone().unwrap_or_else(|| PathBuf::from("fuse-overlayfs"))
    }

    /// The layers top-most first, by their short names.
    pub(crate) fn lower_names(&self, layers: &[Digest]) -> Result<Vec<PathBuf>> {
        let mut names = Vec::with_capacity(layers.len());
        for id in layers.iter().rev() {
            let name = short_name(id);
            if rustix::fs::accessat(CWD, self.path(&name), rustix::fs::Access::EXISTS, AtFlags::empty()).is_err() {
                if self.layer(id)?.is_none() {
                    return Err(Error::NotFound { kind: "layer", name: id.to_string() });
                }
                self.link_layer(id)?;
            }
            names.push(name);
        }
        Ok(names)
    }

    /// Relative to the root of the store where it is below: no character of the root's path gets into mount options.
    fn name_from_root(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.dirs().root).unwrap_or(path).to_owned()
    }

    pub(crate) fn copied_root(&self, request: &RootfsRequest<'_>, shift: Option<&IdShift>) -> Result<Prepared> {
        let dest = if request.read_only {
            // A look at an image: a copy for as long as the caller keeps its directory.
            request.container_dir.join("image")
        } else {
            request.container_dir.join(COPY)
        };
        if !dest.exists() {
            let staging = self.staging()?;
            let root = staging.join("rootfs");
            fs::DirBuilder::new().mode(0o755).create(&root).at("cannot create", &root)?;
            for id in request.layers {
                if self.layer(id)?.is_none() {
                    return Err(Error::NotFound { kind: "layer", name: id.to_string() });
                }
                copy::apply_layer(&self.layer_path(id), &root, shift, self.options().ignore_chown_errors)?;
            }
            fs::rename(&root, &dest).at("cannot commit to", &dest)?;
        }
        let driver_note = Some("the root file system is a full copy of the image (storage driver vfs)".to_owned());
        Ok(Prepared { mount: RootMount::Directory(dest), server: None, driver_note })
    }
}

/// Makes `upper` and `work`, or makes those of a stopped container fit to be mounted again.
fn prepare_upper(dir: &Path, like: Option<&Path>, owner: (u32, u32), way: &Way) -> Result<()> {
    let (upper, work) = (dir.join(UPPER), dir.join(WORK));
    if let Way::Fuse { .. } = way {
        let mark = dir.join(FUSE_MARK);
        fs::write(&mark, b"").at("cannot create", &mark)?;
    }
    let make = |path: &Path| match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io("cannot create", path, error)),
    };
    if make(&upper)? {
        // The merged root looks like its upper-most directory.
        let like = like.map(|path| fs::metadata(path).at("cannot stat", path)).transpose()?;
        let (mode, uid, gid) =
            like.map_or((0o755, owner.0, owner.1), |like| (like.mode() & 0o7777, like.uid(), like.gid()));
        if (uid, gid) != (0, 0) && rustix::process::geteuid().is_root() {
            match std::os::unix::fs::chown(&upper, Some(uid), Some(gid)) {
                // An owner from outside of the namespace (a directory of the user's): root's, then.
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => {
                }
                other => other.at("cannot change the owner of", &upper)?,
            }
        }
        fs::set_permissions(&upper, fs::Permissions::from_mode(mode)).at("cannot change the mode of", &upper)?;
    }
    if !make(&work)? {
        // Left by a `volatile` mount: the kernel refuses the directory as possibly incomplete. The writes that are
        // there are what the user asked to keep as far as they got.
        remove_tree(&work.join("work/incompat"))?;
    }
    Ok(())
}
