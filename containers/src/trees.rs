//! Mounts that have to be made beforehand, detached, for the container to attach: an image's files, a part of a volume,
//! another container's root, and what another running container lends or has mounted from the same volume.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use storage::{FuseServer, RootfsRequest};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::monitor::prepare::root_mount;
use crate::spec::{IdMap, MountKind, MountSpec};
use crate::volume_options::Backing;
use crate::{list, mount, subpath, userns, volumes};

/// The mounts, by their destination, and who serves those that are FUSE file systems.
#[derive(Default)]
pub(crate) struct Trees {
    pub(crate) trees: Vec<(PathBuf, OwnedFd)>,
    pub(crate) servers: Vec<FuseServer>,
}

pub(crate) fn make(engine: &Engine, container: &Container, uids: &[IdMap], gids: &[IdMap]) -> Result<Trees> {
    let mut all = Trees::default();
    for mount in &container.spec().mounts {
        let destination = volumes::clean(&mount.destination);
        match &mount.kind {
            MountKind::Image { id, reference, read_write } => {
                let image = Image { id, reference, writable: *read_write, mount };
                all.image(engine, container, &image, (uids, gids))?;
            }
            MountKind::Volume { name: Some(name), overlay: false, .. } => {
                let Some(volume) = engine.store.volume(name)? else { continue };
                match volumes::backing(&volume)? {
                    Backing::Image { reference } => {
                        let image = Image { id: "", reference: &reference, writable: false, mount };
                        all.image(engine, container, &image, (uids, gids))?;
                    }
                    Backing::FileSystem { kind, .. } => {
                        if let Some(below) = &mount.subpath {
                            return Err(Error::Invalid(format!(
                                "volume {name} is of type {kind}, of which no part can be mounted: leave out the \
                                 subpath {}",
                                below.display()
                            )));
                        }
                        if let Some(tree) = borrowed(engine, container, name)? {
                            all.trees.push((destination, tree));
                        }
                    }
                    Backing::Data { .. } | Backing::Directory { .. } => {
                        if let Some(below) = &mount.subpath {
                            let tree = beneath(&volumes::place(engine, &volume)?, below, &format!("volume {name}"))?;
                            all.trees.push((destination, tree));
                        }
                    }
                }
            }
            MountKind::Bind { source, overlay: false } => {
                if let Some(below) = &mount.subpath {
                    all.trees.push((destination, beneath(source, below, &source.display().to_string())?));
                }
            }
            MountKind::Lent { container: lender, path } => {
                all.trees.push((destination, lent(engine, lender.as_deref(), path, mount.subpath.as_deref())?));
            }
            MountKind::Root { container: other } => all.root(engine, container, other, destination)?,
            MountKind::Volume { .. }
            | MountKind::Bind { .. }
            | MountKind::Tmpfs { .. }
            | MountKind::Artifact { .. }
            | MountKind::DevPts
            | MountKind::Ramfs => {}
        }
    }
    Ok(all)
}

struct Image<'a> {
    /// Empty where the reference is looked up at each start.
    id: &'a str,
    reference: &'a str,
    writable: bool,
    mount: &'a MountSpec,
}

impl Trees {
    fn image(
        &mut self,
        engine: &Engine,
        container: &Container,
        wanted: &Image<'_>,
        (uids, gids): (&[IdMap], &[IdMap]),
    ) -> Result<()> {
        let typed = if wanted.id.is_empty() { wanted.reference } else { wanted.id };
        let image = images::find(&engine.store, typed)?
            .ok_or_else(|| Error::Invalid(format!("{}: image not known", wanted.reference)))?;
        let destination = volumes::clean(&wanted.mount.destination);
        let place = storage::Digest::of(destination.as_os_str().as_encoded_bytes());
        let name = &place.hex()[..16];
        // Writes last for one run.
        let dir = volumes::fresh_dir(&engine.container_dir(container.id()).join("overlays").join(name))?;
        let target = engine.run_dir(container.id()).join("images").join(name);
        std::fs::create_dir_all(&target).map_err(Error::io(&target))?;
        let request =
            RootfsRequest { layers: &image.layers, container_dir: &dir, volatile: true, read_only: !wanted.writable };
        let shift = userns::shift(engine, uids, gids);
        let prepared = match shift.is_identity() {
            true => engine.store.root_mount(&request)?,
            false => engine.store.root_mount_shifted(&request, &shift)?,
        };
        let below = wanted.mount.subpath.as_deref();
        let tree = runtime::detached(&format!("mount the image {}", wanted.reference), || {
            prepared.mount.mount(&target)?;
            subpath::tree(&target, below.unwrap_or(Path::new("/")))
        })?;
        self.trees.push((destination, tree));
        self.servers.extend(prepared.server);
        Ok(())
    }

    /// What another container sees as its root, or would see if it ran.
    fn root(&mut self, engine: &Engine, container: &Container, other: &str, destination: PathBuf) -> Result<()> {
        let other = list::find(engine, other)?;
        if let Some(init) = other.state().init().filter(|init| init.alive()) {
            self.trees.push((destination, runtime::root_of(init)?));
            return Ok(());
        }
        let _unstarted = mount::occupy(engine, &other, container.id())?;
        let (uids, gids) = userns::maps(engine, &other.spec().namespaces.user)?;
        let (root, server) = root_mount(engine, &other, &uids, &gids)?;
        let target = engine.run_dir(container.id()).join("root-of-another");
        std::fs::create_dir_all(&target).map_err(Error::io(&target))?;
        let tree = runtime::detached(&format!("mount the root file system of {}", other.name()), || {
            root.mount(&target)?;
            subpath::tree(&target, Path::new("/"))
        })?;
        self.trees.push((destination, tree));
        self.servers.extend(server);
        Ok(())
    }
}

fn beneath(source: &Path, below: &Path, whole: &str) -> Result<OwnedFd> {
    let step = format!("open the subpath {} of {whole}", below.display());
    Ok(runtime::detached(&step, || subpath::tree(source, below))?)
}

/// What a container has mounted for others. A part of it that is missing is made: it goes with the lender's namespaces.
fn lent(engine: &Engine, lender: Option<&str>, path: &Path, below: Option<&Path>) -> Result<OwnedFd> {
    let lender = lender.ok_or_else(|| Error::Invalid(format!("no container is said to lend {}", path.display())))?;
    let lender = list::find(engine, lender)?;
    let init = lender.state().init().filter(|init| init.alive()).ok_or_else(|| Error::StateImproper {
        what: format!("container {} must be running to lend {}", lender.id(), path.display()),
    })?;
    let Some(below) = below else { return Ok(runtime::mount_of(init, path)?) };
    let step = format!("open the subpath {} of {}", below.display(), path.display());
    Ok(runtime::from_within(init, &step, || {
        subpath::make(path, below, None)?;
        subpath::tree(path, below)
    })?)
}

/// What another running container has mounted from this volume: the file system is one for all.
fn borrowed(engine: &Engine, container: &Container, volume: &str) -> Result<Option<OwnedFd>> {
    for other in list::list_mentioning(engine, &[volume])? {
        let Some(init) = other.state().init().filter(|init| other.id() != container.id() && init.alive()) else {
            continue;
        };
        let mount = other.spec().mounts.iter().find(
            |mount| matches!(&mount.kind, MountKind::Volume { name: Some(name), overlay: false, .. } if name == volume),
        );
        if let Some(mount) = mount {
            match runtime::mount_of(init, &volumes::clean(&mount.destination)) {
                Ok(tree) => return Ok(Some(tree)),
                // It ended just now.
                Err(runtime::Error::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(None)
}
