//! What is wrong with the store, and its cure. The rule: a finding is never wrong; what may be in the making is none.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use crate::digest::{Digest, Hasher};
use crate::error::{At, Error, Result};
use crate::record::set_aside;
use crate::staging::entries_of;
use crate::store::Store;

/// What the records above need; the caller knows them.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// Chain ids; the layers below them are implied.
    pub layers: HashSet<Digest>,
    /// What is not thrown away.
    pub blobs: HashSet<Digest>,
    /// Of each of these lists one blob must be there: a layer may have come in several forms.
    pub needed: Vec<Vec<Digest>>,
}

/// How far a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Names and records.
    Records,
    /// Each blob's content against its digest, too.
    Content,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// A record that does not parse. Cure: it is set aside.
    DamagedRecord { path: PathBuf, why: String },
    /// A layer directory without a whole record, or of a boot that crashed. Cure: removed; pull the image again.
    IncompleteLayer { path: PathBuf },
    /// A layer that is needed and not there. Cure: pull the image again.
    MissingLayer { chain_id: Digest },
    /// A blob that is needed and not there. Cure: pull the image again.
    MissingBlob { digest: Digest },
    /// Content that is not what its name says. Cure: removed; pull the image again.
    DamagedBlob { digest: Digest },
    /// Nothing needs it. Cure: removed.
    UnusedLayer { chain_id: Digest },
    /// Nothing needs it. Cure: removed.
    UnusedBlob { digest: Digest },
    /// A directory of a container, image or volume without its record. Cure: removed.
    NoRecord { path: PathBuf },
    /// Something that creel did not put there. Cure: none; it is left alone.
    Stranger { path: PathBuf },
}

/// What [`Store::collect`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub layers: Vec<Digest>,
    pub blobs: Vec<Digest>,
    /// Bytes on disk given back.
    pub bytes: u64,
}

impl Store {
    /// Removes layers and blobs that nothing needs. `used` is asked while nobody is [adding](Store::adding) any; `None`
    /// if somebody is, without waiting.
    pub fn collect<E: From<Error>>(&self, used: impl FnOnce() -> Result<Used, E>) -> Result<Option<Collected>, E> {
        let Some(alone) = self.try_alone()? else { return Ok(None) };
        let used = used()?;
        let mut collected = Collected::default();
        for finding in self.unused(&used)? {
            match finding {
                Finding::UnusedLayer { chain_id } => {
                    collected.bytes += crate::usage::tree_size(&self.layer_dir(&chain_id))?.disk;
                    self.remove_layer(&chain_id)?;
                    collected.layers.push(chain_id);
                }
                Finding::UnusedBlob { digest } => {
                    collected.bytes += crate::usage::tree_size(&self.blob_path(&digest))?.disk;
                    self.remove_blob(&digest)?;
                    collected.blobs.push(digest);
                }
                _ => {}
            }
        }
        drop(alone);
        self.empty_trash()?;
        Ok(Some(collected))
    }

    /// Looks for everything that is wrong. While somebody is [adding](Store::adding), what no record needs is not
    /// looked for.
    pub fn check<E: From<Error>>(
        &self,
        depth: Depth,
        used: impl FnOnce() -> Result<Used, E>,
    ) -> Result<Vec<Finding>, E> {
        let alone = self.try_alone()?;
        let used = used()?;
        let mut findings = if alone.is_some() { self.unused(&used)? } else { Vec::new() };
        drop(alone);
        self.check_layers(&used, &mut findings)?;
        self.check_blobs(&used, depth, &mut findings)?;
        self.check_records(&mut findings)?;
        self.check_names(&mut findings)?;
        findings.sort();
        findings.dedup();
        Ok(findings)
    }

    /// Applies the cure of each finding and says which had none.
    pub fn repair(&self, findings: &[Finding]) -> Result<Vec<Finding>> {
        let mut left = Vec::new();
        for finding in findings {
            match finding {
                Finding::DamagedRecord { path, .. } => {
                    set_aside(path)?;
                }
                Finding::IncompleteLayer { path } | Finding::NoRecord { path } => self.trash(path)?,
                Finding::DamagedBlob { digest } | Finding::UnusedBlob { digest } => self.remove_blob(digest)?,
                Finding::UnusedLayer { chain_id } => self.remove_layer(chain_id)?,
                Finding::MissingLayer { .. } | Finding::MissingBlob { .. } | Finding::Stranger { .. } => {
                    left.push(finding.clone());
                }
            }
        }
        self.sweep()?;
        Ok(left)
    }

    fn unused(&self, used: &Used) -> Result<Vec<Finding>> {
        let mut needed = HashSet::new();
        for top in &used.layers {
            let mut next = Some(top.clone());
            while let Some(id) = next {
                if !needed.insert(id.clone()) {
                    break;
                }
                next = match self.layer(&id) {
                    Ok(layer) => layer.and_then(|layer| layer.parent),
                    // What is below a damaged record is not known: nothing can be called unused.
                    Err(Error::Damaged { .. } | Error::TooNew { .. }) => return Ok(Vec::new()),
                    Err(error) => return Err(error),
                };
            }
        }
        let mut findings = Vec::new();
        for (_, layer) in self.layers()? {
            if let Ok(layer) = layer
                && !needed.contains(&layer.chain_id)
            {
                findings.push(Finding::UnusedLayer { chain_id: layer.chain_id });
            }
        }
        for digest in self.blobs()? {
            if !used.blobs.contains(&digest) {
                findings.push(Finding::UnusedBlob { digest });
            }
        }
        Ok(findings)
    }

    fn check_layers(&self, used: &Used, findings: &mut Vec<Finding>) -> Result<()> {
        for name in entries_of(&self.image_path("layers"))? {
            let path = self.image_path("layers").join(&name);
            let digest = name.to_str().and_then(|name| Digest::sha256(name).ok());
            let Some(id) = digest else {
                findings.push(Finding::Stranger { path });
                continue;
            };
            match self.layer(&id) {
                Ok(Some(layer)) => {
                    if layer.chain_id != id {
                        let why = format!("it describes {}", layer.chain_id);
                        findings.push(Finding::DamagedRecord { path: path.join("layer.json"), why });
                    } else if !self.layer_path(&id).is_dir() {
                        findings.push(Finding::IncompleteLayer { path });
                    }
                    if let Some(parent) = layer.parent
                        && used.layers.contains(&id)
                        && !self.layer_path(&parent).is_dir()
                    {
                        findings.push(Finding::MissingLayer { chain_id: parent });
                    }
                }
                // A rename put it there whole, so this is no layer in the making.
                Ok(None) | Err(Error::Damaged { .. }) => findings.push(Finding::IncompleteLayer { path }),
                Err(error) => return Err(error),
            }
        }
        for key in entries_of(&self.path("shifted"))? {
            let dir = self.path("shifted").join(key);
            for name in entries_of(&dir)? {
                let id = name.to_str().and_then(|name| Digest::sha256(name).ok());
                if id.is_some_and(|id| !self.layer_dir(&id).exists()) {
                    findings.push(Finding::IncompleteLayer { path: dir.join(name) });
                }
            }
        }
        for id in &used.layers {
            if !self.layer_path(id).is_dir() {
                findings.push(Finding::MissingLayer { chain_id: id.clone() });
            }
        }
        Ok(())
    }

    fn check_blobs(&self, used: &Used, depth: Depth, findings: &mut Vec<Finding>) -> Result<()> {
        for forms in &used.needed {
            if let Some(digest) = forms.first()
                && !forms.iter().any(|digest| self.has_blob(digest))
            {
                findings.push(Finding::MissingBlob { digest: digest.clone() });
            }
        }
        if depth == Depth::Content {
            for digest in self.blobs()? {
                let path = self.blob_path(&digest);
                let mut file = match self.open_blob(&digest) {
                    Ok(file) => file,
                    Err(Error::NotFound { .. }) => continue,
                    Err(error) => return Err(error),
                };
                let mut hasher = Hasher::new(digest.algorithm());
                hasher.read_from(&mut file).at("cannot read", &path)?;
                if hasher.finish() != digest {
                    findings.push(Finding::DamagedBlob { digest });
                }
            }
        }
        Ok(())
    }

    fn check_records(&self, findings: &mut Vec<Finding>) -> Result<()> {
        for (kind, record) in [
            ("containers", "container.json"),
            ("images", "image.json"),
            ("secrets", "secret.json"),
            ("volumes", "volume.json"),
        ] {
            let dir = if kind == "volumes" { self.volumes_dir() } else { self.path(kind) };
            for name in entries_of(&dir)? {
                let path = dir.join(&name);
                // Locks and the like lie beside, and the names, unfinished pulls and lists of the images.
                if ["names", "pulls", "lists"].iter().any(|other| name == *other)
                    || !fs::symlink_metadata(&path).is_ok_and(|stat| stat.is_dir())
                {
                    continue;
                }
                let has_record = path.join(record).exists();
                if !has_record && path.exists() {
                    findings.push(Finding::NoRecord { path: path.clone() });
                }
                for file in entries_of(&path)? {
                    let file = path.join(file);
                    if file.extension().is_some_and(|extension| extension == "json") {
                        check_record(&file, findings)?;
                    }
                }
            }
        }
        // These have no directory of their own.
        let dir = self.path("artifacts");
        for name in entries_of(&dir)? {
            let file = dir.join(name);
            if file.extension().is_some_and(|extension| extension == "json") {
                check_record(&file, findings)?;
            }
        }
        Ok(())
    }

    fn check_names(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let dir = self.path("l");
        for name in entries_of(&dir)? {
            let link = dir.join(&name);
            if !fs::symlink_metadata(&link).is_ok_and(|stat| stat.is_symlink()) {
                findings.push(Finding::Stranger { path: link });
            }
        }
        Ok(())
    }
}

fn check_record(path: &Path, findings: &mut Vec<Finding>) -> Result<()> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("cannot read", path, error)),
    };
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&bytes) {
        findings.push(Finding::DamagedRecord { path: path.to_owned(), why: error.to_string() });
    }
    Ok(())
}
