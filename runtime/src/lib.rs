//! An OCI bundle becomes a process.
//!
//! [`create`] makes the namespaces and everything in them and stops before the program; [`Created::start`] lets it go;
//! [`exec`] runs one more process in a container that lives. `README.md` draws the conversation between the two sides.
//! This crate has never heard of an image, a name or a pod; it looks up no user, chooses no default and keeps no record.
//! It is synchronous, and the caller must have one thread.

mod attach;
pub mod cgroup;
mod child;
mod copy_up;
mod error;
mod exec;
pub mod external;
mod handshake;
pub mod hooks;
mod lend;
mod mounts;
mod namespaces;
mod parent;
mod pivot;
mod plan;
mod process;
mod rootfs;
pub mod seccomp;
mod systemd;

pub use error::{Error, Result};
pub use exec::{ExecChild, ExecRequest, exec};
pub use lend::{detached, from_within, mount_of, root_of};
pub use parent::{Bundle, Created, Running, Stdio, create};
pub use plan::KEEP_GROUPS;
