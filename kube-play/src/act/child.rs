//! Work on one pod in a process of its own (`creel __kube-pod`): pods start and end side by side, and a slow one holds up
//! nobody else.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use containers::{Engine, PodRole};
use pods::Pod;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::launch::{FindImage, Launched, PodRequest, Start, launch};
use super::place::Place;
use super::start;

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Deed {
    /// Makes a pod and, unless it is for later, starts it.
    Make(Box<PodRequest>),
    /// Starts what does not run of a pod, by id.
    Start { pod: String },
    /// By id. `timeout`: seconds instead of each container's own.
    Remove { pod: String, timeout: Option<u32> },
}

/// What the process reads from its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    place: Place,
    deed: Deed,
}

/// What it writes to its standard output, each as a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Report {
    /// It stands with all its containers; what is left is to start them.
    Made(Launched),
    /// It did what it was to do.
    Done,
    Failed(String),
}

/// A deed on its way.
#[derive(Debug)]
pub(super) struct Working {
    child: Child,
    output: BufReader<ChildStdout>,
    made: Option<Launched>,
    /// What it came to, once it has said so.
    end: Option<std::result::Result<(), String>>,
}

/// Starts `program` (`creel __kube-pod`) with a deed.
pub(super) fn begin(engine: &Engine, mut program: Command, deed: Deed) -> Result<Working> {
    let order = serde_json::to_vec(&Order { place: Place::of(engine), deed })
        .map_err(|error| Error::Invalid(error.to_string()))?;
    let failed = Error::io("/proc/self/exe");
    let child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = child.map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // One that died early is told by its report, or the lack of it.
        let _ = input.write_all(&order);
    }
    let output = child.stdout.take().ok_or_else(|| Error::Failed("a process without its output".into()))?;
    Ok(Working { child, output: BufReader::new(output), made: None, end: None })
}

/// Starts a pod: by a process of its own, which is still at it, where it has init containers.
pub(super) fn start_pod(engine: &Engine, program: fn() -> Command, pod: &Pod) -> Result<Option<Working>> {
    let is_init = |member: &containers::Container| {
        matches!(member.spec().pod_role, Some(PodRole::InitAlways | PodRole::InitOnce | PodRole::Sidecar))
    };
    if pod.members().any(is_init) {
        let deed = Deed::Start { pod: pod.id().to_string() };
        return begin(engine, program(), deed).map(Some);
    }
    start::start(engine, pod).map(|()| None)
}

impl Working {
    /// Readable when it has something to say, or has ended.
    pub(super) fn output(&self) -> BorrowedFd<'_> {
        self.output.get_ref().as_fd()
    }

    /// One line of what it says.
    fn hear(&mut self) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(Error::io("a process of ours"))?;
        match serde_json::from_str(&line) {
            Ok(Report::Made(launched)) => self.made = Some(launched),
            Ok(Report::Done) => self.end = Some(Ok(())),
            Ok(Report::Failed(why)) => self.end = Some(Err(why)),
            Err(_) if self.end.is_none() => self.end = Some(Err("the process that worked on it was killed".into())),
            Err(_) => {}
        }
        Ok(())
    }

    /// Takes what it has said off the pipe, which is readable for as long as there is any.
    pub(super) fn take_note(&mut self) {
        let mut fds = [PollFd::from_borrowed_fd(self.output(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) {
            // What cannot be read now, `finish` answers for.
            let _ = self.hear();
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until its pod is made, or it is through.
    pub(super) fn wait_made(&mut self) -> Result<Option<Launched>> {
        while self.made.is_none() && self.end.is_none() {
            self.hear()?;
        }
        match &self.end {
            Some(Err(why)) => Err(Error::Failed(why.clone())),
            Some(Ok(())) | None => Ok(self.made.clone()),
        }
    }

    /// Waits for its end. `None`: it made nothing.
    pub(super) fn finish(mut self) -> Result<Option<Launched>> {
        while self.end.is_none() {
            self.hear()?;
        }
        self.child.wait().map_err(Error::io("a process of ours"))?;
        self.wait_made()
    }

    /// Ends it where it is. Its pod stays as far as it was made.
    pub(super) fn abandon(mut self) {
        // One that has ended meanwhile needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole of `creel __kube-pod`.
pub fn pod_main(find_image: &FindImage<'_>) -> io::Result<()> {
    let mut order = Vec::new();
    io::stdin().lock().read_to_end(&mut order)?;
    let order: Order = serde_json::from_slice(&order)?;
    let engine = order.place.open().map_err(io::Error::other)?;
    let done = match order.deed {
        Deed::Make(request) => launch(&engine, find_image, &request).and_then(|launched| {
            let pod = launched.pod.clone();
            say(&Report::Made(launched)).map_err(Error::io("standard output"))?;
            if request.start == Start::Later {
                return Ok(());
            }
            go_on_alone();
            let pod = pods::find(&engine, &pod)?;
            start::start(&engine, &pod).inspect_err(|_| {
                // The error that matters is the first.
                let _ = pods::remove(&engine, &pod, true, Some(0));
            })
        }),
        Deed::Start { pod } => {
            go_on_alone();
            pods::find(&engine, &pod).map_err(Error::from).and_then(|pod| start::start(&engine, &pod))
        }
        Deed::Remove { pod, timeout } => remove(&engine, &pod, timeout),
    };
    say(&match done {
        Ok(()) => Report::Done,
        Err(error) => Report::Failed(error.to_string()),
    })
}

fn say(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    io::stdout().lock().write_all(&line)
}

/// Init containers may take for ever. Whoever began it may leave, without a signal of its terminal reaching us, and
/// without us keeping its standard error open.
fn go_on_alone() {
    let _ = rustix::process::setsid();
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stderr(&null);
    }
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
    Ok(())
}
