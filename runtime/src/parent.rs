//! The caller's side of a start.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci_spec::runtime::Spec;
use rustix::thread::LinkNameSpaceType;
use sys::channel::Channel;
use sys::clone::{Child, CloneRequest, clone_child, clone_child_into_pid_namespace, clone_sibling, exit_now};
use sys::mount::RootMount;
use sys::process::{Pidfd, Process};
use sys::task::Numbered;

use crate::cgroup::Cgroup;
use crate::child::{self, Given, Root};
use crate::handshake::{self, Heard, Message};
use crate::mounts::MountOp;
use crate::namespaces::{self, User};
use crate::plan::Plan;
use crate::{Error, Result, attach, hooks};

/// A container to be made: the OCI configuration, and the root file system to be mounted at `spec.root.path`, an
/// existing directory of the host that is covered in the container's mount namespace only.
#[derive(Debug)]
pub struct Bundle {
    pub spec: Spec,
    pub root: RootMount,
    /// What hooks are told.
    pub id: String,
    pub directory: PathBuf,
    /// Make the working directory where there is none, as images rely on.
    pub make_cwd: bool,
    /// Make the link /etc/mtab, see mount(8), where there is none.
    pub make_mtab: bool,
    /// The program reads its signals from a descriptor and begins with all of them blocked: to the first process of a pid
    /// namespace the kernel gives none that comes before (pid_namespaces(7)).
    pub reads_signals: bool,
    /// Detached mounts that take the place of what would be mounted at these destinations.
    pub trees: Vec<(PathBuf, OwnedFd)>,
}

impl Bundle {
    pub fn new(spec: Spec, root: RootMount) -> Bundle {
        Bundle {
            spec,
            root,
            id: String::new(),
            directory: PathBuf::new(),
            make_cwd: false,
            make_mtab: false,
            reads_signals: false,
            trees: Vec::new(),
        }
    }

    /// With the identity that hooks are told.
    pub fn named(self, id: impl Into<String>, directory: impl Into<PathBuf>) -> Bundle {
        Bundle { id: id.into(), directory: directory.into(), ..self }
    }

    fn plan(&self) -> Result<Plan> {
        let mut plan = Plan::of(&self.spec)?;
        plan.program.first_of = Some(self.id.clone());
        plan.program.reads_signals = self.reads_signals;
        if self.make_mtab {
            // First: what is mounted over /etc is not ours to write to.
            plan.mounts.insert(0, MountOp::NewLink { target: "/proc/mounts", place: Path::new("/etc/mtab") });
        }
        Ok(plan)
    }
}

/// Where the standard streams lead.
#[derive(Debug)]
pub enum Stdio {
    Inherit,
    Fds {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A new terminal of the container's own devpts; its master comes back.
    Terminal,
}

/// A container whose process exists and waits before its program. Dropping it kills the process.
#[derive(Debug)]
pub struct Created {
    pub init: Process,
    pub pidfd: Pidfd,
    /// The network namespace, if the container has a new one.
    pub netns: Option<OwnedFd>,
    /// There after [`Created::prepared`].
    pub terminal: Option<OwnedFd>,
    mount_ns: Option<OwnedFd>,
    stage: Stage,
    channel: Option<Channel>,
    after: After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preparing,
    Prepared,
    Started,
}

/// What is left to do around the child's own work.
#[derive(Debug)]
struct After {
    create_runtime: Vec<oci_spec::runtime::Hook>,
    poststart: Vec<oci_spec::runtime::Hook>,
    state: hooks::State,
}

/// A container whose program runs.
#[derive(Debug)]
pub struct Running {
    pub init: Process,
    pub pidfd: Pidfd,
    /// Holding it keeps the mounts standing, and their costly end off the way to the exit code.
    pub mount_ns: Option<OwnedFd>,
    pub terminal: Option<OwnedFd>,
}

/// Clones the container's process. It makes its mounts while the caller does other things; [`Created::prepared`] waits
/// for it.
pub fn create(bundle: &Bundle, stdio: Stdio, cgroup: Option<&Cgroup>, preserve_fds: Vec<Numbered>) -> Result<Created> {
    let mut plan = bundle.plan()?;
    attach::use_trees(&mut plan.mounts, &bundle.trees)?;
    let mut state = hooks::State::new(&bundle.id, &bundle.directory, &bundle.spec);
    let (channel, theirs) = Channel::pair().map_err(|error| Error::kernel("make a socket", error))?;
    let mut lists = bundle.spec.hooks().clone().unwrap_or_default();
    let mut create_runtime = lists.prestart_mut().take().unwrap_or_default();
    create_runtime.extend(lists.create_runtime_mut().take().unwrap_or_default());
    let poststart = lists.poststart_mut().take().unwrap_or_default();

    let start = Start { bundle, plan, stdio, extra: preserve_fds, cgroup, state: state.clone() };
    let child = if start.plan.namespaces.is_staged() {
        start.clone_through_stager(&channel, theirs)?
    } else {
        start.clone_directly(&channel, theirs)?
    };
    if let Some(cgroup) = cgroup {
        cgroup.release();
    }
    tracing::debug!(id = bundle.id, pid = child.pid, "cloned the container's process");
    let plan = start.plan;
    let init = Process::of(child.pid).map_err(|error| Error::kernel("look at the container's process", error))?;
    state.pid = child.pid;
    let mut created = Created {
        init,
        pidfd: child.pidfd,
        netns: None,
        terminal: None,
        mount_ns: None,
        stage: Stage::Preparing,
        channel: Some(channel),
        after: After { create_runtime, poststart, state },
    };
    if let User::New { uid_map, gid_map } = &plan.namespaces.user {
        namespaces::write_id_maps(child.pid, uid_map, gid_map)?;
    }
    if plan.namespaces.is_staged() {
        created.say(&Message::ParentKnowsChild)?;
    }
    if plan.namespaces.shares_pids() {
        match created.hear()? {
            Heard::Said(Message::ChildInNamespaces, fds) => {
                let mut fds = fds.into_iter();
                created.netns = fds.next().filter(|_| plan.namespaces.makes_network());
                created.mount_ns = fds.next();
            }
            Heard::Said(Message::ChildFailed(failure), _) => return Err(failure.into()),
            Heard::Said(..) | Heard::End => return Err(Error::Gone),
        }
        return Ok(created);
    }
    if plan.namespaces.makes_network() {
        created.netns = open_namespace(&created, "net");
        if created.netns.is_none() {
            // Gone before we looked: its last words say why.
            created.prepared()?;
            return Err(Error::Gone);
        }
    }
    created.mount_ns = open_namespace(&created, "mnt");
    Ok(created)
}

/// `None` when the process has ended already.
fn open_namespace(created: &Created, name: &str) -> Option<OwnedFd> {
    loop {
        match File::open(format!("/proc/{}/ns/{name}", created.init.pid)) {
            Ok(namespace) => return Some(namespace.into()),
            // For two system calls, between its change of user and its coming out again, it is hidden from us.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                if created.pidfd.wait_end(Some(Duration::from_micros(20))).unwrap_or(true) {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
}

struct Start<'a> {
    bundle: &'a Bundle,
    plan: Plan,
    stdio: Stdio,
    extra: Vec<Numbered>,
    cgroup: Option<&'a Cgroup>,
    state: hooks::State,
}

impl Start<'_> {
    fn given<'a>(&'a self, root: Root<'a>) -> Given<'a> {
        Given {
            plan: &self.plan,
            root,
            stdio: &self.stdio,
            extra: &self.extra,
            state: &self.state,
            make_cwd: self.bundle.make_cwd,
        }
    }

    fn request(&self) -> CloneRequest<'_> {
        CloneRequest { namespaces: self.plan.namespaces.new, cgroup: self.cgroup.and_then(Cgroup::directory) }
    }

    fn clone_directly(&self, ours: &Channel, theirs: Channel) -> Result<Child> {
        let given = self.given(Root::Mount(&self.bundle.root));
        let ours = ours.as_fd().as_raw_fd();
        let run = || {
            // The child's copy of our end: with it open it would never learn that we are gone.
            let _ = nix::unistd::close(ours);
            child::run(&given, theirs)
        };
        match &self.plan.namespaces.pid {
            Some(pid_namespace) => clone_child_into_pid_namespace(pid_namespace.as_fd(), &self.request(), run),
            None => clone_child(&self.request(), run),
        }
        .map_err(|error| Error::kernel("make the container's process", error))
    }

    /// With another user namespace the way leads through an intermediate process, which prepares in ours what the child
    /// will not be able to reach from its own.
    fn clone_through_stager(&self, channel: &Channel, theirs: Channel) -> Result<Child> {
        let ours = channel.as_fd().as_raw_fd();
        let run = || {
            // As in a direct clone, for the stager and whom it clones.
            let _ = nix::unistd::close(ours);
            stage(self, theirs)
        };
        let stager = clone_child(&CloneRequest::default(), run)
            .map_err(|error| Error::kernel("make the container's process", error))?;
        let said = handshake::recv(channel);
        // It has nothing left to do but to end.
        let _ = stager.pidfd.wait();
        match said.map_err(|error| Error::kernel("hear from the container's process", error))? {
            Heard::Said(Message::StagerClonedChild { pid }, mut fds) if fds.len() == 1 => {
                Ok(Child { pid, pidfd: Pidfd::from(fds.remove(0)) })
            }
            Heard::Said(Message::ChildFailed(failure), _) => Err(failure.into()),
            Heard::Said(..) | Heard::End => Err(Error::Gone),
        }
    }
}

/// The intermediate process.
fn stage(start: &Start<'_>, channel: Channel) -> Infallible {
    let error = match stage_child(start, &channel) {
        Ok(()) => exit_now(0),
        Err(error) => error,
    };
    // If nobody listens any more there is nobody to tell.
    let _ = handshake::send(&channel, &Message::ChildFailed(error.into()), &[]);
    exit_now(1)
}

fn stage_child(start: &Start<'_>, channel: &Channel) -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
        .map_err(|error| Error::kernel("make a mount namespace", error))?;
    crate::pivot::detach_propagation()?;
    // A plan of its own, since the sources are replaced by what they lead to.
    let mut plan = start.bundle.plan()?;
    attach::use_trees(&mut plan.mounts, &start.bundle.trees)?;
    attach::open_sources(&mut plan.mounts)?;
    let root = child::detach_root(&start.bundle.root, &plan.root_target)?;
    if let User::Joined(namespace) = &plan.namespaces.user {
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User))
            .map_err(|error| Error::kernel("join the user namespace", error))?;
    }
    plan.namespaces.enter_joined()?;
    let given = Given {
        plan: &plan,
        root: Root::Tree(&root),
        stdio: &start.stdio,
        extra: &start.extra,
        state: &start.state,
        make_cwd: start.bundle.make_cwd,
    };
    let (ours, theirs) = (channel, channel.as_fd().try_clone_to_owned());
    let theirs = Channel::from(theirs.map_err(|error| Error::kernel("copy a socket", error))?);
    if let Some(pid_namespace) = &plan.namespaces.pid {
        rustix::thread::move_into_link_name_space(pid_namespace.as_fd(), Some(LinkNameSpaceType::ProcessID))
            .map_err(|error| Error::kernel("join the pid namespace", error))?;
    }
    let child = clone_sibling(&start.request(), || child::run(&given, theirs))
        .map_err(|error| Error::kernel("make the container's process", error))?;
    handshake::send(ours, &Message::StagerClonedChild { pid: child.pid }, &[child.pidfd.as_fd()])
        .map_err(|error| Error::kernel("answer", error))
}

impl Created {
    /// Waits until everything but the program stands.
    ///
    /// # Errors
    /// What kept it from standing; a program that does not exist is found out here too.
    pub fn prepared(&mut self) -> Result<()> {
        while self.stage == Stage::Preparing {
            match self.hear()? {
                Heard::Said(Message::ChildMounted, _) => {
                    hooks::run_all("createRuntime", &self.after.create_runtime, &self.after.state)?;
                    self.say(&Message::ParentRanHooks)?;
                }
                Heard::Said(Message::ChildPrepared, fds) => {
                    self.terminal = fds.into_iter().next();
                    self.after.state.status = "created";
                    self.stage = Stage::Prepared;
                }
                Heard::Said(Message::ChildFailed(failure), _) => return Err(failure.into()),
                Heard::Said(..) | Heard::End => return Err(Error::Gone),
            }
        }
        Ok(())
    }

    /// Lets the program run.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::NotExecutable`] when it could not be run.
    pub fn start(mut self) -> Result<Running> {
        // With no terminal to hand out and no hook to run the permission can be there before it is asked for.
        let early = self.stage == Stage::Preparing && self.after.create_runtime.is_empty();
        if early {
            self.say(&Message::ParentAllowsStart)?;
        }
        self.prepared()?;
        if !early {
            self.say(&Message::ParentAllowsStart)?;
        }
        match self.hear()? {
            Heard::End => {}
            Heard::Said(Message::ChildFailed(failure), _) => return Err(failure.into()),
            Heard::Said(..) => return Err(Error::Gone),
        }
        self.after.state.status = "running";
        hooks::run_all("poststart", &self.after.poststart, &self.after.state)?;
        self.stage = Stage::Started;
        Ok(Running {
            init: self.init.clone(),
            pidfd: self.pidfd.as_fd().try_clone_to_owned().map_err(|e| Error::kernel("copy a pidfd", e))?.into(),
            mount_ns: self.mount_ns.take(),
            terminal: self.terminal.take(),
        })
    }

    fn channel(&self) -> Result<&Channel> {
        self.channel.as_ref().ok_or(Error::Gone)
    }

    /// A peer that is gone is heard of when we listen: its last message says why.
    fn say(&self, message: &Message) -> Result<()> {
        match handshake::send(self.channel()?, message, &[]) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Error::kernel("talk to the container's process", error)),
        }
    }

    fn hear(&self) -> Result<Heard> {
        handshake::recv(self.channel()?).map_err(|error| Error::kernel("hear from the container's process", error))
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if self.stage != Stage::Started {
            // It ends by itself when the channel closes, unless it is just then in a hook.
            self.channel = None;
            let _ = self.pidfd.signal(9);
            let _ = self.pidfd.wait();
        }
    }
}
