//! The flags before the command. They may stand after it, too.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args as _, Command, FromArgMatches as _};

use crate::arguments::translate;
use crate::error::Failure;

/// See the module.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Globals {
    /// Cgroup manager: "systemd" or "cgroupfs"
    #[arg(long, value_name = "NAME")]
    pub cgroup_manager: Option<String>,
    /// Directories with CDI specifications
    #[arg(long, value_name = "DIR")]
    pub cdi_spec_dir: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub config: Option<String>,
    /// Ignored: for remote connections
    #[arg(long, hide = true)]
    pub identity: Option<String>,
    /// Ignored: for remote connections
    #[arg(long, hide = true)]
    pub ssh: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub context: Option<String>,
    /// Remote connections do not exist here
    #[arg(short, long, hide = true)]
    pub connection: Option<String>,
    /// Remote services do not exist here
    #[arg(long, hide = true)]
    pub url: Option<String>,
    /// Ignored: creel is its own monitor
    #[arg(long, hide = true)]
    pub conmon: Option<String>,
    /// Log everything
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Where events are kept
    #[arg(long, value_name = "BACKEND")]
    pub events_backend: Option<String>,
    /// Directories with OCI hooks
    #[arg(long, value_name = "DIR")]
    pub hooks_dir: Vec<PathBuf>,
    /// An image store beside the store
    #[arg(long, hide = true)]
    pub imagestore: Option<PathBuf>,
    /// Log messages above this level: trace, debug, info, warn, error
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Files that are read after containers.conf
    #[arg(long, value_name = "FILE")]
    pub module: Vec<PathBuf>,
    /// The user-mode network stack: its name or path
    #[arg(long, value_name = "PATH")]
    pub network_cmd_path: Option<String>,
    /// Where named networks are defined
    #[arg(long, value_name = "DIR")]
    pub network_config_dir: Option<PathBuf>,
    /// Remote services do not exist here
    #[arg(short, long, hide = true)]
    pub remote: bool,
    /// Remote services do not exist here: Docker's flag
    #[arg(short = 'H', long, hide = true)]
    pub host: Option<String>,
    /// Write standard output to a file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write nothing to standard output
    #[arg(long)]
    pub noout: bool,
    /// Where images and containers are kept
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Where the state is kept that a reboot ends
    #[arg(long, value_name = "DIR")]
    pub runroot: Option<PathBuf>,
    /// An OCI runtime (name or path) instead of creel's own
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<String>,
    /// Flags for the OCI runtime
    #[arg(long, value_name = "FLAG")]
    pub runtime_flag: Vec<String>,
    /// How root file systems are made: "overlay" or "vfs"
    #[arg(long, value_name = "NAME")]
    pub storage_driver: Option<String>,
    /// An option of the storage driver: mount_program=PATH, ignore_chown_errors=true
    #[arg(long, value_name = "OPTION")]
    pub storage_opt: Vec<String>,
    /// Ignored: messages go to standard error
    #[arg(long, hide = true)]
    pub syslog: bool,
    /// Where large temporary files go
    #[arg(long, value_name = "DIR")]
    pub tmpdir: Option<PathBuf>,
    /// Ignored: the state that a reboot ends is in the runroot always
    #[arg(long, hide = true)]
    pub transient_store: bool,
    /// Ignored: for remote connections
    #[arg(long, hide = true)]
    pub tls_ca: Option<String>,
    /// Ignored: for remote connections
    #[arg(long, hide = true)]
    pub tls_cert: Option<String>,
    /// Ignored: for remote connections
    #[arg(long, hide = true)]
    pub tls_key: Option<String>,
    /// Ignored: creel has no tracer, no profiler, no workers, no database and one kind of networks
    #[arg(long, hide = true)]
    pub trace: bool,
    #[arg(long, hide = true)]
    pub cpu_profile: Option<String>,
    #[arg(long, hide = true)]
    pub memory_profile: Option<String>,
    #[arg(long, hide = true)]
    pub max_workers: Option<String>,
    #[arg(long, hide = true)]
    pub db_backend: Option<String>,
    #[arg(long, hide = true)]
    pub network_backend: Option<String>,
    /// Show the version
    #[arg(short, long)]
    pub version: bool,
    /// Where volumes are kept
    #[arg(long, value_name = "DIR")]
    pub volumepath: Option<PathBuf>,
}

impl Globals {
    /// As another call of this program takes them: those that choose a store, and how things are done in it.
    pub fn as_flags(&self) -> Vec<OsString> {
        let mut flags = Vec::new();
        let mut flag = |name: &str, value: &OsStr| {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(value);
            flags.push(flag);
        };
        let texts = [
            ("cgroup-manager", &self.cgroup_manager),
            ("events-backend", &self.events_backend),
            ("network-cmd-path", &self.network_cmd_path),
            ("runtime", &self.runtime),
            ("storage-driver", &self.storage_driver),
        ];
        for (name, value) in texts {
            value.iter().for_each(|value| flag(name, value.as_ref()));
        }
        let paths = [
            ("imagestore", &self.imagestore),
            ("network-config-dir", &self.network_config_dir),
            ("root", &self.root),
            ("runroot", &self.runroot),
            ("tmpdir", &self.tmpdir),
            ("volumepath", &self.volumepath),
        ];
        for (name, value) in paths {
            value.iter().for_each(|value| flag(name, value.as_ref()));
        }
        for (name, values) in [("hooks-dir", &self.hooks_dir), ("module", &self.module)] {
            values.iter().for_each(|value| flag(name, value.as_ref()));
        }
        let lists = [
            ("cdi-spec-dir", &self.cdi_spec_dir),
            ("runtime-flag", &self.runtime_flag),
            ("storage-opt", &self.storage_opt),
        ];
        for (name, values) in lists {
            values.iter().for_each(|value| flag(name, value.as_ref()));
        }
        flags
    }

    /// From a line that [`crate::arguments::normalise`] has put in order.
    pub fn read(words: &[String]) -> Result<Globals, Failure> {
        if words.is_empty() {
            return Ok(Globals::default());
        }
        let command = command();
        let matches = command.clone().try_get_matches_from(words).map_err(|error| translate(&command, error))?;
        Globals::from_arg_matches(&matches).map_err(|error| Failure::plain(error.to_string()))
    }

    /// Whether a flag asks for an engine on another machine.
    pub fn is_remote(&self) -> bool {
        self.remote || self.connection.is_some() || self.url.is_some() || self.host.is_some()
    }
}

/// A parser that knows these flags alone.
pub fn command() -> Command {
    Globals::augment_args(Command::new("creel")).disable_help_flag(true).disable_version_flag(true).no_binary_name(true)
}

/// How many words at the beginning are global flags with their values.
pub fn end(args: &[String]) -> usize {
    let mut at = 0;
    while let Some(word) = args.get(at) {
        if word == "--" || !word.starts_with('-') || word == "-" {
            break;
        }
        let takes_value = !word.contains('=')
            && match word.strip_prefix("--") {
                Some(long) => !matches!(
                    long,
                    "debug" | "help" | "version" | "noout" | "remote" | "syslog" | "trace" | "transient-store"
                ),
                // `-c NAME` and `-H HOST` are the only short ones with a value.
                None => word.ends_with(['c', 'H']),
            };
        at += if takes_value { 2 } else { 1 };
    }
    at.min(args.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_flags_end_at_the_command() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(end(&words("--root /x --debug ps -a")), 3);
        assert_eq!(end(&words("--root=/x ps")), 1);
        assert_eq!(end(&words("ps")), 0);
        assert_eq!(end(&words("-v")), 1);
    }
}
