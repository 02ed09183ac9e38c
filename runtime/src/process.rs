//! The last steps of a process on its way to the container's program. Runs in the child: system calls, and every error
//! is returned to be sent.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, StatxFlags, Uid};
use rustix::io::Errno;
use sys::capabilities;
use sys::task::{self, Numbered};

use crate::plan::Program;
use crate::{Error, Result};

/// The host's procfs. Only through it do we write to `/proc`: what is mounted there in the container may be made by an
/// image or shared with another container (CVE-2025-52881).
#[derive(Debug)]
pub(crate) struct Proc(OwnedFd);

impl Proc {
    /// Opened before any mount of the container's exists.
    pub(crate) fn open() -> Result<Proc> {
        let step = |error: Errno| Error::kernel("open /proc", error);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags, Mode::empty()).map_err(step)?;
        let magic = rustix::fs::fstatfs(&proc).map_err(step)?.f_type;
        if magic != rustix::fs::PROC_SUPER_MAGIC {
            return Err(Error::configuration("/proc is no proc file system"));
        }
        Ok(Proc(proc))
    }

    /// One of our own namespaces. This link is magic by nature; it is the kernel's own as long as nothing is mounted over
    /// the way to it.
    pub(crate) fn namespace(&self, name: &str) -> Result<OwnedFd> {
        let how = ResolveFlags::NO_XDEV;
        let step = |error: Errno| Error::kernel(format!("open our {name} namespace"), error);
        let directory = rustix::fs::openat2(&self.0, "self/ns", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(directory.map_err(step)?, name, flags, Mode::empty()).map_err(step)
    }

    /// Writes one value. Nothing mounted inside of `/proc` is crossed and no magic link is followed.
    pub(crate) fn write(&self, path: &Path, value: &str) -> io::Result<()> {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat2(&self.0, path, flags, Mode::empty(), how)?);
        file.write_all(value.as_bytes())
    }
}

/// Puts the three standard streams in place; the terminal, if it is one, becomes the session's.
pub(crate) fn take_streams(streams: &[BorrowedFd<'_>; 3], owner: Option<u32>) -> Result<()> {
    let step = |error| Error::kernel("pass on the standard streams", error);
    task::place_descriptors(0, streams).map_err(step)?;
    if let Some(uid) = owner {
        for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
            give_to(stream, uid);
        }
    }
    Ok(())
}

/// So that the program may open `/dev/stdout`, which asks for rights over the pipe again. Files of the host and devices
/// other than terminals are not ours to give away; where the kernel says no, the stream still works.
fn give_to(stream: BorrowedFd<'_>, uid: u32) {
    let Ok(stat) = rustix::fs::fstat(stream) else { return };
    let ours = match FileType::from_raw_mode(stat.st_mode as RawMode) {
        FileType::Fifo | FileType::Socket => true,
        FileType::CharacterDevice => rustix::termios::isatty(stream),
        _ => false,
    };
    if ours && stat.st_uid != uid {
        let _ = rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), None::<Gid>);
    }
}

/// From the container's root to its user: everything but the program itself. The effective capabilities stay as they are
/// permitted, for [`execute`] to give up.
pub(crate) fn take_identity(program: &Program, proc: &Proc) -> Result<()> {
    match task::new_session_keyring() {
        Ok(()) => {}
        // No keys in this kernel, a seccomp filter above us, or the user's quota is used up: nothing to hide then.
        Err(error) if matches!(errno(&error), Some(Errno::NOSYS | Errno::PERM | Errno::DQUOT)) => {}
        Err(error) => return Err(Error::kernel("make a session keyring", error)),
    }
    if let Some(score) = program.oom_score_adj {
        match proc.write(Path::new("self/oom_score_adj"), &score.to_string()) {
            // Less than what we have is for root only; as close as possible is what we have.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other.map_err(|error| Error::kernel("set oom_score_adj", error))?,
        }
    }
    if let Some(profile) = &program.apparmor {
        let text = format!("exec {profile}");
        proc.write(Path::new("self/attr/apparmor/exec"), &text)
            .or_else(|_| proc.write(Path::new("self/attr/exec"), &text))
            .map_err(|error| Error::kernel(format!("use the AppArmor profile {profile}"), error))?;
    }
    if let Some(label) = &program.selinux {
        proc.write(Path::new("self/attr/exec"), label)
            .map_err(|error| Error::kernel(format!("use the SELinux label {label}"), error))?;
    }
    if let Some(nice) = program.nice {
        rustix::process::setpriority_process(None, nice).map_err(|error| Error::kernel("set the priority", error))?;
    }
    if let Some((class, priority)) = program.io_priority {
        task::set_io_priority(class, priority).map_err(|error| Error::kernel("set the I/O priority", error))?;
    }
    capabilities::limit_bounding(program.bounding)
        .map_err(|error| Error::kernel("limit the bounding set of capabilities", error))?;
    become_user(program)?;
    let umask = program.umask.unwrap_or(0o022);
    rustix::process::umask(Mode::from_raw_mode(umask));
    enter_working_directory(program)?;
    let step = |error| Error::kernel("reset the signals", error);
    sys::signals::reset_for_exec().map_err(step)?;
    if program.reads_signals {
        sys::signals::set_mask(&sys::signals::Set::full()).map_err(step)?;
    }
    if let Some(personality) = program.personality {
        task::set_personality(personality).map_err(|error| Error::kernel("set the personality", error))?;
    }
    Ok(())
}

/// With the capabilities kept. With one id only, the kernel forbids setgroups(2) (user_namespaces(7)): no groups then, if
/// none are wanted.
pub(crate) fn set_identity(uid: u32, gid: u32, groups: Option<&[u32]>) -> std::io::Result<()> {
    match task::set_identity(uid, gid, groups, true) {
        Err(error) if errno(&error) == Some(Errno::PERM) && groups.is_some_and(<[u32]>::is_empty) => {
            task::set_identity(uid, gid, None, true)
        }
        other => other,
    }
}

fn become_user(program: &Program) -> Result<()> {
    let Program { uid, gid, groups, .. } = program;
    let wanted = Some(groups.as_slice()).filter(|_| !program.keep_groups);
    set_identity(*uid, *gid, wanted).map_err(|error| match errno(&error) {
        Some(Errno::INVAL) => Error::configuration(format!(
            "the user {uid}:{gid} does not exist in this user namespace, which has no subordinate id for it"
        )),
        _ => Error::kernel(format!("become the user {uid}:{gid}"), error),
    })?;
    if *uid != 0 {
        // The effective set was emptied by the change; a filter may still have to be loaded.
        let mut sets = capabilities::get().map_err(|error| Error::kernel("read capabilities", error))?;
        sets.effective = sets.permitted;
        capabilities::set(sets).map_err(|error| Error::kernel("set capabilities", error))?;
    }
    Ok(())
}

fn enter_working_directory(program: &Program) -> Result<()> {
    let cwd = program.cwd.as_path();
    // In Podman's words and with its codes, which know a container's start from an exec.
    let step = |error: Errno| match (&program.first_of, error) {
        (Some(id), Errno::NOENT) => {
            Error::NotExecutable { message: format!("workdir {cwd:?} does not exist on container {id}") }
        }
        (Some(id), Errno::NOTDIR) => Error::NotExecutable {
            message: format!("workdir {cwd:?} exists on container {id}, but is not a directory"),
        },
        (None, Errno::NOENT) => not_found(format!("chdir to `{}`", cwd.display())),
        _ => Error::NotExecutable { message: format!("chdir to `{}`: {}", cwd.display(), io::Error::from(error)) },
    };
    rustix::process::chdir(cwd).map_err(step)?;
    // A directory of the host, reached through a descriptor that leaked (CVE-2024-21626), has no path from our root: the
    // kernel then writes `(unreachable)` in front.
    let path = rustix::process::getcwd(Vec::new()).map_err(step)?;
    if !path.as_bytes().starts_with(b"/") {
        return Err(Error::configuration(format!(
            "the working directory {} is outside of the container",
            cwd.display()
        )));
    }
    Ok(())
}

/// Which of the candidates to run.
pub(crate) fn find(program: &Program) -> Result<&CStr> {
    let name = program.name();
    let mut unusable = None;
    for candidate in &program.candidates {
        let Ok(stat) = rustix::fs::statat(CWD, candidate.as_c_str(), AtFlags::empty()) else { continue };
        let regular = FileType::from_raw_mode(stat.st_mode as RawMode) == FileType::RegularFile;
        if regular && stat.st_mode & 0o111 != 0 {
            if leads_to_ourselves(candidate) {
                return Err(Error::NotExecutable {
                    message: format!("`{name}` leads out of the container, to the program that starts it"),
                });
            }
            return Ok(candidate);
        }
        unusable.get_or_insert(regular);
    }
    match unusable {
        Some(true) => Err(not_permitted(&format!("the path `{name}` exists but it is not executable"))),
        Some(false) if name.contains('/') => Err(not_permitted(&format!("the path `{name}` is not a regular file"))),
        _ if name.contains('/') => Err(not_found(format!("executable file `{name}` not found"))),
        _ => Err(not_found(format!("executable file `{name}` not found in $PATH"))),
    }
}

/// Podman's words around what its OCI runtime says.
fn not_found(what: String) -> Error {
    let message = what + ": No such file or directory: OCI runtime attempted to invoke a command that was not found";
    Error::NotFound { message }
}

fn not_permitted(what: &str) -> Error {
    Error::NotExecutable { message: format!("exec: {what}: Operation not permitted: OCI permission denied") }
}

/// Whether an image's link or script would run our own executable, which has no business in a container
/// (CVE-2019-5736; that it cannot be written from there is `sys::exe`'s part).
fn leads_to_ourselves(path: &CStr) -> bool {
    // With the mount: `--init` binds the same file into the container, read-only, which is another way to it.
    let identity = |path: &CStr| {
        let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::MNT_ID).ok()?;
        Some((found.stx_dev_major, found.stx_dev_minor, found.stx_ino, found.stx_mnt_id))
    };
    let Some(own) = identity(c"/proc/self/exe") else { return false };
    if identity(path) == Some(own) {
        return true;
    }
    interpreter(path).is_some_and(|interpreter| identity(&interpreter) == Some(own))
}

/// The program that a script names in its first line, see execve(2).
fn interpreter(path: &CStr) -> Option<std::ffi::CString> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(CWD, path, flags, Mode::empty()).ok()?;
    let mut line = [0u8; 256];
    let length = rustix::io::read(&file, &mut line).ok()?;
    let words = line[..length].strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let name = words.split(|byte| matches!(byte, b' ' | b'\t')).find(|word| !word.is_empty())?;
    std::ffi::CString::new(name).ok()
}

/// Everything that must come last, and the program. Returns only an error.
pub(crate) fn execute(program: &Program, path: &CStr) -> Error {
    match finish(program) {
        Ok(()) => {}
        Err(error) => return error,
    }
    let error = task::execve(path, &program.arguments, &program.environment);
    let name = program.name();
    match errno(&error) {
        Some(Errno::NOENT | Errno::NOTDIR) => {
            Error::NotFound { message: format!("exec `{name}`: {error} (is its interpreter there?)") }
        }
        _ => Error::NotExecutable { message: format!("exec `{name}`: {error}") },
    }
}

fn finish(program: &Program) -> Result<()> {
    for &(resource, soft, hard) in &program.limits {
        task::set_limit(resource, soft, hard)
            .map_err(|error| Error::kernel(format!("set the resource limit {}", limit_name(resource)), error))?;
    }
    if program.no_new_privileges {
        rustix::thread::set_no_new_privs(true).map_err(|error| Error::kernel("set no_new_privs", error))?;
        // The filter last: it need not allow what comes before it.
        give_up_capabilities(program)?;
        load_filter(program)
    } else {
        // Without no_new_privs a filter needs CAP_SYS_ADMIN, so it comes before that is given up.
        load_filter(program)?;
        give_up_capabilities(program)
    }
}

fn give_up_capabilities(program: &Program) -> Result<()> {
    let step = |error| Error::kernel("set the capabilities", error);
    capabilities::set(program.capabilities).map_err(step)?;
    capabilities::set_ambient(program.ambient & program.capabilities.inheritable & program.capabilities.permitted)
        .map_err(step)
}

fn load_filter(program: &Program) -> Result<()> {
    match &program.seccomp {
        Some(filter) => sys::seccomp::load(&filter.instructions, filter.flags)
            .map_err(|error| Error::kernel("load the seccomp filter", error)),
        None => Ok(()),
    }
}

fn limit_name(resource: u32) -> &'static str {
    const NAMES: [&str; 16] = [
        "cpu",
        "fsize",
        "data",
        "stack",
        "core",
        "rss",
        "nproc",
        "nofile",
        "memlock",
        "as",
        "locks",
        "sigpending",
        "msgqueue",
        "nice",
        "rtprio",
        "rttime",
    ];
    NAMES.get(resource as usize).copied().unwrap_or("unknown")
}

fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

/// Puts the extra descriptors at their numbers and marks all others from 3 on close-on-exec. `keep` moves out of their way.
pub(crate) fn take_descriptors(extra: &[Numbered], keep: &mut OwnedFd) -> Result<()> {
    let step = |error| Error::kernel("pass on descriptors", error);
    task::close_on_exec_from(3).map_err(step)?;
    if let Some(last) = extra.iter().map(|descriptor| descriptor.number).max() {
        let above = i32::try_from(last).ok().and_then(|last| last.checked_add(1));
        let above = above.ok_or_else(|| Error::configuration("the number of a descriptor is too large"))?;
        *keep = task::out_of_the_way(keep.as_fd(), above).map_err(step)?;
        task::place_numbered(extra).map_err(step)?;
    }
    Ok(())
}
