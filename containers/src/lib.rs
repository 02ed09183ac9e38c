//! A container: its record, its life, its monitor.
//!
//! Everything here works on records that any process may read at any time, and on processes that it refers to by pidfd.
//! It never parses arguments, never prints, and knows a pod only as namespaces to join and an id to show.

mod archive;
mod attach;
mod cdi;
mod container;
mod create;
mod devices;
mod engine;
mod error;
pub mod events;
mod exec;
mod files;
mod health;
mod hooks;
mod id;
mod inspect;
mod journal;
mod list;
mod log;
mod logs;
mod monitor;
mod names;
mod needed;
mod networks;
mod notice;
mod notify;
mod oci;
mod pause;
mod pid_one;
mod probes;
mod processes;
mod reconnect;
mod remove;
mod rename;
mod seccomp;
mod secrets;
mod spec;
mod start;
mod state;
mod stats;
mod stop;
mod top;
mod trees;
mod trial;
mod update;
mod userns;
mod users;
mod volume_options;
mod volumes;
mod wait;
mod wire;

pub use attach::{AttachEnd, AttachRequest, Attached, Streams, attach, parse_detach_keys};
pub use cdi::is_device_name;
pub use container::{Container, ImageDefaults, NetworkStatus, Record, Status};
pub use create::{CreateRequest, create, image_health};
pub use engine::{Engine, Settings};
pub use error::{Error, Result};
pub use exec::{ExecEnd, ExecRequest, exec};
pub use files::{
    CommitOptions, CopyOptions, Endpoint, FileFact, FileKind, changes, commit, copy_in, copy_out, export,
    is_made_by_creel,
};
pub use health::{HealthEntry, HealthLog, HealthStatus, check_health, health_main, read_log as health_log};
pub use id::{ContainerId, ContainerName};
pub use images::Image;
pub use inspect::{Facts, MountFact, facts, mount_fact, size};
pub use list::{find, list, running};
pub use logs::{LogLine, LogQuery, LogStream, follow_logs, logs};
pub use monitor::monitor_main;
pub use names::random as random_name;
pub use needed::{Kept, keep, needs};
pub use networks::{aliases, is_on as is_on_network, networks};
pub use oci::HOLDER_PATH;
pub use pause::{pause, paused, unpause};
pub use pid_one::{hold_main, init_main};
pub use probes::{Action, Backoff, Probe, ProbeStatus, Probes, in_backoff, probe_main, ready, started};
pub use reconnect::{connect, disconnect, reload as reload_network};
pub use remove::{RemoveRequest, prune, remove, sweep};
pub use rename::rename;
pub use secrets::update_secret;
pub use spec::*;
pub use start::{Launch, StartRequest, Started, init, launch, start};
pub use state::{Exit, State};
pub use stats::{Interface, Usage, usage};
pub use stop::{kill, restart, stop, stop_by};
pub use storage::Volume;
pub use sys::signals::name as signal_name;
pub use top::{Table, top};
pub use trial::try_limit;
pub use update::update;
pub use userns::copy_cost;
pub use volume_options::set_volume_options;
pub use volumes::content as volume_content;
pub use wait::{Condition, check_conditions, holds_now, wait, wait_for_good, wait_started};
