//! Safe words for what the Linux kernel gives and std does not: processes by pidfd, user namespaces, clone3, descriptors
//! over sockets, pseudo-terminals, signals, capabilities, seccomp, mounts and locks.
//!
//! Every `unsafe` block of creel is in this crate. It knows no container, image or store, prints nothing and keeps no
//! state; that a lock is waited for it tells as an event of `tracing`.

#![expect(unsafe_code, reason = "this crate is the fence around the system calls that have no safe wrapper")]

pub mod capabilities;
pub mod channel;
pub mod clone;
pub mod environment;
pub mod exe;
pub mod lock;
pub mod memory;
pub mod mount;
pub mod mount_attributes;
pub mod net;
pub mod notice;
pub mod nsfs;
pub mod passwd;
pub mod printable;
pub mod process;
pub mod pty;
pub mod random;
pub mod seccomp;
pub mod signals;
pub mod task;
pub mod userns;
