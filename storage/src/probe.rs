//! Does the kernel's overlay work here? Asked by mounting one and using it, once a boot for each place and user
//! namespace, because neither the kernel's version nor /proc/filesystems tells (security modules, the file system below,
//! nesting in another overlay).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sys::clone::{CloneRequest, clone_child, exit_now};
use sys::mount::RootMount;

use crate::error::{At, Result};
use crate::record::{self, Durability, Record};
use crate::rootfs::FUSE_MARK;
use crate::staging::Staging;
use crate::store::{Store, make_private_dir};

/// CLONE_NEWNS, clone(2).
const NEW_MOUNT_NAMESPACE: u64 = 0x0002_0000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Works,
    /// And why.
    Refused(String),
}

/// `RUNROOT/overlay.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Probed {
    boot: String,
    /// Device number of the store's file system.
    device: u64,
    /// The map of the user namespace.
    ids: String,
    verdict: Verdict,
}

impl Record for Probed {
    const VERSION: u32 = 1;
}

impl Store {
    /// What the last probe found, without making one: `Some(None)` if the kernel's overlay works, `Some(Some(why))` if not.
    pub fn overlay_known(&self) -> Option<Option<String>> {
        let cache = self.dirs().runroot.join("overlay.json");
        let known = record::read_optional::<Probed>(&cache).ok().flatten()?;
        Some(match known.verdict {
            Verdict::Works => None,
            Verdict::Refused(why) => Some(why),
        })
    }

    /// The answer, from the cache or by trying.
    pub(crate) fn probe_overlay(&self) -> Result<Verdict> {
        let cache = self.dirs().runroot.join("overlay.json");
        let root = &self.dirs().root;
        let device = fs::metadata(root).at("cannot stat", root)?.dev();
        let map = Path::new("/proc/self/uid_map");
        let ids = fs::read_to_string(map).at("cannot read", map)?;
        // A damaged cache is no news: ask again.
        if let Ok(Some(known)) = record::read_optional::<Probed>(&cache)
            && (known.boot.as_str(), known.device, &known.ids) == (sys::process::boot_id(), device, &ids)
        {
            return Ok(known.verdict);
        }
        let verdict = self.try_overlay()?;
        tracing::debug!(?verdict, "overlay probed");
        make_private_dir(&self.dirs().runroot)?;
        let probed = Probed { boot: sys::process::boot_id().to_owned(), device, ids, verdict: verdict.clone() };
        record::write(&cache, &probed, Durability::Visible)?;
        Ok(verdict)
    }

    /// Whether the kernel's overlay works for a store here, tried now: `None` if it does, else why not. The caller is in
    /// the user namespace.
    pub fn try_overlay_now(&self) -> Result<Option<String>> {
        Ok(self.try_overlay()?.refusal())
    }

    /// The same for a `program` that serves overlays over FUSE: `fuse-overlayfs` by name or path.
    pub fn try_fuse_now(&self, program: &Path) -> Result<Option<String>> {
        let staging = self.trial_layers()?;
        let lower = [PathBuf::from("mid"), PathBuf::from("low")];
        let upper_and_work = Some((Path::new("up"), Path::new("work")));
        let (mount, server) = crate::fuse::prepare(program, staging.path(), &lower, upper_and_work, false, "")?;
        let verdict = try_mount(&staging, mount, program.display())?;
        let _ = server.pidfd.signal(9);
        let _ = server.pidfd.wait();
        Ok(verdict.refusal())
    }

    fn trial_layers(&self) -> Result<Staging> {
        let staging = self.staging()?;
        for dir in ["low", "low/d", "mid", "mid/d", "up", "work", "merged"] {
            let path = staging.join(dir);
            fs::create_dir(&path).at("cannot create", &path)?;
        }
        for file in ["low/d/hidden", "low/gone", "low/kept"] {
            let path = staging.join(file);
            fs::write(&path, b"low").at("cannot write", &path)?;
        }
        Ok(staging)
    }

    fn try_overlay(&self) -> Result<Verdict> {
        if self.image_path(FUSE_MARK).exists() {
            let why =
                "layers of this store were unpacked where whiteouts cannot be made, and the kernel would misread them";
            return Ok(Verdict::Refused(why.to_owned()));
        }
        let staging = self.trial_layers()?;
        if let Err(error) =
            rustix::fs::setxattr(staging.join("mid/d"), crate::unpack::OPAQUE, b"y", rustix::fs::XattrFlags::empty())
        {
            let error = io::Error::from(error);
            return Ok(Verdict::Refused(format!("the file system of the store takes no user attributes ({error})")));
        }
        let mount = RootMount::Overlay {
            base: staging.path().to_owned(),
            lower: vec![PathBuf::from("mid"), PathBuf::from("low")],
            upper: Some(PathBuf::from("up")),
            work: Some(PathBuf::from("work")),
            volatile: false,
            options: Vec::new(),
        };
        try_mount(&staging, mount, "the kernel's overlay")
    }
}

impl Verdict {
    fn refusal(self) -> Option<String> {
        match self {
            Verdict::Works => None,
            Verdict::Refused(why) => Some(why),
        }
    }
}

fn try_mount(staging: &Staging, mount: RootMount, what: impl std::fmt::Display) -> Result<Verdict> {
    let merged = staging.join("merged");
    let is_kernels = matches!(mount, RootMount::Overlay { .. });
    let request = CloneRequest { namespaces: NEW_MOUNT_NAMESPACE, cgroup: None };
    // Exit codes: 0 works, 1..=199 the mount's errno, 200 the use of it failed.
    let child = clone_child(&request, || {
        let code = match mount.mount(&merged) {
            Ok(()) if usable(&merged, is_kernels).is_ok_and(|good| good) => 0,
            Ok(()) => 200,
            Err(error) => error.raw_os_error().map_or(199, |code| code.clamp(1, 199)),
        };
        exit_now(code)
    })
    .at("cannot probe overlay in", staging)?;
    drop(mount);
    let code = child.pidfd.wait().at("cannot wait for the probe in", staging)?.exit_code();
    Ok(match code {
        0 => Verdict::Works,
        1..=198 => {
            let error = io::Error::from_raw_os_error(code);
            Verdict::Refused(match is_kernels {
                true => format!("the kernel refuses overlay in a user namespace ({error})"),
                false => format!("{what} cannot be mounted ({error})"),
            })
        }
        _ => Verdict::Refused(format!("{what} does not behave on this file system")),
    })
}

/// What containers do all the time: write, copy up, delete what is below, look through an opaque directory.
fn usable(merged: &Path, is_kernels: bool) -> io::Result<bool> {
    let opaque = !is_kernels || fs::read_dir(merged.join("d"))?.next().is_none();
    fs::write(merged.join("new"), b"new")?;
    fs::write(merged.join("kept"), b"up")?;
    fs::remove_file(merged.join("gone"))?;
    Ok(opaque && !merged.join("gone").exists() && fs::read(merged.join("kept"))? == b"up")
}
