//! Containers that share namespaces and a life.
//!
//! A pod is a record; what it is doing is what its containers do. Its namespaces are held by one of them, the infra
//! container: a container like any other, with a monitor, ports and a network, whose program is creel itself and whose
//! root file system is an empty directory. The others join it as any container joins another.

mod clone;
mod create;
mod error;
mod events;
mod id;
mod life;
mod member;
mod pod;
mod remove;
mod service;
mod spec;
mod start;
mod update;

pub use clone::clone;
pub use create::{CreateRequest, create};
pub use error::{Error, Result};
pub use id::PodId;
pub use life::{Outcome, kill, pause, restart, stop, unpause};
pub use member::{Own, create_member, join, leave};
pub use pod::{Pod, PodState, Record, find, latest, list, names};
pub use remove::{is_orphan, prune, remove};
pub use service::ServiceContainer;
pub use spec::{ExitPolicy, Infra, MemoryVolume, PodSpec, Share};
pub use start::start;
pub use update::{follow_pod, update};
