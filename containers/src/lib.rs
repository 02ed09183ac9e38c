//! A container: its record, its life, its monitor.
//!
//! Everything here works on records that any process may read at any time, and on processes that it refers to by pidfd.
//! It never parses arguments, never prints, and knows a pod only as namespaces to join and an id to show.

mod archive;
mod attach;
mod container;
mod create;
mod devices;
mod engine;
mod error;
pub mod events;
mod exec;
mod files;
mod health;
mod id;
mod inspect;
mod list;
mod log;
mod logs;
mod monitor;
mod names;
mod notice;
mod oci;
mod pause;
mod pid_one;
mod remove;
mod rename;
mod seccomp;
mod secrets;
mod spec;
mod start;
mod state;
mod stop;
mod top;
mod trial;
mod userns;
mod users;
mod volumes;
mod wait;
mod wire;

pub use attach::{AttachEnd, AttachRequest, Attached, Streams, attach, parse_detach_keys};
pub use container::{Container, ImageDefaults, NetworkStatus, Record, Status};
pub use create::{CreateRequest, create};
pub use engine::{Engine, Settings};
pub use error::{Error, Result};
pub use exec::{ExecEnd, ExecRequest, exec};
pub use files::{CommitOptions, CopyOptions, Endpoint, FileFact, FileKind, changes, commit, copy_in, copy_out, export};
pub use health::{HealthEntry, HealthLog, HealthStatus, check_health, health_main, read_log as health_log};
pub use id::{ContainerId, ContainerName};
pub use inspect::{Facts, MountFact, facts, size};
pub use list::{find, list, running};
pub use logs::{LogLine, LogQuery, LogStream, follow_logs, logs};
pub use monitor::monitor_main;
pub use pause::{pause, paused, unpause};
pub use pid_one::init_main;
pub use remove::{RemoveRequest, prune, remove, sweep};
pub use rename::rename;
pub use secrets::update_secret;
pub use spec::*;
pub use start::{StartRequest, Started, init, start};
pub use state::{Exit, State};
pub use stop::{kill, restart, stop};
pub use top::{Table, top};
pub use trial::try_limit;
pub use wait::{Condition, wait};
