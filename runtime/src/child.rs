//! The container's side of a start: from the clone to the program. Nothing here returns, prints or logs; an error is the
//! last message on the channel.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::OpenTreeFlags;
use sys::channel::Channel;
use sys::clone::exit_now;
use sys::mount::RootMount;
use sys::pty::{self, Pty};
use sys::task::Numbered;

use crate::handshake::{self, Heard, Message};
use crate::parent::Stdio;
use crate::plan::Plan;
use crate::process::{self, Proc};
use crate::rootfs::{Kind, Rootfs};
use crate::{Error, Result, attach, hooks, namespaces, pivot};

/// What the child is given besides the plan. It is a copy of the parent's, of course, but it owns it.
pub(crate) struct Given<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) root: Root<'a>,
    pub(crate) stdio: &'a Stdio,
    pub(crate) extra: &'a [Numbered],
    pub(crate) state: &'a hooks::State,
    pub(crate) make_cwd: bool,
}

pub(crate) enum Root<'a> {
    /// To be mounted by the child.
    Mount(&'a RootMount),
    /// Mounted already, detached: the child could not reach what it is made of.
    Tree(&'a OwnedFd),
}

pub(crate) fn run(given: &Given<'_>, channel: Channel) -> Infallible {
    let mut channel = channel;
    let error = match go(given, &mut channel) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // If nobody listens any more there is nobody to tell.
    let _ = handshake::send(&channel, &Message::ChildFailed(error.into()), &[]);
    exit_now(1)
}

fn go(given: &Given<'_>, channel: &mut Channel) -> Result<Infallible> {
    let plan = given.plan;
    die_with_parent()?;
    let proc = Proc::open()?;
    rustix::process::setsid().map_err(|error| Error::kernel("make a session", error))?;
    if plan.namespaces.is_staged() {
        // Until then the socket is the stager's: a word of ours could come before it has said who we are.
        expect(channel, |message| matches!(message, Message::ParentKnowsChild))?;
        become_root_of_user_namespace()?;
    } else {
        plan.namespaces.enter_joined()?;
    }
    if plan.namespaces.shares_pids() {
        let (network, mounts) = (proc.namespace("net")?, proc.namespace("mnt")?);
        send(channel, &Message::ChildInNamespaces, &[network.as_fd(), mounts.as_fd()])?;
        // Others in this pid namespace could open our executable through /proc until we are the program (CVE-2019-5736).
        sys::task::set_dumpable(false).map_err(|error| Error::kernel("hide the start", error))?;
    }
    if plan.namespaces.new_cgroup {
        namespaces::unshare_cgroup()?;
    }
    if plan.namespaces.makes_network() {
        sys::net::loopback_up().map_err(|error| Error::kernel("bring up the loopback interface", error))?;
    }

    let (root, terminal) = mount_everything(given, &proc)?;
    if plan.waits_for_hooks {
        send(channel, &Message::ChildMounted, &[])?;
        expect(channel, |message| matches!(message, Message::ParentRanHooks))?;
    }
    hooks::run_all("createContainer", &plan.create_container_hooks, given.state)?;
    pivot::pivot(&root)?;
    if let Some(propagation) = &plan.root_propagation {
        pivot::set_root_propagation(&root, propagation)?;
    }
    if plan.root_read_only {
        pivot::make_root_read_only(&root)?;
    }

    match (given.stdio, &terminal) {
        (_, Some(terminal)) => {
            let slave = terminal.slave.as_fd();
            process::take_streams(&[slave, slave, slave], Some(plan.program.uid))?;
            pty::make_controlling(slave).map_err(|error| Error::kernel("take the terminal", error))?;
        }
        (Stdio::Fds { stdin, stdout, stderr }, None) => {
            process::take_streams(&[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], Some(plan.program.uid))?;
        }
        (Stdio::Inherit | Stdio::Terminal, None) => {}
    }
    let master: Vec<BorrowedFd<'_>> = terminal.iter().map(|terminal| terminal.master.as_fd()).collect();

    // With hooks at start the wait comes first, so that they run as the container's root.
    let hooks_at_start = !plan.start_container_hooks.is_empty();
    if hooks_at_start {
        send(channel, &Message::ChildPrepared, &master)?;
        expect(channel, |message| matches!(message, Message::ParentAllowsStart))?;
        hooks::run_all("startContainer", &plan.start_container_hooks, given.state)?;
    }
    process::take_identity(&plan.program, &proc)?;
    // The kernel forgets it when a process changes its user, see PR_SET_PDEATHSIG(2const).
    die_with_parent()?;
    if !plan.namespaces.shares_pids() {
        // A change of the user id hides us from the parent, which may not have opened our namespaces yet.
        sys::task::set_dumpable(true).map_err(|error| Error::kernel("show ourselves to the parent", error))?;
    }
    let path = process::find(&plan.program)?;
    if !hooks_at_start {
        send(channel, &Message::ChildPrepared, &master)?;
        expect(channel, |message| matches!(message, Message::ParentAllowsStart))?;
    }
    drop(terminal);
    let mut end = OwnedFd::from(std::mem::replace(channel, placeholder()?));
    let moved = process::take_descriptors(given.extra, &mut end);
    *channel = Channel::from(end);
    moved?;
    Err(process::execute(&plan.program, path))
}

/// Without the process that watches over it a container has no output, no ports and no end that anybody learns of.
fn die_with_parent() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| Error::kernel("tie the container to its parent", error))
}

/// Something to stand in for the channel while it is moved.
fn placeholder() -> Result<Channel> {
    Channel::pair().map(|(one, _)| one).map_err(|error| Error::kernel("make a socket", error))
}

fn send(channel: &Channel, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<()> {
    handshake::send(channel, message, fds).map_err(|error| Error::kernel("answer", error))
}

/// Waits for one message. A parent that is gone, or that says anything else, does not want this container any more.
fn expect(channel: &Channel, wanted: impl Fn(&Message) -> bool) -> Result<()> {
    match handshake::recv(channel) {
        Ok(Heard::Said(message, _)) if wanted(&message) => Ok(()),
        _ => exit_now(1),
    }
}

/// In a user namespace that is not the caller's our ids are those of somebody outside; files we make should belong to
/// its root.
fn become_root_of_user_namespace() -> Result<()> {
    match process::set_identity(0, 0, Some(&[])) {
        Ok(()) => Ok(()),
        // Without an id 0 in it we stay who we are: we have all capabilities there in any case.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => Ok(()),
        Err(error) => Err(Error::kernel("become root of the user namespace", error)),
    }
}

/// Builds what the container will see, and its terminal.
fn mount_everything(given: &Given<'_>, proc: &Proc) -> Result<(Rootfs, Option<Pty>)> {
    let plan = given.plan;
    pivot::detach_propagation()?;
    let root = mount_root(&given.root, &plan.root_target)?;
    let mut mounted = attach::all(&root, &plan.mounts)?;
    if given.make_cwd {
        root.find_or_make(&plan.program.cwd, Kind::Directory)
            .map_err(|error| Error::kernel(format!("make {}", plan.program.cwd.display()), error))?;
    }
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.as_bytes()).map_err(|error| Error::kernel("set the host name", error))?;
    }
    if let Some(name) = &plan.domainname {
        rustix::system::setdomainname(name.as_bytes()).map_err(|error| Error::kernel("set the domain name", error))?;
    }
    for (path, value) in &plan.sysctls {
        proc.write(&Path::new("sys").join(path), value)
            .map_err(|error| Error::kernel(format!("set the sysctl {}={value}", path.display()), error))?;
    }
    let terminal = match given.stdio {
        Stdio::Terminal => Some(open_terminal(&root, mounted.devpts.take(), plan.program.console_size)?),
        Stdio::Inherit | Stdio::Fds { .. } => None,
    };
    let mut null = if plan.masked.is_empty() { None } else { Some(attach::open_null()?) };
    attach::mask(&root, &plan.masked, &mut null)?;
    attach::make_read_only(&root, &plan.read_only)?;
    mounted.close_dev()?;
    Ok((root, terminal))
}

fn mount_root(mount: &Root<'_>, target: &Path) -> Result<Rootfs> {
    let step = |error: std::io::Error| Error::kernel("mount the root file system", error);
    match mount {
        Root::Mount(mount) => {
            mount.mount(target).map_err(step)?;
            mount.close_copy();
            Rootfs::open(target).map_err(step)
        }
        Root::Tree(tree) => {
            // Anywhere will do as a place, pivot_root moves it; "/" is the one directory that surely exists.
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let place = rustix::fs::open("/", flags, Mode::empty()).map_err(|error| step(error.into()))?;
            attach::attach(tree, &place).map_err(|error| step(error.into()))?;
            // Through the descriptor: the name "/" still means what is below.
            let root = rustix::fs::openat(tree, ".", flags, Mode::empty()).map_err(|error| step(error.into()))?;
            Ok(Rootfs::from(root))
        }
    }
}

fn open_terminal(root: &Rootfs, devpts: Option<OwnedFd>, size: Option<(u16, u16)>) -> Result<Pty> {
    let step = |error| Error::kernel("open a terminal", error);
    let devpts = match devpts {
        Some(devpts) => devpts,
        None => attach::find_devpts(root)?,
    };
    let terminal = Pty::open_in(devpts.as_fd()).map_err(step)?;
    if let Some((columns, rows)) = size.filter(|size| *size != (0, 0)) {
        pty::set_size(&terminal.master, columns, rows).map_err(step)?;
    }
    attach::console(root, terminal.slave.as_fd())?;
    Ok(terminal)
}

/// A detached copy of the root file system, for a child that could not mount it.
pub(crate) fn detach_root(mount: &RootMount, target: &Path) -> Result<OwnedFd> {
    let step = |error: std::io::Error| Error::kernel("mount the root file system", error);
    mount.mount(target).map_err(step)?;
    mount.close_copy();
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(rustix::fs::CWD, target, flags).map_err(|error| step(error.into()))
}
