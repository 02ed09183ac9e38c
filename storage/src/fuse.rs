//! fuse-overlayfs: its server waits for the mount that the container's child makes on the `/dev/fuse` opened here.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, Mode, OFlags};
use rustix::pipe::PipeFlags;
use sys::mount::RootMount;
use sys::process::Process;

use crate::error::{At, Error, Result};
use crate::rootfs::FuseServer;

const DEVICE: &str = "/dev/fuse";

/// Opens the connection and starts the server of an overlay. Relative names start from `base`, `lower` is top-most
/// first, `more_options` begins with a comma.
pub(crate) fn prepare(
    program: &Path,
    base: &Path,
    lower: &[PathBuf],
    upper_and_work: Option<(&Path, &Path)>,
    volatile: bool,
    more_options: &str,
) -> Result<(RootMount, FuseServer)> {
    let found = find(program)?;
    let mut options = format!("lowerdir={}", joined(lower)?);
    if let Some((upper, work)) = upper_and_work {
        options.push_str(&format!(",upperdir={},workdir={}", plain(upper)?, plain(work)?));
        if volatile {
            options.push_str(",volatile");
        }
    }
    options.push_str(more_options);
    let device = Path::new(DEVICE);
    let fuse = rustix::fs::open(device, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
        let what = "a root file system on fuse-overlayfs".to_owned();
        Error::Unsupported { what, why: format!("{DEVICE} cannot be opened: {}", std::io::Error::from(error)) }
    })?;
    let (wait, mounted): (OwnedFd, OwnedFd) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).at("cannot make a pipe for", device)?;
    let server_fd = fuse.try_clone().at("cannot copy", device)?;
    let arguments = ["fuse-overlayfs", "-f", "-o", &options].map(str::to_owned).to_vec();
    let server = sys::mount::FuseServer {
        program: CString::new(found.as_os_str().as_bytes()).map_err(std::io::Error::other).at("cannot run", &found)?,
        arguments,
        environment: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        base: base.to_owned(),
        fuse: server_fd,
        mounted: wait,
    };
    let child = server.spawn().at("cannot start", &found)?;
    let process = Process::of(child.pid).at("cannot start", &found)?;
    let mount = RootMount::Fuse { fd: fuse, options: String::new(), mounted };
    Ok((mount, FuseServer { process, pidfd: child.pidfd }))
}

/// A program by its path, or by its name along PATH.
fn find(program: &Path) -> Result<PathBuf> {
    let runs = |path: &Path| rustix::fs::accessat(CWD, path, Access::EXEC_OK, rustix::fs::AtFlags::EACCESS).is_ok();
    if program.as_os_str().as_bytes().contains(&b'/') {
        if runs(program) {
            return Ok(program.to_owned());
        }
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
        if let Some(found) = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| runs(path)) {
            return Ok(found);
        }
    }
    Err(Error::Unsupported {
        what: "a root file system on fuse-overlayfs".to_owned(),
        why: format!("{} is not installed", program.display()),
    })
}

fn joined(paths: &[PathBuf]) -> Result<String> {
    Ok(paths.iter().map(|path| plain(path)).collect::<Result<Vec<_>>>()?.join(":"))
}

/// fuse-overlayfs has no quoting that all its versions agree on.
fn plain(path: &Path) -> Result<&str> {
    path.to_str().filter(|path| !path.contains([',', ':', '\\'])).ok_or_else(|| Error::Unsupported {
        what: "a root file system on fuse-overlayfs".to_owned(),
        why: format!("the path {} has a character in it that its options cannot take", path.display()),
    })
}
