//! OCI hooks: programs of the user's that see a container at fixed moments (config.md, "POSIX-platform Hooks").

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use oci_spec::runtime::{Hook, Spec};
use serde_json::json;
use sys::process::Pidfd;

use crate::{Error, Result};

/// What a hook reads on its stdin (runtime.md, "State").
#[derive(Clone, Debug)]
pub struct State {
    pub id: String,
    pub bundle: std::path::PathBuf,
    pub pid: i32,
    pub status: &'static str,
    version: String,
    annotations: std::collections::HashMap<String, String>,
}

impl State {
    pub fn new(id: &str, bundle: &Path, spec: &Spec) -> State {
        State {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            pid: 0,
            status: "creating",
            version: spec.version().clone(),
            annotations: spec.annotations().clone().unwrap_or_default(),
        }
    }

    fn to_json(&self) -> String {
        json!({
            "ociVersion": self.version,
            "id": self.id,
            "status": self.status,
            "pid": self.pid,
            "bundle": self.bundle,
            "annotations": self.annotations,
        })
        .to_string()
    }
}

/// Runs the `poststop` hooks of a container that has ended. Each runs even if one before it failed.
pub fn run_poststop(hooks: &[Hook], state: &State) -> Vec<Error> {
    let state = State { status: "stopped", pid: 0, ..state.clone() };
    hooks.iter().filter_map(|hook| run("poststop", hook, &state).err()).collect()
}

pub(crate) fn run_all(kind: &'static str, hooks: &[Hook], state: &State) -> Result<()> {
    hooks.iter().try_for_each(|hook| run(kind, hook, state))
}

fn run(kind: &'static str, hook: &Hook, state: &State) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let failed = |what: String| Error::Hook { kind, path: hook.path().clone(), what };
    let mut command = Command::new(hook.path());
    // `args` is the whole argv, as in execv.
    if let Some((name, rest)) = hook.args().as_ref().and_then(|args| args.split_first()) {
        command.arg0(name).args(rest);
    }
    command.env_clear();
    for variable in hook.env().iter().flatten() {
        if let Some((key, value)) = variable.split_once('=') {
            command.env(key, value);
        }
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook that does not read is no error.
        let _ = stdin.write_all(state.to_json().as_bytes());
    }
    if let Some(seconds) = hook.timeout() {
        let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let pidfd = i32::try_from(child.id())
            .map_err(|_| failed("no such pid".into()))
            .and_then(|pid| Pidfd::open(pid).map_err(|error| failed(error.to_string())))?;
        if !pidfd.wait_end(Some(limit)).map_err(|error| failed(error.to_string()))? {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(format!("did not end within {seconds} seconds")));
        }
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}
