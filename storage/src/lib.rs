//! What is on disk: blobs, unpacked layers, root file systems, volumes, and the versioned records of everybody above.
//! It knows no image, no container and no network; it never prints and never waits for anything but a disk or a lock.
//! `README.md` shows the tree and the locking rules.

mod archive;
mod blobs;
mod changes;
mod check;
mod copy;
mod decompress;
mod diff;
mod digest;
mod error;
mod fuse;
mod layers;
mod overlaid;
mod probe;
mod remove;
mod rootfs;
mod secrets;
mod shift;
mod staging;
mod store;
mod unpack;
mod usage;
mod volumes;
mod watch;

pub mod events;
pub mod journald;
pub mod names;
pub mod record;

pub use blobs::BlobWriter;
pub use changes::{Change, ChangeKind, changes, tree_changes};
pub use check::{Collected, Depth, Finding, Used};
pub use copy::copy_tree;
pub use decompress::{decompress, decompress_within};
pub use diff::{FileTimes, TarOptions};
pub use digest::{Algorithm, Digest, Hasher};
pub use error::{Error, Result};
pub use layers::{BYTES_SETTING, ENTRIES_SETTING, Layer, Limits, RATIO_SETTING, chain_id};
pub use record::{Durability, Record};
pub use rootfs::{FuseServer, Prepared, RootfsRequest};
pub use secrets::{Created, OnTaken, SECRET_MAX, Secret, SecretDriver, check_secret, new_secret_id};
pub use shift::{IdRange, IdShift};
pub use staging::Staging;
pub use store::{Dirs, Driver, Store, StoreOptions};
pub use usage::{TreeSize, Usage, tree_size};
pub use volumes::Volume;
pub use watch::Watch;
