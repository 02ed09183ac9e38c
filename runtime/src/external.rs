//! Another OCI runtime (`--runtime PATH`): crun, runc, youki, or one that starts a virtual machine. It gets the same bundle,
//! written to disk, and the command line of the OCI's runtime tools.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio as ProcessStdio};

use nix::sched::CloneFlags;
use sys::channel::Channel;
use sys::process::{Pidfd, Process};
use sys::task::Numbered;

use crate::cgroup::Cgroup;
use crate::parent::{Bundle, Running, Stdio};
use crate::{Error, Result, pivot};

/// Where the runtime sends the terminal to, in the bundle.
const CONSOLE: &str = "console.sock";

/// An OCI runtime program, and where it keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    pub program: PathBuf,
    pub state: PathBuf,
    /// Options before the command, as containers.conf's `runtimes_flags` has them.
    pub options: Vec<String>,
}

/// A container made by another runtime: it waits for [`External::start`].
#[derive(Debug)]
pub struct ExternalCreated {
    /// A child of the caller's, though not one that the caller made.
    pub init: Process,
    pub pidfd: Pidfd,
    /// The container's network namespace, if it is not ours.
    pub netns: Option<OwnedFd>,
    pub terminal: Option<OwnedFd>,
}

impl ExternalCreated {
    /// What it is once its program runs.
    pub fn running(self) -> Running {
        let ExternalCreated { init, pidfd, netns: _, terminal } = self;
        let mount_ns = fs::File::open(format!("/proc/{}/ns/mnt", init.pid)).ok().map(OwnedFd::from);
        Running { init, pidfd, mount_ns, terminal }
    }
}

impl External {
    /// Mounts the root file system, writes `config.json` into `bundle.directory` and runs `create`.
    ///
    /// From here on the calling process has a mount namespace of its own, in which the root file system is mounted, and
    /// adopts the processes that the runtime leaves behind.
    pub fn create(
        &self,
        bundle: &Bundle,
        stdio: Stdio,
        cgroup: Option<&Cgroup>,
        preserve_fds: &[Numbered],
    ) -> Result<ExternalCreated> {
        let Bundle { spec, root, id, directory, make_cwd: _, make_mtab: _, reads_signals: _, trees } = bundle;
        if let Some((destination, _)) = trees.first() {
            let what = format!("another runtime cannot be given the mount of {}", destination.display());
            return Err(Error::configuration(what));
        }
        if preserve_fds.iter().zip(3..).any(|(preserved, next)| preserved.number != next) {
            let what = "another runtime can be given descriptors from 3 upward without a gap, by --preserve-fds";
            return Err(Error::configuration(what));
        }
        let target = spec.root().as_ref().ok_or_else(|| Error::configuration("the bundle has no `root`"))?.path();
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(|error| Error::kernel("make a mount namespace", error))?;
        pivot::detach_propagation()?;
        root.mount(target).map_err(|error| Error::kernel("mount the root file system", error))?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| Error::kernel("adopt the container's process", error))?;

        let mut spec = spec.clone();
        if let (Some(linux), Some(cgroup)) = (spec.linux_mut(), cgroup) {
            linux.set_cgroups_path(Some(cgroup.path.clone()));
        }
        let io = |what: &Path, source| Error::kernel(format!("write {}", what.display()), source);
        fs::create_dir_all(directory).map_err(|error| io(directory, error))?;
        let configuration = directory.join("config.json");
        spec.save(&configuration).map_err(|error| io(&configuration, std::io::Error::other(error)))?;
        let pid_file = directory.join("init.pid");
        let console = directory.join(CONSOLE);

        let mut command = self.command();
        if cgroup.is_none() && self.name() == "crun" {
            // Only crun can be told that there is none to be had.
            command.arg("--cgroup-manager=disabled");
        }
        command.arg("create").arg("--bundle").arg(directory).arg("--pid-file").arg(&pid_file);
        if !preserve_fds.is_empty() {
            command.arg("--preserve-fds").arg(preserve_fds.len().to_string());
        }
        let listener = match &stdio {
            Stdio::Terminal => {
                let _ = fs::remove_file(&console);
                // A socket's path has 108 bytes, a directory may be deeper: both sides name it through a descriptor.
                let place = fs::File::open(directory).map_err(|error| io(directory, error))?;
                let short = |who: &str| format!("/proc/{who}/fd/{}/{CONSOLE}", place.as_raw_fd());
                command.arg("--console-socket").arg(short(&std::process::id().to_string()));
                Some((UnixListener::bind(short("self")).map_err(|error| io(&console, error))?, place))
            }
            Stdio::Inherit | Stdio::Fds { .. } => None,
        };
        command.arg(id);
        let errors = directory.join("runtime.log");
        self.run_with_streams(command, stdio, preserve_fds, &errors)?;
        let terminal = listener.map(|(listener, _place)| self.receive_terminal(&listener)).transpose()?;
        let _ = fs::remove_file(&console);

        let text = fs::read_to_string(&pid_file).map_err(|error| self.failed(format!("wrote no pid: {error}")))?;
        let pid: i32 = text.trim().parse().map_err(|_| self.failed(format!("`{}` is no pid", text.trim())))?;
        let pidfd = Pidfd::open(pid).map_err(|_| Error::Gone)?;
        let init = Process::of(pid).map_err(|_| Error::Gone)?;
        let makes_network = crate::namespaces::Namespaces::of(&spec)?.makes_network();
        let netns = fs::File::open(format!("/proc/{pid}/ns/net")).ok().map(OwnedFd::from).filter(|_| makes_network);
        Ok(ExternalCreated { init, pidfd, netns, terminal })
    }

    pub fn start(&self, id: &str) -> Result<()> {
        self.run(&["start", id])
    }

    pub fn kill(&self, id: &str, signal: i32) -> Result<()> {
        self.run(&["kill", id, &signal.to_string()])
    }

    /// Clears up after a container that has ended, or ends it.
    pub fn delete(&self, id: &str) -> Result<()> {
        self.run(&["delete", "--force", id])
    }

    fn name(&self) -> &str {
        self.program.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.options).arg("--root").arg(&self.state);
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let output = self.command().args(arguments).stdin(ProcessStdio::null()).output();
        let output = output.map_err(|error| self.failed(error.to_string()))?;
        self.check(&output.status, &String::from_utf8_lossy(&output.stderr))
    }

    /// The container inherits the streams of the `create` process, so what the runtime itself has to say must not go
    /// there: it is read from a file, since a pipe would stay open as long as the container.
    fn run_with_streams(
        &self,
        mut command: Command,
        stdio: Stdio,
        preserve_fds: &[Numbered],
        errors: &Path,
    ) -> Result<()> {
        let log = matches!(self.name(), "crun" | "runc" | "youki");
        if log {
            // Options of the program, not of `create`, so they come first.
            let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let program = command.get_program().to_owned();
            command = Command::new(program);
            command.arg("--log").arg(errors).args(arguments);
        }
        match stdio {
            Stdio::Inherit => {}
            Stdio::Terminal => {
                command.stdin(ProcessStdio::null()).stdout(ProcessStdio::null());
            }
            Stdio::Fds { stdin, stdout, stderr } => {
                command.stdin(stdin).stdout(stdout).stderr(stderr);
            }
        }
        let kept: Vec<_> = preserve_fds.iter().map(|preserved| preserved.fd.as_fd()).collect();
        let failed = |error: std::io::Error| self.failed(error.to_string());
        if !kept.is_empty() {
            sys::task::pass_descriptors(&mut command, &kept).map_err(failed)?;
        }
        let status = command.status().map_err(failed)?;
        let text = fs::read_to_string(errors).unwrap_or_default();
        let _ = fs::remove_file(errors);
        self.check(&status, &text)
    }

    /// Runtimes say why in plain words or, to a log, in JSON with a `msg`.
    fn check(&self, status: &std::process::ExitStatus, text: &str) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed without a word");
        let message = match serde_json::from_str::<serde_json::Value>(line) {
            Ok(value) => value["msg"].as_str().unwrap_or(line).to_owned(),
            // Go's logger, without its time and level.
            Err(_) => match line.split_once(" msg=\"") {
                Some((_, rest)) => rest.trim_end().trim_end_matches('"').replace("\\\"", "\""),
                None => line.to_owned(),
            },
        };
        let lower = message.to_lowercase();
        let about_the_program =
            lower.contains("executable") || lower.contains("exec:") || lower.contains("exec format");
        if about_the_program && (lower.contains("not found") || lower.contains("no such file")) {
            return Err(Error::NotFound { message });
        }
        if about_the_program {
            return Err(Error::NotExecutable { message });
        }
        Err(self.failed(message))
    }

    fn failed(&self, what: impl Into<String>) -> Error {
        Error::External { program: self.program.clone(), what: what.into() }
    }

    fn receive_terminal(&self, listener: &UnixListener) -> Result<OwnedFd> {
        let step = |error| Error::kernel("receive the terminal", error);
        listener.set_nonblocking(true).map_err(step)?;
        // It has connected before it ended, or it will not.
        let (stream, _) = listener.accept().map_err(step)?;
        stream.set_nonblocking(false).map_err(step)?;
        let (_, fds) = Channel::from(OwnedFd::from(stream)).recv().map_err(step)?;
        fds.into_iter().next().ok_or_else(|| self.failed("sent no terminal"))
    }
}
