//! OCI artifacts: named sets of files that registries keep as they keep images, and that nobody unpacks or runs.
//!
//! An artifact is a manifest whose layers are the files, see the image specification, "Guidelines for artifact usage". The
//! store keeps a record for each name and the content among the blobs of images.

mod add;
mod files;
mod manifest;
mod media_type;
mod record;
mod remote;

pub use add::{AddOptions, Input, Onto, add};
pub use files::{BlobChoice, BlobFile, blob_files, extract, names_in_directory};
pub use manifest::{Descriptor, Manifest};
pub(crate) use record::reach;
pub use record::{Artifact, find, get, list, remove};
pub use remote::{pull, push};
