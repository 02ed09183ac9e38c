//! Root file systems for containers in a user namespace of their own (`--userns=keep-id` and its relatives): the image's
//! ids are the container's, the disk has those of the user's namespace, and overlay cannot translate.
//!
//! fuse-overlayfs translates as it goes; the kernel's overlay gets layers whose owners were changed in a copy, made once for
//! each map and kept: `ROOT/shifted/KEY/{shift.json,CHAINHEX/fs/}`. A copy shares its data with the layer where the
//! file system has reflinks.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::copy;
use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::record::{self, Durability, Record};
use crate::rootfs::{Prepared, RootfsRequest, Way};
use crate::staging::entries_of;
use crate::store::{Driver, Store, make_private_dir};

/// The maps of a container's user namespace, in ids of the one we are in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdShift {
    pub uids: Vec<IdRange>,
    pub gids: Vec<IdRange>,
}

/// `size` ids from `container` upward are those from `host` upward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    pub container: u32,
    pub host: u32,
    pub size: u32,
}

impl Record for IdShift {
    const VERSION: u32 = 1;
}

impl IdShift {
    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        self.uids.iter().chain(&self.gids).all(|range| range.container == range.host)
    }

    pub(crate) fn uid(&self, id: u32) -> Option<u32> {
        shifted(&self.uids, id)
    }

    pub(crate) fn gid(&self, id: u32) -> Option<u32> {
        shifted(&self.gids, id)
    }

    fn key(&self) -> String {
        let text = format!("{};{}", mapping(&self.uids), mapping(&self.gids));
        Digest::of(text.as_bytes()).hex()[..16].to_owned()
    }
}

fn shifted(ranges: &[IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|range| id >= range.container && id - range.container < range.size)?;
    range.host.checked_add(id - range.container)
}

/// `CONTAINER:HOST:SIZE:…`, as fuse-overlayfs takes it.
fn mapping(ranges: &[IdRange]) -> String {
    ranges
        .iter()
        .map(|range| format!("{}:{}:{}", range.container, range.host, range.size))
        .collect::<Vec<_>>()
        .join(":")
}

impl Store {
    /// As [`Store::root_mount`], for a container whose ids are shifted. [`Prepared::driver_note`] says what was copied.
    ///
    /// A container stays with the map it was first mounted with: what it wrote has owners of that.
    pub fn root_mount_shifted(&self, request: &RootfsRequest<'_>, shift: &IdShift) -> Result<Prepared> {
        if shift.is_identity() {
            return self.root_mount(request);
        }
        if self.options().driver == Driver::Vfs || request.container_dir.join(crate::rootfs::COPY).exists() {
            return self.copied_root(request, Some(shift));
        }
        match self.way(request.container_dir)? {
            way @ Way::Native => {
                let mut lower = Vec::with_capacity(request.layers.len());
                let mut copied = 0;
                for id in request.layers.iter().rev() {
                    copied += self.shift_layer(id, shift)?;
                    lower.push(self.short_shifted(id, shift)?);
                }
                let mut prepared = self.overlay_root(&lower, request, way, Some(shift), "")?;
                if copied > 0 {
                    let note = format!(
                        "the image was copied for this container's ids: {copied} bytes of files, kept for the next"
                    );
                    prepared.driver_note = Some(note);
                }
                Ok(prepared)
            }
            way @ Way::Fuse { .. } => {
                let options = format!(",uidmapping={},gidmapping={}", mapping(&shift.uids), mapping(&shift.gids));
                self.overlay_root(&self.lower_names(request.layers)?, request, way, None, &options)
            }
        }
    }

    /// How many bytes of files [`Store::root_mount_shifted`] would copy now.
    pub fn shift_cost(&self, layers: &[Digest], container_dir: &Path, shift: &IdShift) -> Result<u64> {
        if shift.is_identity() || self.options().driver == Driver::Vfs {
            return Ok(0);
        }
        let Way::Native = self.way(container_dir)? else { return Ok(0) };
        let family = self.path("shifted").join(shift.key());
        let mut bytes = 0;
        for id in layers {
            if !family.join(id.hex()).join("fs").exists() {
                bytes += self.layer(id)?.map_or(0, |layer| layer.size);
            }
        }
        Ok(bytes)
    }

    /// Makes the copy of a layer unless it is there; says how many bytes of files it took.
    fn shift_layer(&self, id: &Digest, shift: &IdShift) -> Result<u64> {
        let family = self.path("shifted").join(shift.key());
        let dest = family.join(id.hex());
        if dest.join("fs").exists() {
            return Ok(0);
        }
        let Some(layer) = self.layer(id)? else {
            return Err(Error::NotFound { kind: "layer", name: id.to_string() });
        };
        let staging = self.staging()?;
        let staged = staging.join("layer");
        let files = staged.join("fs");
        for dir in [&staged, &files] {
            fs::DirBuilder::new().mode(0o700).create(dir).at("cannot create", dir)?;
        }
        copy::shift_layer(&self.layer_path(id), &files, shift, self.options().ignore_chown_errors)?;
        // Not again after a crash of the host: a copy that is there is believed.
        crate::layers::sync_file_system(&staged)?;
        make_private_dir(&family)?;
        let about = family.join("shift.json");
        if !about.exists() {
            record::write(&about, shift, Durability::Visible)?;
        }
        match fs::rename(&staged, &dest) {
            Ok(()) => Ok(layer.size),
            // Another was faster.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                Ok(0)
            }
            Err(error) => Err(Error::io("cannot commit to", &dest, error)),
        }
    }

    /// Its short name for mount options, below `l/` as a layer's own.
    fn short_shifted(&self, id: &Digest, shift: &IdShift) -> Result<PathBuf> {
        let key = shift.key();
        let name = Path::new("l").join(format!("{}{}", &key[..8], &id.hex()[..14]));
        let target = Path::new("../shifted").join(&key).join(id.hex()).join("fs");
        self.link(&self.path(&name), &target)?;
        Ok(name)
    }

    /// Takes the shifted copies of a layer away with it.
    pub(crate) fn remove_shifted(&self, id: &Digest) -> Result<()> {
        let dir = self.path("shifted");
        for key in entries_of(&dir)? {
            let copy = dir.join(&key).join(id.hex());
            if let Some(key) = key.to_str().filter(|key| key.len() == 16)
                && copy.exists()
            {
                let link = self.path("l").join(format!("{}{}", &key[..8], &id.hex()[..14]));
                match fs::remove_file(&link) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::io("cannot remove", &link, error));
                    }
                    _ => {}
                }
                self.trash(&copy)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_move_by_the_range_they_are_in() {
        let range = |container, host, size| IdRange { container, host, size };
        let shift = IdShift { uids: vec![range(0, 1, 1000), range(1000, 0, 1)], gids: vec![range(0, 0, 10)] };
        let found: Vec<_> = [0, 999, 1000, 1001].iter().map(|id| shift.uid(*id)).collect();
        assert_eq!(found, [Some(1), Some(1000), Some(0), None]);
        assert_eq!(mapping(&shift.uids), "0:1:1000:1000:0:1");
        assert!(!shift.is_identity());
        assert!(IdShift { uids: vec![range(0, 0, 9)], gids: vec![] }.is_identity());
    }
}
