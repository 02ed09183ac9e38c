//! What is tried in a user namespace, as its root: mounts, owners, networks, filters. And the cgroup.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use storage::Store;
use sys::clone::{CloneRequest, clone_child, exit_now, fork};
use sys::seccomp::Instruction;

use super::{Rung, machine};
use crate::context::Context;
use crate::error::folded;

/// CLONE_NEWNS and CLONE_NEWNET, clone(2).
const NEW_MOUNT_NAMESPACE: u64 = 0x0002_0000;
const NEW_NETWORK_NAMESPACE: u64 = 0x4000_0000;

const MOUNTS: &str = "mount namespace";
const OWNERS: &str = "file owners";
const OVERLAY: &str = "overlay";
const FUSE: &str = "fuse-overlayfs";
const NETWORK: &str = "network namespace";
const TUN: &str = "/dev/net/tun";
const UPLINK: &str = "uplink";
const SECCOMP: &str = "seccomp";

/// In the order in which they are tried.
pub(super) const NAMES: [&str; 8] = [MOUNTS, OWNERS, OVERLAY, FUSE, NETWORK, TUN, UPLINK, SECCOMP];

/// Tries all of it. `highest` is the last id that the namespace has; none of a namespace is meant where we are root already.
pub(super) fn look(context: &Context, store: Option<&Store>, highest: Option<u64>, say: &mut dyn FnMut(Rung)) {
    let mounts = mount_namespace();
    let can_mount = mounts.verdict == super::Verdict::Good;
    say(mounts);
    match store {
        Some(store) if can_mount => {
            say(owners(store, highest));
            overlays(store).into_iter().for_each(&mut *say);
        }
        _ => {
            let below = if can_mount { "store" } else { MOUNTS };
            [OWNERS, OVERLAY, FUSE].into_iter().for_each(|name| say(Rung::unknown(name, below)));
        }
    }
    networks(context).into_iter().for_each(&mut *say);
    say(seccomp());
}

/// Mounts and overlays alone, for a caller that is in the namespace.
pub(super) fn root_file_system(store: Option<&Store>) -> Vec<Rung> {
    let mounts = mount_namespace();
    match store {
        Some(store) if mounts.verdict == super::Verdict::Good => overlays(store).into(),
        _ => vec![mounts],
    }
}

/// A child in new namespaces that does one thing; its errno, or 0.
fn child_does(namespaces: u64, task: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let request = CloneRequest { namespaces, cgroup: None };
    let child = clone_child(&request, || {
        exit_now(match task() {
            Ok(()) => 0,
            Err(error) => error.raw_os_error().map_or(255, |code| code.clamp(1, 254)),
        })
    })?;
    match child.pidfd.wait()?.exit_code() {
        0 => Ok(()),
        255 => Err(io::ErrorKind::Other.into()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Where AppArmor limits user namespaces, they are given, and empty of power.
fn mount_namespace() -> Rung {
    let Err(error) = child_does(NEW_MOUNT_NAMESPACE, || {
        rustix::mount::mount_change(
            "/",
            rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
        )?;
        Ok(rustix::mount::mount("tmpfs", "/tmp", "tmpfs", rustix::mount::MountFlags::empty(), None)?)
    }) else {
        return Rung::good(MOUNTS, "mounts are allowed in it");
    };
    let restricted = fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    if restricted.is_ok_and(|text| text.trim() == "1") {
        let program =
            std::env::current_exe().map_or_else(|_| "/usr/bin/creel".into(), |path| path.display().to_string());
        let cure = format!(
            "printf 'abi <abi/4.0>,\\nprofile creel {program} flags=(unconfined) {{ userns, }}\\n' | \
             sudo tee /etc/apparmor.d/creel && sudo apparmor_parser -r /etc/apparmor.d/creel"
        );
        return Rung::broken(
            MOUNTS,
            "AppArmor takes all power from user namespaces of programs it does not know",
            cure,
        );
    }
    let cure = "look at the security module (dmesg, audit log): it forbids mounts in user namespaces";
    Rung::broken(MOUNTS, format!("the kernel refuses a mount in it: {}", folded(&error)), cure)
}

/// A file of the store gets the highest owner there is: what unpacking an image does all the time.
fn owners(store: &Store, highest: Option<u64>) -> Rung {
    let Some(highest) = highest.and_then(|highest| u32::try_from(highest).ok()) else {
        return Rung::good(OWNERS, "root gives files any owner");
    };
    let tried = store.staging().map_err(|error| folded(&error)).and_then(|staging| {
        let path = staging.join("file");
        fs::write(&path, b"").map_err(|error| folded(&error))?;
        std::os::unix::fs::chown(&path, Some(highest), Some(highest)).map_err(|error| folded(&error))?;
        fs::remove_file(&path).map_err(|error| folded(&error))
    });
    match tried {
        Ok(()) if highest == 0 => Rung::good(OWNERS, "one owner only"),
        Ok(()) => Rung::good(OWNERS, format!("files can belong to id {highest}")),
        Err(why) => {
            let root = store.dirs().root.display();
            let found = format!("the file system of {root} gives no file to id {highest}: {why}");
            let cure = "keep the store on a local file system (not NFS): creel --root DIR, or graphroot in \
                        ~/.config/containers/storage.conf; or --storage-opt ignore_chown_errors=true";
            Rung::broken(OWNERS, found, cure)
        }
    }
}

fn overlays(store: &Store) -> [Rung; 2] {
    let wished = store.options().mount_program.clone();
    let kernels = match store.try_overlay_now() {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(why),
        Err(error) => Err(folded(&error)),
    };
    let program = wished.clone().unwrap_or_else(|| "fuse-overlayfs".into());
    let fuse = match store.try_fuse_now(&program) {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(why),
        Err(error) => Err(folded(&error)),
    };
    let is_vfs = store.options().driver == storage::Driver::Vfs;
    let cure = fuse_cure();
    let fuse_rung = match (&fuse, &kernels) {
        (Ok(()), _) => Rung::good(FUSE, "works"),
        (Err(why), _) if is_vfs => Rung::good(FUSE, format!("not needed by the driver vfs ({why})")),
        (Err(why), Ok(())) if wished.is_none() => Rung::good(FUSE, format!("not needed ({why})")),
        (Err(why), _) => Rung::broken(FUSE, why.clone(), cure.clone()),
    };
    let overlay_rung = match (kernels, &fuse) {
        (Ok(()), _) => Rung::good(OVERLAY, "the kernel's overlay works"),
        (Err(why), _) if is_vfs => Rung::good(OVERLAY, format!("not needed by the driver vfs ({why})")),
        (Err(why), Ok(())) => Rung::good(OVERLAY, format!("fuse-overlayfs instead: {why}")),
        (Err(why), Err(_)) => Rung::broken(OVERLAY, why, cure),
    };
    [overlay_rung, fuse_rung]
}

fn fuse_cure() -> String {
    if !Path::new("/dev/fuse").exists() {
        return "sudo modprobe fuse".into();
    }
    if rustix::fs::access("/dev/fuse", rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK).is_err() {
        return "sudo chmod 666 /dev/fuse".into();
    }
    machine::install("fuse-overlayfs")
}

/// The network namespace, its interface, its uplink.
pub(super) fn networks(context: &Context) -> Vec<Rung> {
    if let Err(error) = child_does(NEW_NETWORK_NAMESPACE, sys::net::loopback_up) {
        let cure = "raise user.max_net_namespaces (sysctl), or use --network host";
        let broken = Rung::broken(NETWORK, format!("the kernel refuses one: {}", folded(&error)), cure);
        return vec![broken, Rung::unknown(TUN, NETWORK), Rung::unknown(UPLINK, NETWORK)];
    }
    let network = Rung::good(NETWORK, "has its loopback");
    let device = Path::new(TUN);
    if let Err(error) = child_does(NEW_NETWORK_NAMESPACE, || sys::net::make_tap(device, "tap0").map(drop)) {
        let (found, cure) = match error.kind() {
            io::ErrorKind::NotFound => (format!("{TUN} does not exist"), "sudo modprobe tun"),
            io::ErrorKind::PermissionDenied => (format!("{TUN} cannot be opened"), "sudo chmod 666 /dev/net/tun"),
            _ => (format!("{TUN} gives no interface: {}", folded(&error)), "sudo modprobe tun"),
        };
        return vec![network, Rung::broken(TUN, found, cure), Rung::unknown(UPLINK, TUN)];
    }
    vec![network, Rung::good(TUN, "gives an interface"), uplink(context)]
}

/// The user-mode network stack, started for a namespace that nobody uses.
fn uplink(context: &Context) -> Rung {
    let wished = context.uplink().unwrap_or_default();
    let kind = match network::choose(&network::Mode::Private, wished.as_deref()) {
        Ok(kind) => kind,
        Err(error) => {
            let program = wished.as_deref().filter(|name| *name == "pasta").unwrap_or("slirp4netns");
            let cure = format!("{}, or take default_rootless_network_cmd out", machine::install(program));
            return Rung::broken(UPLINK, folded(&error), cure);
        }
    };
    let started = || -> Result<String, String> {
        let request = CloneRequest { namespaces: NEW_NETWORK_NAMESPACE, cgroup: None };
        let child = clone_child(&request, || {
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
            loop {
                sys::signals::pause();
            }
        })
        .map_err(|error| folded(&error))?;
        let ended = (|| {
            let netns = fs::File::open(format!("/proc/{}/ns/net", child.pid)).map_err(|error| folded(&error))?;
            let mut uplink =
                network::start_uplink(kind, &[], child.pid, netns.as_fd()).map_err(|error| folded(&error))?;
            let addresses = uplink.ready().map_err(|error| folded(&error))?;
            if let Some(warning) = &uplink.warning {
                return Err(warning.clone());
            }
            Ok(addresses.ipv4.map_or_else(String::new, |address| format!(", {address}")))
        })();
        let _ = child.pidfd.signal(9);
        let _ = child.pidfd.wait();
        ended
    };
    match started() {
        Ok(address) => Rung::good(UPLINK, format!("{kind} is ready{address}")),
        Err(why) => {
            let cure = match kind {
                network::UplinkKind::Creel => {
                    format!("try another one: {}, --network pasta", machine::install("pasta"))
                }
                network::UplinkKind::Slirp | network::UplinkKind::Pasta => {
                    "try creel's own: --network creel".to_owned()
                }
            };
            Rung::broken(UPLINK, why, cure)
        }
    }
}

/// A filter that allows everything, loaded by a process that then ends.
fn seccomp() -> Rung {
    /// `BPF_RET | BPF_K`, `SECCOMP_RET_ALLOW`.
    const ALLOW: Instruction = Instruction { code: 6, jump_true: 0, jump_false: 0, k: 0x7fff_0000 };
    let loaded = child_does(0, || {
        rustix::thread::set_no_new_privs(true)?;
        sys::seccomp::load(&[ALLOW], 0)
    });
    match loaded {
        Ok(()) => Rung::good(SECCOMP, "filters can be loaded"),
        Err(error) => Rung::weak(
            SECCOMP,
            format!("the kernel loads no filter: {}", folded(&error)),
            "a kernel with CONFIG_SECCOMP_FILTER, or --security-opt seccomp=unconfined for each container",
        ),
    }
}

/// A limit is set in a cgroup that is made for it.
pub(super) fn cgroup(context: &Context) -> Rung {
    const NAME: &str = "cgroup limits";
    const DROP_IN: &str = "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo install -D -m 644 /dev/stdin \
                           /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload, then log in again";
    let settings = containers::Settings {
        uid: crate::caller::uid(),
        cgroup_manager: context.cgroup_manager().unwrap_or_default(),
        ..containers::Settings::default()
    };
    // In a process of its own: the service manager may move whoever asks.
    let tried = sys::channel::Channel::pair().and_then(|(ours, theirs)| {
        let child = fork(|| {
            let answer = match containers::try_limit(&settings) {
                Ok(controllers) => format!("+{}", controllers.join(" ")),
                Err(error) => format!("-{}", folded(&error)),
            };
            let _ = theirs.send(answer.as_bytes(), &[]);
            exit_now(0)
        })?;
        drop(theirs);
        let (answer, _) = ours.recv()?;
        child.pidfd.wait()?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    });
    let answer = tried.unwrap_or_else(|error| format!("-{}", folded(&error)));
    match answer.strip_prefix('+') {
        Some(controllers) => {
            let missing: Vec<&str> = ["cpu", "memory", "pids"]
                .into_iter()
                .filter(|name| !controllers.split(' ').any(|has| has == *name))
                .collect();
            match missing.as_slice() {
                [] => Rung::good(NAME, format!("{controllers} can be limited")),
                missing => Rung::weak(NAME, format!("no limits of {}", missing.join(", ")), DROP_IN),
            }
        }
        None => {
            let why = answer.trim_start_matches('-');
            let why = if why.is_empty() { "the trial ended without a word" } else { why };
            // The trial's own limit is of no interest.
            let why = why.split_once("`, and ").map_or(why, |(_, why)| why);
            let session = why.contains("no systemd user session");
            let version = why.contains("unified cgroup hierarchy");
            let cure = match (version, session) {
                (true, _) => "boot with the kernel parameter systemd.unified_cgroup_hierarchy=1".to_owned(),
                (_, true) => {
                    format!("sudo loginctl enable-linger {}, then log in again", crate::caller::name_of_user())
                }
                _ => DROP_IN.to_owned(),
            };
            Rung::weak(NAME, format!("no limits on containers: {why}"), cure)
        }
    }
}
