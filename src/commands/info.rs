use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use network::Mode;
use storage::events::Backend;
use storage::{Driver, Store};
use sys::userns::MapLine;

use crate::arguments;
use crate::caller;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Nil, Value, yaml};
use crate::{format, object, output};

/// Show what creel finds on this machine and what is in its store
#[derive(clap::Args)]
pub struct Args {
    /// Ignored
    #[arg(short = 'D', long, hide = true)]
    debug: bool,
    /// Show as JSON or through a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "info")?;
    let value = value(context)?;
    match args.format.as_deref() {
        None | Some("") => output::print(&(yaml(&value) + "\n"))?,
        Some("json") => output::line(value.json_indented(2))?,
        Some(format) => output::print(&format::object("info", format, &value)?)?,
    }
    Ok(ExitCode::Success)
}

fn value(context: &Context) -> Result<Value, Failure> {
    Ok(object! {
        "host" as "Host": host(context)?,
        "store" as "Store": store(context)?,
        "registries" as "Registries": registries()?,
        "plugins" as "Plugins": object! {
            "volume" as "Volume": vec!["local".to_owned()],
            "network" as "Network": vec!["bridge".to_owned()],
            "log" as "Log": ["k8s-file", "none", "passthrough", "journald"].map(str::to_owned).to_vec(),
            "authorization" as "Authorization": Value::Nil(Nil::List),
        },
        "version" as "Version": super::version::client(context.program()),
    })
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn host(context: &Context) -> Result<Value, Failure> {
    let config = context.config()?;
    let memory = read("/proc/meminfo");
    let bytes = |key: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok()).unwrap_or(0) * 1024
    };
    let release = read("/etc/os-release");
    let of_release = |key: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map_or_else(|| "unknown".to_owned(), |text| text.trim_matches('"').to_owned())
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let network_command = config.text("network", "default_rootless_network_cmd");
    let uplink =
        network::choose(&Mode::Default, network_command).map_or_else(|_| "none".into(), |kind| kind.to_string());
    let controllers = own_controllers();
    let (uids, gids) = id_maps();
    let name = nix::sys::utsname::uname().map_err(|error| Failure::plain(error.desc()))?;
    Ok(object! {
        "arch" as "Arch": images::host_architecture(),
        "buildahVersion" as "BuildahVersion": "",
        "cgroupManager" as "CgroupManager": config.text("engine", "cgroup_manager").map_or_else(default_cgroup_manager, str::to_owned),
        "cgroupVersion" as "CgroupsVersion": if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "v2" } else { "v1" },
        "cgroupControllers" as "CgroupControllers": controllers,
        "conmon" as "Conmon": object! {
            "package" as "Package": "creel",
            "path" as "Path": "/proc/self/exe",
            "version" as "Version": format!("creel {}", env!("CARGO_PKG_VERSION")),
        },
        "cpus" as "CPUs": cpus,
        "cpuUtilization" as "CPUUtilization": cpu_use(),
        "databaseBackend" as "DatabaseBackend": "files",
        "distribution" as "Distribution": object! {
            "distribution" as "Distribution": of_release("ID"),
            "variant" as "Variant"?: of_release("VARIANT_ID").replace("unknown", ""),
            "version" as "Version": of_release("VERSION_ID"),
            "codename" as "Codename"?: of_release("VERSION_CODENAME").replace("unknown", ""),
        },
        "eventLogger" as "EventLogger": match context.store_options()?.events.backend {
            Backend::File => "file",
            Backend::Journald => "journald",
            Backend::None => "none",
        },
        "freeLocks" as "FreeLocks": Value::Nil(Nil::Pointer),
        "hostname" as "Hostname": name.nodename().to_string_lossy().into_owned(),
        "idMappings" as "IDMappings": object! {
            "gidmap" as "GIDMap": lines(&gids),
            "uidmap" as "UIDMap": lines(&uids),
        },
        "emulatedArchitectures" as "EmulatedArchitectures"?: Value::Nil(Nil::List),
        "runtimeInfo" as "RuntimeInfo"?: Value::Nil(Nil::Map),
        "kernel" as "Kernel": name.release().to_string_lossy().into_owned(),
        "logDriver" as "LogDriver": config.text("containers", "log_driver").unwrap_or("k8s-file"),
        "memFree" as "MemFree": bytes("MemFree"),
        "memTotal" as "MemTotal": bytes("MemTotal"),
        "networkBackend" as "NetworkBackend": "creel",
        "networkBackendInfo" as "NetworkBackendInfo": object! {
            "backend" as "Backend": "creel",
            "version" as "Version": format!("creel {}", env!("CARGO_PKG_VERSION")),
            "package" as "Package": "creel",
            "path" as "Path": "/proc/self/exe",
            "dns" as "DNS": object! {
                "version" as "Version": format!("creel {}", env!("CARGO_PKG_VERSION")),
                "package" as "Package": "creel",
                "path" as "Path": "/proc/self/exe",
            },
            "defaultNetwork" as "DefaultNetwork": config.text("network", "default_network").unwrap_or("podman"),
        },
        "ociRuntime" as "OCIRuntime": object! {
            "name" as "Name": "creel",
            "package" as "Package": "creel",
            "path" as "Path": context.globals.runtime.clone().unwrap_or_else(|| "/proc/self/exe".into()),
            "version" as "Version": format!("creel {}", env!("CARGO_PKG_VERSION")),
        },
        "os" as "OS": "linux",
        "remoteSocket" as "RemoteSocket": object! {
            "path" as "Path": caller::runtime_dir().join("podman/podman.sock").display().to_string(),
            "exists" as "Exists": caller::runtime_dir().join("podman/podman.sock").exists(),
        },
        "rootlessNetworkCmd" as "RootlessNetworkCmd": uplink,
        "serviceIsRemote" as "ServiceIsRemote": false,
        "security" as "Security": object! {
            "apparmorEnabled" as "AppArmorEnabled": Path::new("/sys/kernel/security/apparmor").exists(),
            "capabilities" as "DefaultCapabilities": "CAP_CHOWN,CAP_DAC_OVERRIDE,CAP_FOWNER,CAP_FSETID,CAP_KILL,CAP_NET_BIND_SERVICE,CAP_SETFCAP,CAP_SETGID,CAP_SETPCAP,CAP_SETUID,CAP_SYS_CHROOT",
            "rootless" as "Rootless": !nix::unistd::geteuid().is_root(),
            "seccompEnabled" as "SECCOMPEnabled": read("/proc/self/status").contains("\nSeccomp:"),
            "seccompProfilePath" as "SECCOMPProfilePath": config.text("containers", "seccomp_profile").unwrap_or_default(),
            "selinuxEnabled" as "SELinuxEnabled": false,
        },
        "slirp4netns" as "Slirp4NetNS": program("slirp4netns"),
        "pasta" as "Pasta": program("pasta"),
        "swapFree" as "SwapFree": bytes("SwapFree"),
        "swapTotal" as "SwapTotal": bytes("SwapTotal"),
        "uptime" as "Uptime": uptime(),
        "variant" as "Variant": "",
        "linkmode" as "Linkmode": "static",
    })
}

fn default_cgroup_manager() -> String {
    let bus = caller::runtime_dir().join("systemd/private");
    if bus.exists() { "systemd".into() } else { "cgroupfs".into() }
}

/// The controllers of the cgroup we are in, which are those we may hand on.
fn own_controllers() -> Vec<String> {
    let own = read("/proc/self/cgroup");
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").trim_start_matches('/').to_owned();
    let controllers = read(Path::new("/sys/fs/cgroup").join(path).join("cgroup.controllers"));
    controllers.split_whitespace().map(str::to_owned).collect()
}

/// The map that containers have: that of the user namespace, or what it will be.
fn id_maps() -> (Vec<MapLine>, Vec<MapLine>) {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    if uid == 0 {
        return (sys::userns::uid_map().unwrap_or_default(), sys::userns::gid_map().unwrap_or_default());
    }
    let user = sys::passwd::user_of(uid);
    let name = user.as_ref().map(|user| user.name.as_str());
    let map = |own: u32, file: &str| {
        let mut lines = vec![MapLine { inside: 0, outside: own, count: 1 }];
        let mut next = 1;
        for range in sys::passwd::sub_ids(Path::new(file), name, uid) {
            lines.push(MapLine { inside: next, outside: range.first, count: range.count });
            next += range.count;
        }
        lines
    };
    (map(uid, "/etc/subuid"), map(gid, "/etc/subgid"))
}

fn lines(map: &[MapLine]) -> Value {
    let line = |line: &MapLine| {
        object! {
            "container_id" as "ContainerID": line.inside,
            "host_id" as "HostID": line.outside,
            "size" as "Size": line.count,
        }
    };
    Value::List(map.iter().map(line).collect())
}

/// Where a program is, and what it says of its version.
fn program(name: &str) -> Value {
    let path = caller::variable("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let found = path.split(':').map(|dir| Path::new(dir).join(name)).find(|path| path.is_file());
    let said = found.as_ref().and_then(|path| Command::new(path).arg("--version").stdin(Stdio::null()).output().ok());
    let version = said.map(|said| String::from_utf8_lossy(&said.stdout).trim_end().to_owned());
    object! {
        "executable" as "Executable": found.map(|path| path.display().to_string()).unwrap_or_default(),
        "package" as "Package": "",
        "version" as "Version": version.unwrap_or_default(),
    }
}

fn cpu_use() -> Value {
    let stat = read("/proc/stat");
    let numbers: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let total: f64 = numbers.iter().take(8).sum();
    let percent = |index: usize| {
        let share = numbers.get(index).copied().unwrap_or(0.0) / total.max(1.0) * 100.0;
        (share * 100.0).round() / 100.0
    };
    object! {
        "userPercent" as "UserPercent": percent(0),
        "systemPercent" as "SystemPercent": percent(2),
        "idlePercent" as "IdlePercent": percent(3),
    }
}

/// `1h 2m 3.00s`, with the hours as days, too.
fn uptime() -> String {
    let text = read("/proc/uptime");
    let seconds: f64 = text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let (hours, minutes) = ((seconds / 3600.0) as u64, (seconds / 60.0) as u64 % 60);
    let mut shown = format!("{hours}h {minutes}m {:.2}s", seconds.floor() % 60.0);
    if hours > 0 {
        shown.push_str(&format!(" (Approximately {:.2} days)", hours as f64 / 24.0));
    }
    shown
}

fn store(context: &Context) -> Result<Value, Failure> {
    let engine = context.reader()?;
    let containers = containers::list(&engine)?;
    let running = containers.iter().filter(|container| containers::running(container)).count();
    let paused = containers.iter().filter(|container| containers::paused(container)).count();
    let dirs = engine.store.dirs();
    let (allocated, used) = match nix::sys::statvfs::statvfs(&dirs.root) {
        Ok(stat) => {
            let block = stat.fragment_size();
            (stat.blocks() * block, (stat.blocks() - stat.blocks_free()) * block)
        }
        Err(_) => (0, 0),
    };
    let driver = match engine.store.options().driver {
        Driver::Overlay => "overlay",
        Driver::Vfs => "vfs",
    };
    let mut options = BTreeMap::new();
    if let Some(program) = &engine.store.options().mount_program {
        options.insert("overlay.mount_program".to_owned(), Value::from(program.as_path()));
    }
    Ok(object! {
        "configFile" as "ConfigFile"?: context.storage_conf()?.map(|path| path.display().to_string()).unwrap_or_default(),
        "containerStore" as "ContainerStore": object! {
            "number" as "Number": containers.len(),
            "paused" as "Paused": paused,
            "running" as "Running": running - paused,
            "stopped" as "Stopped": containers.len() - running,
        },
        "graphDriverName" as "GraphDriverName": driver,
        "graphOptions" as "GraphOptions": Value::Map(options),
        "graphRoot" as "GraphRoot": dirs.root.as_path(),
        "graphRootAllocated" as "GraphRootAllocated": allocated,
        "graphRootUsed" as "GraphRootUsed": used,
        "graphStatus" as "GraphStatus": Value::Map(graph_status(&engine.store)),
        "imageCopyTmpDir" as "ImageCopyTmpDir": dirs.tmp.as_path(),
        "imageStore" as "ImageStore": object! { "number" as "Number": images::list(&engine.store)?.len() },
        "runRoot" as "RunRoot": dirs.runroot.as_path(),
        "volumePath" as "VolumePath": engine.store.volumes_dir().as_path(),
        "transientStore" as "TransientStore": false,
    })
}

/// How root file systems are mounted and why; nothing is known before the first container.
fn graph_status(store: &Store) -> BTreeMap<String, Value> {
    let mut status = BTreeMap::new();
    let mut say = |key: &str, value: &str| status.insert(key.to_owned(), Value::from(value));
    say("Backing Filesystem", backing_filesystem(&store.dirs().root));
    if store.options().driver == Driver::Vfs {
        return status;
    }
    say("Supports d_type", "true");
    say("Supports shifting", "false");
    say("Using metacopy", "false");
    match (&store.options().mount_program, store.overlay_known()) {
        (Some(_), _) => {
            say("Native Overlay Diff", "false");
            say("Reason", "a mount program was asked for");
        }
        (None, Some(None)) => {
            say("Native Overlay Diff", "true");
            say("Supports volatile", "true");
        }
        (None, Some(Some(why))) => {
            say("Native Overlay Diff", "false");
            say("Reason", &why);
        }
        (None, None) => {}
    }
    status
}

/// By the numbers of statfs(2).
fn backing_filesystem(root: &Path) -> &'static str {
    use nix::sys::statfs::{
        BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC,
        XFS_SUPER_MAGIC,
    };
    const ZFS: FsType = FsType(0x2fc1_2fc1);
    match nix::sys::statfs::statfs(root).map(|stat| stat.filesystem_type()) {
        // ext2, ext3 and ext4 have one number.
        Ok(EXT4_SUPER_MAGIC) => "extfs",
        Ok(XFS_SUPER_MAGIC) => "xfs",
        Ok(BTRFS_SUPER_MAGIC) => "btrfs",
        Ok(ZFS) => "zfs",
        Ok(TMPFS_MAGIC) => "tmpfs",
        Ok(OVERLAYFS_SUPER_MAGIC) => "overlayfs",
        Ok(NFS_SUPER_MAGIC) => "nfs",
        _ => "<unknown>",
    }
}

fn registries() -> Result<Value, Failure> {
    let configured = images::registries::Registries::load(&images::Places::from_environment())?;
    let search = configured.search.filter(|search| !search.is_empty());
    Ok(Value::Map(search.map(|search| ("search".to_owned(), Value::from(search))).into_iter().collect()))
}
