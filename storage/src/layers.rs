use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Result;
use crate::record::Record;
use crate::store::Store;

/// An unpacked layer: `ROOT/layers/CHAINHEX/{fs/,layer.json}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// What identifies it: the layer on all those below it.
    pub chain_id: Digest,
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    pub parent: Option<Digest>,
    /// Bytes of its regular files.
    pub size: u64,
    /// The compressed blob it came from, if it is known.
    pub blob: Option<Digest>,
}

impl Record for Layer {
    const VERSION: u32 = 1;
}

/// What an archive may ask for before it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed archive, and of what it unpacks to.
    pub max_bytes: u64,
    pub max_entries: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_bytes: 256 << 30, max_entries: 4_000_000 }
    }
}

/// The chain id of a layer (OCI image specification, config.md, "Layer ChainID").
pub fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

impl Store {
    /// Where the files of a layer are.
    pub fn layer_path(&self, chain_id: &Digest) -> PathBuf {
        self.layer_dir(chain_id).join("fs")
    }

    fn layer_dir(&self, chain_id: &Digest) -> PathBuf {
        self.path("layers").join(chain_id.hex())
    }

    /// The layer, if it is there and whole.
    pub fn layer(&self, chain_id: &Digest) -> Result<Option<Layer>> {
        crate::record::read_optional(&self.layer_dir(chain_id).join("layer.json"))
    }

    /// Unpacks an uncompressed layer archive on top of `parent`, or finds it done.
    pub fn unpack(
        &self,
        _parent: Option<&Digest>,
        _expected_diff_id: Option<&Digest>,
        _blob: Option<&Digest>,
        _tar: &mut dyn Read,
        _limits: &Limits,
    ) -> Result<Layer> {
        unimplemented!()
    }
}
