//! Work on one pod in a process of its own (`creel __kube-pod`): pods start and end side by side, and a slow one holds up
//! nobody else.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use containers::{Engine, Settings};
use serde::{Deserialize, Serialize};
use storage::{Dirs, StoreOptions};

use super::error::{Error, Result};
use super::launch::{FindImage, Launched, PodRequest, launch};

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Deed {
    Make(Box<PodRequest>),
    /// By id. `timeout`: seconds instead of each container's own.
    Remove {
        pod: String,
        timeout: Option<u32>,
    },
}

/// What the process reads from its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    dirs: Dirs,
    options: StoreOptions,
    settings: Settings,
    deed: Deed,
}

/// What it writes to its standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Report {
    Made(Launched),
    Removed,
    Failed(String),
}

/// A deed on its way.
#[derive(Debug)]
pub(super) struct Working {
    child: Child,
}

/// Starts `program` (`creel __kube-pod`) with a deed.
pub(super) fn start(engine: &Engine, mut program: Command, deed: Deed) -> Result<Working> {
    let order = Order {
        dirs: engine.store.dirs().clone(),
        options: engine.store.options().clone(),
        settings: engine.settings.clone(),
        deed,
    };
    let order = serde_json::to_vec(&order).map_err(|error| Error::Invalid(error.to_string()))?;
    let failed = Error::io("/proc/self/exe");
    let child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = child.map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // One that died early is told by its report, or the lack of it.
        let _ = input.write_all(&order);
    }
    Ok(Working { child })
}

impl Working {
    /// Readable when it has something to say, or has ended.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.child.stdout.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end. `None`: it removed something.
    pub(super) fn finish(mut self) -> Result<Option<Launched>> {
        let mut said = Vec::new();
        if let Some(output) = &mut self.child.stdout {
            output.read_to_end(&mut said).map_err(Error::io("a process of ours"))?;
        }
        self.child.wait().map_err(Error::io("a process of ours"))?;
        match serde_json::from_slice(&said) {
            Ok(Report::Made(launched)) => Ok(Some(launched)),
            Ok(Report::Removed) => Ok(None),
            Ok(Report::Failed(why)) => Err(Error::Failed(why)),
            Err(_) => Err(Error::Failed("the process that worked on it was killed".into())),
        }
    }
}

/// The whole of `creel __kube-pod`.
pub fn pod_main(find_image: &FindImage<'_>) -> std::io::Result<()> {
    let mut order = Vec::new();
    std::io::stdin().lock().read_to_end(&mut order)?;
    let order: Order = serde_json::from_slice(&order)?;
    let engine = Engine {
        store: storage::Store::open(order.dirs, order.options).map_err(std::io::Error::other)?,
        settings: order.settings,
    };
    let report = match order.deed {
        Deed::Make(request) => match launch(&engine, find_image, &request) {
            Ok(launched) => Report::Made(launched),
            Err(error) => Report::Failed(error.to_string()),
        },
        Deed::Remove { pod, timeout } => match remove(&engine, &pod, timeout) {
            Ok(()) => Report::Removed,
            Err(error) => Report::Failed(error.to_string()),
        },
    };
    serde_json::to_writer(std::io::stdout().lock(), &report)?;
    Ok(())
}

/// How often a removal is tried of a pod that somebody is still making, and the pause between.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Takes a pod away with everything that is its own. One that is gone already is no error.
pub(super) fn remove(engine: &Engine, id: &str, timeout: Option<u32>) -> Result<()> {
    for attempt in 1.. {
        let pod = match pods::find(engine, id) {
            Ok(pod) => pod,
            Err(pods::Error::NotFound { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        let failed = match pods::remove(engine, &pod, true, timeout) {
            Ok(outcome) => outcome.failed.into_iter().next(),
            Err(pods::Error::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        match failed {
            None => break,
            // Whoever makes it has just started this one; without its record that comes to an end.
            Some((_, containers::Error::StateImproper { .. })) if attempt < TRIES => std::thread::sleep(PAUSE),
            Some((id, error)) => return Err(Error::from(error).of(format!("container {id}"))),
        }
    }
    let in_memory = engine.store.dirs().runroot.join("kube").join(super::launch::uid(id));
    match std::fs::remove_dir_all(&in_memory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&in_memory)(error)),
        _ => Ok(()),
    }
}
