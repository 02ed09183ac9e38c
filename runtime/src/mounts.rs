//! What is mounted in a container, as a list of values made before the clone. [`crate::attach`] executes it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDeviceType, Mount, Spec};
use sys::mount_attributes::{self as attribute, Propagation, Reach};

use crate::{Error, Result};

/// One mount. Destinations are names inside of the container.
#[derive(Debug)]
pub(crate) enum MountOp {
    /// A new instance of a file system.
    FileSystem {
        kind: String,
        source: Option<String>,
        destination: PathBuf,
        attributes: Attributes,
        /// Options of the file system itself.
        data: Vec<(String, Option<String>)>,
        /// Fill the new file system with what it covers.
        copy_up: bool,
        /// A host directory to bind instead where the kernel does not let us have an instance: it belongs to a namespace
        /// that is not ours.
        instead: Option<PathBuf>,
    },
    Bind {
        source: Source,
        destination: PathBuf,
        reach: Reach,
        attributes: Attributes,
    },
    /// A link of the host that is copied instead of followed.
    Link {
        source: PathBuf,
        destination: PathBuf,
    },
    /// A link that is made where there is nothing yet; its directory must be there.
    NewLink {
        target: &'static str,
        place: &'static Path,
    },
    /// `/dev/fd` and its like.
    Links,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// A path of the host. With `device`, it must be this character or block device.
    Path { path: PathBuf, device: Option<(u32, u32)> },
    /// A detached copy of a mount, made where the path could still be reached.
    Tree(OwnedFd),
}

/// What a mount allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// `MOUNT_ATTR_*` of the mount itself, and of it and all below it.
    pub(crate) on: u64,
    pub(crate) on_recursive: u64,
    /// The access time policy is a field, not a flag; `None` leaves a bind's as it is.
    pub(crate) access_time: Option<u64>,
    pub(crate) propagation: Option<(Propagation, Reach)>,
}

/// The nodes every container has (config-linux.md, "Default Devices").
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
];

pub(crate) fn operations(spec: &Spec) -> Result<Vec<MountOp>> {
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let mut all = Vec::with_capacity(mounts.len() + DEFAULT_DEVICES.len() + 1);
    for mount in mounts {
        all.push(operation(mount)?);
    }
    let taken = |path: &str| mounts.iter().any(|mount| mount.destination() == Path::new(path));
    // A host's /dev that was bound whole has its own nodes, and they are not ours to change.
    let own_dev = mounts.iter().any(|mount| is_at(mount, "/dev") && mount.typ().as_deref() == Some("tmpfs"));
    if own_dev {
        for (path, major, minor) in DEFAULT_DEVICES.into_iter().filter(|(path, ..)| !taken(path)) {
            all.push(device(path.into(), major, minor));
        }
    }
    for node in spec.linux().iter().flat_map(|linux| linux.devices().iter().flatten()) {
        let path = node.path();
        let known = DEFAULT_DEVICES.iter().any(|(known, ..)| path == Path::new(known));
        if known && own_dev || path.to_str().is_some_and(taken) {
            continue;
        }
        if !matches!(node.typ(), LinuxDeviceType::C | LinuxDeviceType::U | LinuxDeviceType::B) {
            return Err(Error::configuration(format!("{} is no character or block device", path.display())));
        }
        let number = |value: i64| u32::try_from(value).unwrap_or_default();
        all.push(device(path.clone(), number(node.major()), number(node.minor())));
    }
    if own_dev {
        all.push(MountOp::Links);
    }
    Ok(all)
}

/// mknod(2) is not for us in a user namespace, so nodes are the host's, bound.
fn device(path: PathBuf, major: u32, minor: u32) -> MountOp {
    MountOp::Bind {
        source: Source::Path { path: path.clone(), device: Some((major, minor)) },
        destination: path,
        reach: Reach::One,
        attributes: Attributes {
            on: attribute::NO_SUID | attribute::NO_EXEC,
            propagation: Some((Propagation::Private, Reach::One)),
            ..Attributes::default()
        },
    }
}

fn is_at(mount: &Mount, path: &str) -> bool {
    mount.destination() == Path::new(path)
}

fn operation(mount: &Mount) -> Result<MountOp> {
    let destination = mount.destination().clone();
    if !destination.is_absolute() {
        return Err(Error::configuration(format!("the mount destination {} is not absolute", destination.display())));
    }
    if mount.uid_mappings().is_some() || mount.gid_mappings().is_some() {
        return Err(Error::configuration(format!(
            "{}: idmapped mounts need rights over the host",
            destination.display()
        )));
    }
    let kind = mount.typ().as_deref().unwrap_or("bind");
    let options = Options::parse(mount.options().as_deref().unwrap_or_default(), &destination)?;
    if kind == "bind" || kind == "rbind" || options.bind.is_some() {
        let path = mount.source().clone().ok_or_else(|| {
            Error::configuration(format!("the bind mount at {} has no source", destination.display()))
        })?;
        if options.copy_link && std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
            return Ok(MountOp::Link { source: path, destination });
        }
        let reach = options.bind.unwrap_or(if kind == "rbind" { Reach::Recursive } else { Reach::One });
        return Ok(MountOp::Bind {
            source: Source::Path { path, device: None },
            destination,
            reach,
            attributes: options.attributes,
        });
    }
    let (kind, instead) = match kind {
        "cgroup" | "cgroup2" => ("cgroup2", Some("/sys/fs/cgroup")),
        "sysfs" => ("sysfs", Some("/sys")),
        "mqueue" => ("mqueue", Some("/dev/mqueue")),
        other => (other, None),
    };
    let mut data = options.data;
    // Every instance has been a new one since Linux 4.7, and `nsdelegate` and the like are the host's to choose.
    data.retain(|(key, _)| !(kind == "devpts" && key == "newinstance") && kind != "cgroup2");
    Ok(MountOp::FileSystem {
        kind: kind.to_owned(),
        source: mount.source().as_ref().map(|source| source.to_string_lossy().into_owned()),
        destination,
        attributes: options.attributes,
        data,
        copy_up: options.copy_up,
        instead: instead.map(PathBuf::from),
    })
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    bind: Option<Reach>,
    attributes: Attributes,
    data: Vec<(String, Option<String>)>,
    copy_up: bool,
    copy_link: bool,
}

impl Options {
    /// The words of mount(8) and of config.md, "Linux mount options". Later words win over earlier ones.
    fn parse(words: &[String], destination: &Path) -> Result<Options> {
        use attribute::{NO_DEV, NO_DIR_ATIME, NO_EXEC, NO_SUID, NO_SYMLINKS, READ_ONLY};
        let mut all = Options::default();
        for word in words {
            let (on, off, on_recursive, off_recursive) = match word.as_str() {
                "ro" => (READ_ONLY, 0, 0, 0),
                "rw" => (0, READ_ONLY, 0, READ_ONLY),
                "nosuid" => (NO_SUID, 0, 0, 0),
                "suid" => (0, NO_SUID, 0, 0),
                "nodev" => (NO_DEV, 0, 0, 0),
                "dev" => (0, NO_DEV, 0, 0),
                "noexec" => (NO_EXEC, 0, 0, 0),
                "exec" => (0, NO_EXEC, 0, 0),
                "nodiratime" => (NO_DIR_ATIME, 0, 0, 0),
                "diratime" => (0, NO_DIR_ATIME, 0, 0),
                "nosymfollow" => (NO_SYMLINKS, 0, 0, 0),
                "symfollow" => (0, NO_SYMLINKS, 0, 0),
                "rro" => (0, 0, READ_ONLY, 0),
                "rrw" => (0, 0, 0, READ_ONLY),
                "rnosuid" => (0, 0, NO_SUID, 0),
                "rsuid" => (0, 0, 0, NO_SUID),
                "rnodev" => (0, 0, NO_DEV, 0),
                "rdev" => (0, 0, 0, NO_DEV),
                "rnoexec" => (0, 0, NO_EXEC, 0),
                "rexec" => (0, 0, 0, NO_EXEC),
                other => {
                    all.other_word(other, destination)?;
                    continue;
                }
            };
            all.attributes.on = all.attributes.on & !off | on;
            all.attributes.on_recursive = all.attributes.on_recursive & !off_recursive | on_recursive;
        }
        Ok(all)
    }

    fn other_word(&mut self, word: &str, destination: &Path) -> Result<()> {
        use Propagation::{Private, Shared, Slave, Unbindable};
        match word {
            "bind" => self.bind = Some(Reach::One),
            "rbind" => self.bind = Some(Reach::Recursive),
            "private" => self.attributes.propagation = Some((Private, Reach::One)),
            "rprivate" => self.attributes.propagation = Some((Private, Reach::Recursive)),
            "shared" => self.attributes.propagation = Some((Shared, Reach::One)),
            "rshared" => self.attributes.propagation = Some((Shared, Reach::Recursive)),
            "slave" => self.attributes.propagation = Some((Slave, Reach::One)),
            "rslave" => self.attributes.propagation = Some((Slave, Reach::Recursive)),
            "unbindable" => self.attributes.propagation = Some((Unbindable, Reach::One)),
            "runbindable" => self.attributes.propagation = Some((Unbindable, Reach::Recursive)),
            "noatime" => self.attributes.access_time = Some(attribute::NO_ATIME),
            "strictatime" => self.attributes.access_time = Some(attribute::STRICT_ATIME),
            "relatime" | "atime" | "norelatime" | "nostrictatime" => self.attributes.access_time = None,
            "tmpcopyup" => self.copy_up = true,
            // As crun(1) has it.
            "copy-symlink" => self.copy_link = true,
            // Said by the caller for others: relabelling, ownership and volume copies are done before us.
            "defaults" | "remount" | "silent" | "loud" | "z" | "Z" | "U" | "copy" | "nocopy" | "notmpcopyup"
            | "async" | "nomand" | "mand" | "noiversion" | "iversion" => {}
            _ if word == "idmap" || word == "ridmap" || word.starts_with("idmap=") => {
                return Err(Error::configuration(format!(
                    "{}: idmapped mounts need rights over the host",
                    destination.display()
                )));
            }
            _ => self.data.push(match word.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::MountBuilder;

    fn parse(words: &[&str]) -> Options {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Options::parse(&words, Path::new("/x")).unwrap()
    }

    #[test]
    fn later_words_win() {
        assert_eq!(parse(&["ro", "rw"]).attributes.on, 0);
        assert_eq!(parse(&["rw", "ro", "nosuid"]).attributes.on, attribute::READ_ONLY | attribute::NO_SUID);
        assert_eq!(parse(&["rro", "rw"]).attributes.on_recursive, 0);
    }

    #[test]
    fn what_is_no_mount_flag_belongs_to_the_file_system() {
        let options = parse(&["nosuid", "size=64k", "mode=1777", "noswap", "tmpcopyup"]);
        let data: Vec<_> = options.data.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        assert_eq!(data, [("size", Some("64k")), ("mode", Some("1777")), ("noswap", None)]);
        assert!(options.copy_up);
    }

    #[test]
    fn propagation_and_reach() {
        let options = parse(&["rbind", "rslave"]);
        assert_eq!(options.bind, Some(Reach::Recursive));
        assert_eq!(options.attributes.propagation, Some((Propagation::Slave, Reach::Recursive)));
    }

    #[test]
    fn idmapped_mounts_are_refused_by_name() {
        let error = Options::parse(&["idmap=uids=0-1-2".to_owned()], Path::new("/x")).unwrap_err();
        assert!(error.to_string().contains("idmapped"));
    }

    #[test]
    fn default_devices_need_a_dev_of_our_own_and_give_way_to_the_users() {
        let mount = |destination: &str, kind: &str| {
            MountBuilder::default().destination(destination).typ(kind).source("/host").build().unwrap()
        };
        let mut spec = Spec::default();
        spec.set_linux(None);
        spec.set_mounts(Some(vec![mount("/dev", "tmpfs"), mount("/dev/null", "bind")]));
        // /dev, the user's null, five others, the links.
        assert_eq!(operations(&spec).unwrap().len(), 2 + 5 + 1);
        spec.set_mounts(Some(vec![mount("/dev", "bind")]));
        assert_eq!(operations(&spec).unwrap().len(), 1);
    }
}
