//! Quadlets: `web.container` becomes `web.service`, whose command lines call creel (podman-systemd.unit(5)).
//!
//! One table of keys for each kind of file ([`keys`]) says what a key becomes on the command line, in the order of the
//! command line; what needs more than a flag is a function in the file of its kind. docs/quadlet.md is written from the
//! same tables.

mod build;
mod container;
#[cfg(test)]
mod document;
mod drop_ins;
mod keys;
mod kind;
mod kube;
mod links;
mod network;
mod paths;
mod pod;
mod pull;
mod references;
mod translation;
mod user_namespace;
mod volume;

pub use drop_ins::drop_in_directories;
pub use kind::{Kind, service_stem};
pub use links::{Link, links};
pub use translation::{Host, Outcome, Setting, translate};
