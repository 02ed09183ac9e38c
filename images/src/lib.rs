//! A reference becomes an image in the store, and an image leaves it again.
//!
//! Here are the names of images, the records of what the store holds, and every way in (pull, load, import, commit) and
//! out (push, save). The crate never mounts, never runs a container and does not know who uses an image: whoever removes
//! one passes the users in. Registries are reached through skopeo alone, so the user's registries.conf, policy.json,
//! certs.d and credentials mean what they mean to Podman. tokio lives in the pull worker, a process of its own.

mod archive;
pub mod artifacts;
mod changes;
mod collect;
mod commit;
mod credentials;
mod deposit;
pub mod embedded;
mod error;
mod events;
mod filter;
mod find;
mod history;
mod image;
mod import;
pub mod lists;
mod load;
mod login;
mod names;
mod places;
mod platform;
mod policy;
mod progress;
mod prune;
mod pull;
mod push;
mod record;
mod reference;
pub mod registries;
mod remove;
mod retry;
mod save;
mod save_legacy;
mod search;
mod settings;
mod skopeo;
mod tag;
mod tree;
pub mod trust;
mod view;
mod wire;
mod worker;

pub use archive::decompressed_file;
pub use changes::apply_change;
pub use collect::{Reachable, collect_garbage, reachable};
pub use commit::{CommitRequest, Content, Format, HistoryEntry, Squash, commit};
pub use error::{Error, Result};
pub use filter::{Filter, FilterContext};
pub use find::{everything, find, get, is_here, list};
pub use history::{HistoryRow, history};
pub use image::Image;
pub use import::{ImportOptions, fetch, import};
pub use load::{LoadOptions, load};
pub use login::{LoginOptions, get_login, login, logout, logout_all};
pub use places::Places;
pub use platform::{Platform, host_architecture};
pub use policy::PullPolicy;
pub use progress::Progress;
pub use prune::{PruneOptions, Pruned, prune};
pub use pull::{Credentials, PullOptions, Pulled, WORKER, ensure, pull};
pub use push::{PushOptions, push};
pub use reference::{Reference, Source, Transport};
pub use remove::{ImageUser, RemoveOptions, Removed, remove};
pub use save::{SaveFormat, SaveOptions, SaveTarget, save};
pub use search::{Found, SearchOptions, search};
pub use settings::{Empty, Healthcheck, Set, Settings};
pub use skopeo::list_tags;
pub use tag::{name_built, tag, untag};
pub use tree::{TreeLayer, dependents, tree};
pub use worker::pull_worker;
