//! `RUN --mount=...`: what is there for one step and leaves nothing in the image.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use containers::{Endpoint, MountKind, MountSpec};
use storage::{Digest, Staging, Store};
use sys::lock::FileLock;

use super::copy::{self, Attributes, Destination, Tree};
use super::{Options, Secret};
use crate::error::{Error, Result};
use crate::pattern::Ignore;

/// One `--mount`, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) kind: Kind,
    pub(super) target: Option<PathBuf>,
    pub(super) source: Option<String>,
    pub(super) from: Option<String>,
    pub(super) id: Option<String>,
    pub(super) sharing: Sharing,
    pub(super) read_only: Option<bool>,
    pub(super) mode: Option<u32>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Bytes.
    pub(super) size: Option<u64>,
    pub(super) required: bool,
    /// A secret goes into this variable.
    pub(super) env: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// Who may write to a cache at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sharing {
    #[default]
    Shared,
    Private,
    Locked,
}

impl std::str::FromStr for Mount {
    type Err = String;

    fn from_str(text: &str) -> Result<Mount, String> {
        let mut mount = Mount {
            kind: Kind::Bind,
            target: None,
            source: None,
            from: None,
            id: None,
            sharing: Sharing::default(),
            read_only: None,
            mode: None,
            uid: 0,
            gid: 0,
            size: None,
            required: false,
            env: None,
        };
        for option in text.split(',') {
            let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
            let bad = |why: &str| format!("--mount={text}: {option}: {why}");
            let needed = || value.filter(|value| !value.is_empty()).ok_or_else(|| bad("a value is missing"));
            let number = || needed()?.parse::<u32>().map_err(|_| bad("a number is needed"));
            let truth = || match value {
                None | Some("true" | "1") => Ok(true),
                Some("false" | "0") => Ok(false),
                Some(_) => Err(bad("true or false is needed")),
            };
            match key {
                "type" => {
                    mount.kind = match needed()? {
                        "bind" => Kind::Bind,
                        "cache" => Kind::Cache,
                        "tmpfs" => Kind::Tmpfs,
                        "secret" => Kind::Secret,
                        "ssh" => Kind::Ssh,
                        other => {
                            return Err(format!(
                                "invalid mount type \"{other}\": there are bind, cache, tmpfs, secret and ssh"
                            ));
                        }
                    }
                }
                "target" | "dst" | "destination" => mount.target = Some(needed()?.into()),
                "source" | "src" => mount.source = Some(needed()?.to_owned()),
                "from" => mount.from = Some(needed()?.to_owned()),
                "id" => mount.id = Some(needed()?.to_owned()),
                "sharing" => {
                    mount.sharing = match needed()? {
                        "shared" => Sharing::Shared,
                        "private" => Sharing::Private,
                        "locked" => Sharing::Locked,
                        _ => return Err(bad("use shared, private or locked")),
                    }
                }
                "ro" | "readonly" => mount.read_only = Some(truth()?),
                "rw" | "readwrite" => mount.read_only = Some(!truth()?),
                "mode" => {
                    let mode = u32::from_str_radix(needed()?, 8).map_err(|_| bad("octal digits are needed"))?;
                    mount.mode = Some(mode & 0o7777);
                }
                "uid" => mount.uid = number()?,
                "gid" => mount.gid = number()?,
                "size" | "tmpfs-size" => {
                    mount.size = Some(bytes(needed()?).ok_or_else(|| bad("a size is needed, as 64m"))?);
                }
                "required" => mount.required = truth()?,
                "env" => mount.env = Some(needed()?.to_owned()),
                // Nothing is labelled here.
                "z" | "Z" | "relabel" => {}
                _ => return Err(bad("there is no such option")),
            }
        }
        let needs_target = matches!(mount.kind, Kind::Bind | Kind::Cache | Kind::Tmpfs);
        if needs_target && mount.target.is_none() {
            return Err(format!("--mount={text}: target= is missing"));
        }
        if mount.kind == Kind::Secret && mount.id.is_none() && mount.target.is_none() {
            return Err(format!("--mount={text}: id= is missing"));
        }
        Ok(mount)
    }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1_u64 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// What a step's mounts come to; held until the step has ended.
#[derive(Default)]
pub(super) struct Mounted {
    pub(super) mounts: Vec<MountSpec>,
    pub(super) env: Vec<(String, String)>,
    _staging: Vec<Staging>,
    _locks: Vec<FileLock>,
}

/// Where a bind mount's files come from.
pub(super) enum Origin<'a> {
    /// A directory of the host, nothing outside of it.
    Directory(&'a Path),
    /// The id of an image.
    Image(&'a str),
}

impl Mounted {
    fn add(&mut self, kind: MountKind, destination: PathBuf, read_only: bool) -> &mut MountSpec {
        let options = Vec::new();
        let at = self.mounts.len();
        self.mounts.push(MountSpec { kind, destination, read_only, options, chown: false, group: None, subpath: None });
        &mut self.mounts[at]
    }

    pub(super) fn bind(&mut self, mount: &Mount, origin: &Origin<'_>, workdir: &str) -> Result<(), String> {
        let target = target(mount, workdir);
        let read_only = mount.read_only.unwrap_or(true);
        let source = mount.source.as_deref().unwrap_or("/");
        match origin {
            Origin::Directory(directory) => {
                let source = beneath(directory, source)?;
                // What is written is for this step alone.
                self.add(MountKind::Bind { source, overlay: !read_only }, target, read_only);
            }
            Origin::Image(id) => {
                let kind = MountKind::Image { reference: (*id).to_owned(), id: String::new(), read_write: !read_only };
                let subpath = source.trim_matches('/').trim_start_matches("./").to_owned();
                self.add(kind, target, read_only).subpath =
                    Some(PathBuf::from(subpath)).filter(|path| !path.as_os_str().is_empty() && path != Path::new("."));
            }
        }
        Ok(())
    }

    /// `first` is where the files of a cache that is new come from.
    pub(super) fn cache(
        &mut self,
        store: &Store,
        mount: &Mount,
        first: Option<&Endpoint>,
        workdir: &str,
    ) -> Result<()> {
        let target = target(mount, workdir);
        let id = mount.id.clone().unwrap_or_else(|| target.display().to_string());
        let (directory, lock) = open_cache(store, &id, mount.sharing)?;
        let fresh = !directory.exists();
        if fresh {
            let staging = store.staging()?;
            let place = staging.path().join("cache");
            fs::create_dir(&place).map_err(Error::io(&place))?;
            if let Some(files) = first {
                let source = mount.source.clone().unwrap_or_else(|| "/".to_owned());
                fill(files, &source, &place)?;
            }
            let mode = fs::Permissions::from_mode(mount.mode.unwrap_or(0o755));
            fs::set_permissions(&place, mode).map_err(Error::io(&place))?;
            chown(&place, Some(mount.uid), Some(mount.gid)).map_err(Error::io(&place))?;
            match fs::rename(&place, &directory) {
                // Another build was first.
                Err(_) if directory.exists() => {}
                other => other.map_err(Error::io(&directory))?,
            }
        }
        let read_only = mount.read_only.unwrap_or(false);
        self.add(MountKind::Bind { source: directory, overlay: false }, target, read_only);
        self._locks.push(lock);
        Ok(())
    }

    pub(super) fn tmpfs(&mut self, mount: &Mount, workdir: &str) {
        let kind = MountKind::Tmpfs { size: mount.size, mode: mount.mode, copy_up: false };
        self.add(kind, target(mount, workdir), mount.read_only.unwrap_or(false));
    }

    /// A copy of what lies at `path`, which is gone afterwards.
    pub(super) fn discarded(&mut self, path: &str) {
        self.add(MountKind::Tmpfs { size: None, mode: None, copy_up: true }, Path::new("/").join(path), false);
    }

    pub(super) fn secret(
        &mut self,
        store: &Store,
        mount: &Mount,
        options: &Options,
        workdir: &str,
    ) -> Result<(), String> {
        let id = mount.id.clone().or_else(|| Some(mount.target.as_ref()?.file_name()?.to_str()?.to_owned()));
        let id = id.unwrap_or_default();
        let Some(secret) = options.secrets.get(&id) else {
            return match mount.required {
                true => {
                    Err(format!("secret required but no secret with id \"{id}\" found: give it with --secret id={id}"))
                }
                false => Ok(()),
            };
        };
        let content = match secret {
            Secret::Value(value) => value.clone().into_bytes(),
            Secret::File(path) => fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?,
        };
        if let Some(name) = &mount.env {
            let value = String::from_utf8(content).map_err(|_| format!("the secret {id} is no text"))?;
            self.env.push((name.clone(), value));
            if mount.target.is_none() {
                return Ok(());
            }
            return self.file(store, value_of(&self.env, name), mount, target(mount, workdir));
        }
        let place = match &mount.target {
            Some(_) => target(mount, workdir),
            None => Path::new("/run/secrets").join(&id),
        };
        self.file(store, content, mount, place)
    }

    /// A file of ours, shown at `place`.
    fn file(&mut self, store: &Store, content: Vec<u8>, mount: &Mount, place: PathBuf) -> Result<(), String> {
        let staging = store.staging().map_err(|error| error.to_string())?;
        let path = staging.path().join("file");
        let written = fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mount.mode.unwrap_or(0o400))))
            .and_then(|()| chown(&path, Some(mount.uid), Some(mount.gid)));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
        self.add(MountKind::Bind { source: path, overlay: false }, place, true);
        self._staging.push(staging);
        Ok(())
    }

    /// A program that is there for this step.
    pub(super) fn script(&mut self, store: &Store, content: &str, place: PathBuf) -> Result<(), String> {
        let mount = Mount { mode: Some(0o755), .."type=tmpfs,target=/".parse()? };
        self.file(store, content.as_bytes().to_vec(), &mount, place)
    }

    pub(super) fn ssh(&mut self, mount: &Mount, options: &Options, workdir: &str) -> Result<(), String> {
        let id = mount.id.as_deref().unwrap_or("default");
        let Some(socket) = options.agents.get(id) else {
            return match mount.required {
                true => Err(format!("no ssh agent with id \"{id}\": give one with --ssh {id}")),
                false => Ok(()),
            };
        };
        let place = match &mount.target {
            Some(_) => target(mount, workdir),
            None => PathBuf::from("/run/buildkit/ssh_agent.0"),
        };
        self.env.push(("SSH_AUTH_SOCK".to_owned(), place.display().to_string()));
        self.add(MountKind::Bind { source: socket.clone(), overlay: false }, place, false);
        Ok(())
    }
}

fn value_of(env: &[(String, String)], name: &str) -> Vec<u8> {
    env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone().into_bytes()).unwrap_or_default()
}

fn target(mount: &Mount, workdir: &str) -> PathBuf {
    let typed = mount.target.clone().unwrap_or_default();
    let path = Path::new("/").join(workdir).join(typed);
    Path::new("/").join(crate::pattern::names(&path).iter().collect::<PathBuf>())
}

/// A path in a directory of the host; a link that leads out of it is refused.
fn beneath(directory: &Path, source: &str) -> Result<PathBuf, String> {
    let path = directory.join(crate::pattern::names(Path::new(source)).iter().collect::<PathBuf>());
    let said = |error: std::io::Error| format!("{source}: {error}");
    let (path, directory) = (path.canonicalize().map_err(said)?, directory.canonicalize().map_err(said)?);
    match path.starts_with(&directory) {
        true => Ok(path),
        false => Err(format!("{source} leads out of the context")),
    }
}

fn fill(files: &Endpoint, source: &str, place: &Path) -> Result<()> {
    let tree = Tree { files, ignore: &Ignore::default(), keeps_owners: true };
    let sources = copy::find(&tree, &[source.to_owned()]).map_err(Error::Invalid)?;
    let to = Destination { path: "/".into(), is_directory: true };
    let items = copy::collect(&tree, &sources, &to, &Attributes::default(), false)?;
    copy::carry(files, &items, &Endpoint::of_directory(place)?, (0, 0))
}

/// `ROOT/builds/caches`
pub(super) fn caches(store: &Store) -> PathBuf {
    store.dirs().root.join("builds").join("caches")
}

/// The directory of a cache, which may not be there yet, and the lock that says who uses it.
fn open_cache(store: &Store, id: &str, sharing: Sharing) -> Result<(PathBuf, FileLock)> {
    let all = caches(store);
    fs::create_dir_all(&all).map_err(Error::io(&all))?;
    let name = Digest::of(id.as_bytes()).hex()[..32].to_owned();
    let lock_of = |name: &str| all.join(format!("{name}.lock"));
    match sharing {
        Sharing::Shared => Ok((all.join(&name), FileLock::shared(&lock_of(&name)).map_err(Error::io(&all))?)),
        Sharing::Locked => Ok((all.join(&name), FileLock::exclusive(&lock_of(&name)).map_err(Error::io(&all))?)),
        // The first that nobody has.
        Sharing::Private => {
            for number in 0.. {
                let name = if number == 0 { name.clone() } else { format!("{name}-{number}") };
                if let Some(lock) = FileLock::try_exclusive(&lock_of(&name)).map_err(Error::io(&all))? {
                    return Ok((all.join(name), lock));
                }
            }
            unreachable!("the loop above has no end")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_understood() {
        let mount: Mount = "type=cache,target=/c,id=x,sharing=locked,mode=0700,uid=1,gid=2,ro".parse().unwrap();
        assert_eq!(
            (mount.kind, mount.target.as_deref(), mount.id.as_deref()),
            (Kind::Cache, Some(Path::new("/c")), Some("x"))
        );
        assert_eq!((mount.sharing, mount.mode, mount.uid, mount.gid), (Sharing::Locked, Some(0o700), 1, 2));
        assert_eq!(mount.read_only, Some(true));
        let mount: Mount = "target=/b,from=stage,source=a/b,rw".parse().unwrap();
        assert_eq!((mount.kind, mount.read_only, mount.from.as_deref()), (Kind::Bind, Some(false), Some("stage")));
        assert_eq!("type=tmpfs,dst=/t,size=64m".parse::<Mount>().unwrap().size, Some(64 << 20));
        for (text, expected) in [
            ("type=nope,target=/x", "invalid mount type \"nope\""),
            ("type=bind", "target= is missing"),
            ("type=secret", "id= is missing"),
            ("type=cache,target=/c,sharing=some", "use shared, private or locked"),
            ("type=bind,target=/x,what=1", "no such option"),
            ("type=cache,target=/c,mode=9", "octal"),
            ("type=bind,target=", "a value is missing"),
        ] {
            let error = text.parse::<Mount>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn targets_are_below_the_working_directory() {
        let at = |text: &str| target(&format!("target={text}").parse().unwrap(), "/work");
        assert_eq!(at("a"), Path::new("/work/a"));
        assert_eq!(at("../b"), Path::new("/b"));
        assert_eq!(at("/c/./d"), Path::new("/c/d"));
    }
}
