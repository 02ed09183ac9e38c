use std::path::Path;

use sys::mount::RootMount;

use crate::digest::Digest;
use crate::error::Result;
use crate::store::Store;

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
    /// The server of a FUSE mount; it ends with the mount.
    pub server: Option<FuseServer>,
    /// One line for the user where the fast way is not taken.
    pub driver_note: Option<String>,
}

/// A running FUSE server.
#[derive(Debug)]
pub struct FuseServer {
    pub process: sys::process::Process,
}

impl Store {
    /// Decides how the root file system is mounted and prepares it.
    pub fn root_mount(&self, _request: &RootfsRequest<'_>) -> Result<Prepared> {
        unimplemented!()
    }
}
