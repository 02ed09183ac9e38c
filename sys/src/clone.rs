//! A new process that runs a closure, see clone(2).

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::process::Pidfd;

/// What is special about the new process. The default is fork(2).
#[derive(Debug, Default)]
pub struct CloneRequest<'a> {
    /// `CLONE_NEW*` flags.
    pub namespaces: u64,
    /// The cgroup v2 directory the process is born in. Joining later, through `cgroup.procs`, costs a full RCU grace
    /// period.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// The new process, a child of the caller.
#[derive(Debug)]
pub struct Child {
    pub pid: i32,
    pub pidfd: Pidfd,
}

/// Runs `child` in a new process and returns at once in the parent.
///
/// # Errors
/// `EINVAL` when the caller has a second thread: a lock it holds would stay locked in the child for ever. Else those of
/// clone(2).
pub fn clone_child(request: &CloneRequest<'_>, child: impl FnOnce() -> Infallible) -> io::Result<Child> {
    clone3(request, 0, libc::SIGCHLD as u64, child)
}

/// A new process that does `first` and then nothing, for as long as its parent lives: it only has to be where it is. It has
/// copies of all descriptors, so one that outlived a parent that was killed would keep others waiting for ever.
pub fn clone_idle(request: &CloneRequest<'_>, first: impl FnOnce()) -> io::Result<Child> {
    let parent = rustix::process::getpid();
    clone_child(request, || {
        let tied = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        if tied.is_err() || rustix::process::getppid() != Some(parent) {
            exit_now(1);
        }
        first();
        loop {
            crate::signals::pause();
        }
    })
}

/// As [`clone_child`], but the new process is a child of the caller's parent (`CLONE_PARENT`): for a process that only
/// exists to enter namespaces on the way.
pub fn clone_sibling(request: &CloneRequest<'_>, child: impl FnOnce() -> Infallible) -> io::Result<Child> {
    clone3(request, libc::CLONE_PARENT as u64, 0, child)
}

/// As [`clone_child`], but the new process is born in the pid namespace of `namespace`: a pidfd of somebody in it, or
/// its file in `/proc/PID/ns`.
///
/// setns(2) only sets where *children* go, and a process that has CAP_SYS_ADMIN over that namespace but not over its own
/// could never take it back. So a short-lived process on a stack of its own does it, with our memory (as vfork(2), so it
/// costs no copy), and makes ours as its sibling.
pub fn clone_child_into_pid_namespace(
    namespace: BorrowedFd<'_>,
    request: &CloneRequest<'_>,
    child: impl FnOnce() -> Infallible,
) -> io::Result<Child> {
    if !single_threaded()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a process with several threads cannot be cloned"));
    }
    struct Task<'a, F> {
        namespace: BorrowedFd<'a>,
        request: &'a CloneRequest<'a>,
        child: Option<F>,
        made: io::Result<Child>,
    }
    extern "C" fn step<F: FnOnce() -> Infallible>(task: *mut libc::c_void) -> libc::c_int {
        // SAFETY: it is the Task below; its owner is suspended until we end (CLONE_VFORK).
        let task = unsafe { &mut *task.cast::<Task<'_, F>>() };
        // SAFETY: plain numbers.
        if unsafe { libc::setns(task.namespace.as_raw_fd(), libc::CLONE_NEWPID) } < 0 {
            task.made = Err(io::Error::last_os_error());
        } else if let Some(child) = task.child.take() {
            task.made = clone_sibling(task.request, child);
        }
        0
    }
    fn start<F: FnOnce() -> Infallible>(task: &mut Task<'_, F>, stack_top: *mut libc::c_void) -> libc::c_int {
        // CLONE_FILES: the pidfd of the sibling must arrive in our table.
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD;
        // SAFETY: `stack_top` is the aligned end of unused memory that outlives the process, because CLONE_VFORK lets us
        // go on only when it has ended. There is no other thread that could use the shared memory meanwhile.
        unsafe { libc::clone(step::<F>, stack_top, flags, std::ptr::from_mut(task).cast()) }
    }
    // The sibling runs on a copy of this stack, so it is as large as one; only touched pages are paid for.
    const STACK: usize = 1 << 20;
    let mut stack = Vec::<u128>::with_capacity(STACK / size_of::<u128>());
    let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
    let mut task =
        Task { namespace, request, child: Some(child), made: Err(io::Error::other("the process ended too early")) };
    let pid = start(&mut task, top.cast());
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    loop {
        // SAFETY: no status is asked for.
        if unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) } >= 0
            || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted
        {
            return task.made;
        }
    }
}

/// fork(2) with a closure.
pub fn fork(child: impl FnOnce() -> Infallible) -> io::Result<Child> {
    clone_child(&CloneRequest::default(), child)
}

/// Whether the calling process has exactly one thread.
pub fn single_threaded() -> io::Result<bool> {
    // A directory's link count is 2 and one for each directory in it.
    Ok(rustix::fs::stat("/proc/self/task")?.st_nlink == 3)
}

fn run(child: impl FnOnce() -> Infallible) -> ! {
    match child() {}
}

/// libc's constant has the wrong width.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn clone3(
    request: &CloneRequest<'_>,
    more_flags: u64,
    exit_signal: u64,
    child: impl FnOnce() -> Infallible,
) -> io::Result<Child> {
    if !single_threaded()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a process with several threads cannot be cloned"));
    }
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is plain old data, all zero is "nothing asked for".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = request.namespaces | libc::CLONE_PIDFD as u64 | more_flags;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = exit_signal;
    if let Some(cgroup) = request.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child has its own copy of this memory and continues here on a copy of this stack.
    // There is one thread (checked above), so no lock is held by somebody who does not exist in the child.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        0 => run(child),
        -1 => Err(io::Error::last_os_error()),
        pid => {
            // SAFETY: the kernel wrote a descriptor there that nobody else knows.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid: i32::try_from(pid).unwrap_or(i32::MAX), pidfd: Pidfd::from(pidfd) })
        }
    }
}

/// Leaves the process without running anything of the parent's: no destructors, no atexit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit does not return and has no requirements.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// The test harness has threads, so the real thing is tested where containers are made, in `runtime/tests`.
    #[test]
    fn a_threaded_process_is_refused() {
        std::thread::scope(|scope| {
            let (stop, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            let error = fork(|| exit_now(0)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            drop(stop);
        });
    }
}
