//! One more process in a container that lives.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{LinuxSeccomp, Process as ProcessSpec};
use rustix::io::Errno;
use rustix::thread::ThreadNameSpaceType;
use sys::channel::Channel;
use sys::clone::{Child, CloneRequest, clone_child, clone_child_into_pid_namespace, exit_now};
use sys::process::{Pidfd, Process};
use sys::pty::{self, Pty};
use sys::task::Numbered;

use crate::attach;
use crate::cgroup::Cgroup;
use crate::handshake::{self, Heard, Message};
use crate::parent::Stdio;
use crate::plan::Program;
use crate::process::{self, Proc};
use crate::rootfs::Rootfs;
use crate::{Error, Result, namespaces};

#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// The container's first process.
    pub init: &'a Process,
    pub process: &'a ProcessSpec,
    /// The caller's supplementary groups stay, instead of those of `process`.
    pub keep_groups: bool,
    /// The container's cgroup, if it has one.
    pub cgroup: Option<&'a Cgroup>,
    pub stdio: Stdio,
    /// Become 3 and up in the new process.
    pub preserve_fds: Vec<Numbered>,
    /// The filter of the container, unless the process is privileged.
    pub seccomp: Option<&'a LinuxSeccomp>,
}

/// A process in the container, child of the caller.
#[derive(Debug)]
pub struct ExecChild {
    pub pid: i32,
    pub pidfd: Pidfd,
    /// The master, with [`Stdio::Terminal`].
    pub terminal: Option<OwnedFd>,
}

/// Returns when the program runs.
///
/// # Errors
/// [`Error::Gone`] when the container has ended; [`Error::NotFound`] and [`Error::NotExecutable`] for the program.
pub fn exec(request: ExecRequest<'_>) -> Result<ExecChild> {
    let mut program = Program::of(request.process, request.seccomp)?;
    program.keep_groups = request.keep_groups;
    let init = request.init.open().ok_or(Error::Gone)?;
    let different = namespaces::different_from_ours(request.init.pid).map_err(|_| Error::Gone)?;
    let (channel, theirs) = Channel::pair().map_err(|error| Error::kernel("make a socket", error))?;
    let joining = Joining { request: &request, program: &program, init: &init, namespaces: different };
    let child = joining.clone_child(theirs)?;
    tracing::debug!(init = request.init.pid, pid = child.pid, "cloned a process into the container");
    let mut made = ExecChild { pid: child.pid, pidfd: child.pidfd, terminal: None };
    let error = loop {
        match handshake::recv(&channel) {
            Ok(Heard::Said(Message::ChildPrepared, fds)) => made.terminal = fds.into_iter().next(),
            Ok(Heard::End) => return Ok(made),
            Ok(Heard::Said(Message::ChildFailed(failure), _)) => break failure.into(),
            Ok(Heard::Said(..)) => break Error::Gone,
            Err(error) => break Error::kernel("hear from the new process", error),
        }
    };
    let _ = made.pidfd.signal(9);
    let _ = made.pidfd.wait();
    Err(error)
}

struct Joining<'a> {
    request: &'a ExecRequest<'a>,
    program: &'a Program,
    init: &'a Pidfd,
    namespaces: ThreadNameSpaceType,
}

impl Joining<'_> {
    fn clone_child(&self, theirs: Channel) -> Result<Child> {
        let step = |error: std::io::Error| Error::kernel("make a process in the container", error);
        let cgroup = self.request.cgroup.and_then(Cgroup::directory);
        // The container could open our executable through /proc until the new process is the program (CVE-2019-5736).
        sys::task::set_dumpable(false).map_err(step)?;
        let theirs = theirs.as_fd();
        let mut made = self.clone_into(cgroup, theirs);
        match made.as_ref().err().and_then(Errno::from_io_error) {
            // The container has divided its cgroup, so processes live in the parts only: with its first one, then.
            Some(Errno::BUSY) => {
                let of_init = Cgroup::of_process(self.request.init.pid);
                made = self.clone_into(of_init.as_ref().and_then(Cgroup::directory), theirs);
            }
            Some(Errno::ACCESS | Errno::PERM) if let Some(into) = self.request.cgroup => {
                // systemd asks who owns us, which is hidden while we are.
                sys::task::set_dumpable(true).map_err(step)?;
                into.bring_caller_near()?;
                sys::task::set_dumpable(false).map_err(step)?;
                made = self.clone_into(cgroup, theirs);
            }
            _ => {}
        }
        let _ = sys::task::set_dumpable(true);
        made.map_err(step)
    }

    fn clone_into(&self, cgroup: Option<BorrowedFd<'_>>, theirs: BorrowedFd<'_>) -> std::io::Result<Child> {
        let theirs = Channel::from(theirs.try_clone_to_owned()?);
        let request = CloneRequest { namespaces: 0, cgroup };
        let run = || run(self, theirs);
        if self.namespaces.contains(ThreadNameSpaceType::PROCESS_ID) {
            clone_child_into_pid_namespace(self.init.as_fd(), &request, run)
        } else {
            clone_child(&request, run)
        }
    }
}

fn run(joining: &Joining<'_>, channel: Channel) -> Infallible {
    let mut end = OwnedFd::from(channel);
    let error = match go(joining, &mut end) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // If nobody listens any more there is nobody to tell.
    let _ = handshake::send(&Channel::from(end), &Message::ChildFailed(error.into()), &[]);
    exit_now(1)
}

fn go(joining: &Joining<'_>, end: &mut OwnedFd) -> Result<Infallible> {
    let Joining { request, program, .. } = joining;
    let proc = Proc::open()?;
    rustix::process::setsid().map_err(|error| Error::kernel("make a session", error))?;
    let namespaces = joining.namespaces - ThreadNameSpaceType::PROCESS_ID;
    if !namespaces.is_empty() {
        rustix::thread::move_into_thread_name_spaces(joining.init.as_fd(), namespaces)
            .map_err(|error| Error::kernel("join the container's namespaces", error))?;
    }
    match &request.stdio {
        Stdio::Inherit => {}
        Stdio::Fds { stdin, stdout, stderr } => {
            process::take_streams(&[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], Some(program.uid))?;
        }
        Stdio::Terminal => {
            let terminal = open_terminal(program)?;
            let slave = terminal.slave.as_fd();
            process::take_streams(&[slave, slave, slave], Some(program.uid))?;
            pty::make_controlling(slave).map_err(|error| Error::kernel("take the terminal", error))?;
            let channel = Channel::from(end.try_clone().map_err(|error| Error::kernel("copy a socket", error))?);
            handshake::send(&channel, &Message::ChildPrepared, &[terminal.master.as_fd()])
                .map_err(|error| Error::kernel("answer", error))?;
        }
    }
    process::take_identity(program, &proc)?;
    let path = process::find(program)?;
    process::take_descriptors(&request.preserve_fds, end)?;
    Err(process::execute(program, path))
}

/// From the container's devpts, which the container may have tampered with: it is checked to be one.
fn open_terminal(program: &Program) -> Result<Pty> {
    let step = |error| Error::kernel("open a terminal", error);
    let root = Rootfs::open(std::path::Path::new("/")).map_err(step)?;
    let terminal = Pty::open_in(attach::find_devpts(&root)?.as_fd()).map_err(step)?;
    if let Some((columns, rows)) = program.console_size.filter(|size| *size != (0, 0)) {
        pty::set_size(&terminal.master, columns, rows).map_err(step)?;
    }
    Ok(terminal)
}
