//! `--mount`.

use std::path::{Path, PathBuf};

use containers::{MountKind, MountSpec};

use super::tmpfs::Tmpfs;
use super::volume::check_volume_name;
use super::{container_path, host_path, normal};
use crate::arguments::{csv, go_bool, go_quote};
use crate::create_args::Surroundings;
use crate::error::Failure;

/// What `type=` names. An artifact has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Bind,
    DevPts,
    Glob,
    Image,
    Ramfs,
    Tmpfs,
    Volume,
}

impl Type {
    const ALL: [(&str, Type); 7] = [
        ("bind", Type::Bind),
        ("devpts", Type::DevPts),
        ("glob", Type::Glob),
        ("image", Type::Image),
        ("ramfs", Type::Ramfs),
        ("tmpfs", Type::Tmpfs),
        ("volume", Type::Volume),
    ];

    fn parse(name: &str) -> Result<Type, Failure> {
        let known = Type::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        known.ok_or_else(|| Failure::plain(format!("invalid filesystem type {}", go_quote(name))))
    }

    fn name(self) -> &'static str {
        Type::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// One element of the list, `KEY[=VALUE]`.
struct Pair {
    key: String,
    value: Option<String>,
}

impl Pair {
    fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    /// A key alone is true.
    fn flag(&self) -> Result<bool, Failure> {
        self.value.as_deref().map_or(Some(true), go_bool).ok_or_else(|| self.invalid())
    }

    /// As it goes on: a value that is empty is left out.
    fn word(&self) -> String {
        match self.text() {
            "" => self.key.clone(),
            text => format!("{}={text}", self.key),
        }
    }

    fn invalid(&self) -> Failure {
        Failure::plain(format!("{}: invalid mount option", self.key))
    }

    fn invalid_value(&self) -> Failure {
        Failure::plain(format!("invalid value {}", go_quote(&format!("{}={}", self.key, self.text()))))
    }
}

/// `type=TYPE,key[=value],...`; a glob gives several.
pub fn mount(text: &str, around: &Surroundings<'_>) -> Result<Vec<MountSpec>, Failure> {
    let fields = csv(text).map_err(Failure::plain)?;
    if fields.is_empty() {
        return Err(Failure::plain(
            "incorrect mount format: should be --mount type=<bind|glob|tmpfs|volume>,[src=<host-dir|volume-name>,]target=<ctr-dir>[,options]",
        ));
    }
    let mut kind = "volume".to_owned();
    let mut pairs = Vec::new();
    for field in fields {
        match field.split_once('=') {
            Some(("type", value)) => kind = value.to_owned(),
            Some((key, value)) => pairs.push(Pair { key: key.to_owned(), value: Some(value.to_owned()) }),
            None => pairs.push(Pair { key: field, value: None }),
        }
    }
    if kind == "artifact" {
        return Ok(vec![artifact(&pairs)?]);
    }
    let kind = Type::parse(&kind)?;
    let mut typed = Typed::default();
    for pair in &pairs {
        refuse(pair, kind)?;
        typed.take(pair, kind)?;
    }
    typed.finish(kind, around)
}

/// What cannot be said of that type, or not with that value, in Podman's words.
fn refuse(pair: &Pair, kind: Type) -> Result<(), Failure> {
    use Type::{Bind, DevPts, Glob, Image, Ramfs, Tmpfs, Volume};
    let quoted = || go_quote(&pair.key);
    Err(match (pair.key.as_str(), kind) {
        ("src" | "source", Tmpfs | Ramfs)
        | ("bind-propagation", Volume | Tmpfs | Ramfs | Image | DevPts)
        | ("tmpcopyup" | "notmpcopyup" | "tmpfs-size" | "tmpfs-mode", Volume | Bind | Glob | Ramfs) => {
            let kind = go_quote(kind.name());
            Failure::plain(format!("{} option not supported for {kind} mount types", quoted()))
        }
        // Nothing that can be said about it is known of a devpts or an image.
        ("src" | "source" | "ro" | "readonly", DevPts)
        | ("ro" | "readonly" | "exec" | "noexec" | "dev" | "nodev" | "suid" | "nosuid", Image) => pair.invalid(),
        ("rw", Image) if pair.text().is_empty() => Failure::plain("invalid rw value \"\": invalid mount option"),
        ("subpath" | "volume-subpath", Image) if !pair.text().starts_with('/') => {
            Failure::plain(format!("volume subpath {} must be an absolute path", go_quote(pair.text())))
        }
        ("subpath" | "volume-subpath", Bind | Glob | Tmpfs | Ramfs | DevPts) => {
            Failure::plain(format!("cannot set option {} on non-volume mounts", quoted()))
        }
        ("relabel" | "z" | "Z", Tmpfs | Ramfs) => {
            Failure::plain("the 'z' and 'Z' options are not allowed with tmpfs mounts: invalid mount option")
        }
        ("relabel", _) if !matches!(pair.text(), "private" | "shared") => {
            Failure::plain("relabel mount option must be 'private' or 'shared': invalid mount option")
        }
        ("src" | "source", Bind | Volume) if pair.text().is_empty() => {
            Failure::plain("host directory cannot be empty: must provide an argument for option")
        }
        ("dst" | "dest" | "destination" | "target", _) if pair.text().is_empty() => {
            Failure::plain("container directory cannot be empty")
        }
        ("noswap", Tmpfs) => Failure::plain(
            "the 'noswap' option is only allowed with rootful tmpfs mounts: must provide an argument for option",
        ),
        ("bind-propagation", Bind | Glob) if !is_propagation(pair.text()) => pair.invalid_value(),
        ("uid" | "gid" | "mode" | "max", DevPts) if pair.text().parse::<u32>().is_err() => pair.invalid_value(),
        _ => return Ok(()),
    })
}

fn is_propagation(word: &str) -> bool {
    matches!(word, "shared" | "rshared" | "private" | "rprivate" | "slave" | "rslave" | "unbindable" | "runbindable")
}

/// What was said of a mount.
#[derive(Default)]
struct Typed {
    source: Option<String>,
    destination: Option<PathBuf>,
    read_only: Option<bool>,
    chown: bool,
    non_recursive: bool,
    no_copy_up: bool,
    subpath: Option<PathBuf>,
    /// What goes on to the mount as it is.
    options: Vec<String>,
    /// What a tmpfs or a ramfs has instead.
    tmpfs: Tmpfs,
}

impl Typed {
    /// Notes one element that [`refuse`] has let pass.
    fn take(&mut self, pair: &Pair, kind: Type) -> Result<(), Failure> {
        use Type::{Bind, DevPts, Glob, Ramfs, Tmpfs, Volume};
        let again = || {
            let key = go_quote(&pair.key);
            Failure::plain(format!("cannot pass {key} option more than once: must provide an argument for option"))
        };
        match (pair.key.as_str(), kind) {
            ("src" | "source", _) if self.source.is_some() => return Err(again()),
            ("src" | "source", _) => self.source = pair.value.clone().filter(|text| !text.is_empty()),
            ("dst" | "dest" | "destination" | "target", _) if self.destination.is_some() => return Err(again()),
            ("dst" | "dest" | "destination" | "target", _) => self.destination = Some(container_path(pair.text())?),
            ("ro" | "readonly" | "rw", _) if self.read_only.is_some() => {
                return Err(Failure::plain(
                    "cannot pass 'readonly', 'ro', or 'rw' mnt.Options more than once: must provide an argument for option",
                ));
            }
            ("ro" | "readonly", _) => self.read_only = Some(pair.flag()?),
            ("rw", _) => self.read_only = Some(!pair.flag()?),
            ("subpath" | "volume-subpath", _) => self.subpath = Some(PathBuf::from(pair.text())),
            ("bind-propagation", _) => self.options.push(pair.text().to_owned()),
            (word, Bind | Volume | Glob) if is_propagation(word) => self.options.push(pair.key.clone()),
            ("bind-nonrecursive", Bind | Glob) => self.non_recursive = pair.flag()?,
            ("relabel", _) => self.options.push(if pair.text() == "private" { "Z" } else { "z" }.to_owned()),
            ("z" | "Z", _) => self.options.push(pair.key.clone()),
            ("U" | "chown", _) => self.chown = pair.flag()?,
            ("volume-nocopy" | "nocopy", Volume) => self.no_copy_up = pair.flag()?,
            ("consistency", _) => {}
            ("idmap", Bind | Volume | Glob) => self.options.push(pair.word()),
            ("no-dereference", Bind | Glob) => {
                if pair.flag()? {
                    self.options.push("copy-symlink".into());
                }
            }
            ("volume-opt" | "volume-label", Volume) => self.options.push(format!("{}={}", pair.key, pair.text())),
            (
                "exec" | "noexec" | "dev" | "nodev" | "suid" | "nosuid" | "tmpfs-size" | "tmpfs-mode" | "size" | "mode"
                | "tmpcopyup" | "notmpcopyup" | "noswap" | "noatime" | "uid" | "gid",
                Tmpfs | Ramfs,
            ) => self.tmpfs.option(&pair.word())?,
            ("exec" | "noexec" | "dev" | "nodev" | "suid" | "nosuid", Bind | Volume | Glob | DevPts) => {
                self.options.push(pair.key.clone());
            }
            ("uid" | "gid" | "mode" | "max", DevPts) => self.options.push(pair.word()),
            _ => return Err(pair.invalid()),
        }
        Ok(())
    }

    fn finish(mut self, kind: Type, around: &Surroundings<'_>) -> Result<Vec<MountSpec>, Failure> {
        if self.non_recursive {
            self.options.push("bind".into());
        }
        let source = self.source.take();
        let Some(destination) = self.destination.take() else {
            return match kind {
                Type::Glob => self.globbed(source, None, around),
                Type::Image => Err(Failure::plain("must set source and destination for image volume")),
                _ => Err(Failure::plain("must set volume destination")),
            };
        };
        let kind = match kind {
            Type::Bind => {
                let source = source.unwrap_or_else(|| destination.display().to_string());
                let is_link = self.options.iter().any(|word| word == "copy-symlink");
                bind(if is_link { normal(&around.cwd.join(&source)) } else { host_path(&source, around)? })
            }
            Type::Volume => {
                if let Some(name) = &source {
                    check_volume_name(name)?;
                }
                let copy_up = !self.no_copy_up;
                MountKind::Volume { anonymous: source.is_none(), name: source, copy_up, overlay: false }
            }
            Type::Image => {
                let missing = || Failure::plain("must set source and destination for image volume");
                let read_only = *self.read_only.get_or_insert(true);
                MountKind::Image { reference: source.ok_or_else(missing)?, id: String::new(), read_write: !read_only }
            }
            Type::Tmpfs => {
                self.tmpfs.chown = self.chown;
                self.tmpfs.read_only = self.read_only;
                return Ok(vec![self.tmpfs.finish(destination)]);
            }
            Type::Ramfs => {
                self.options = std::mem::take(&mut self.tmpfs.rest);
                MountKind::Ramfs
            }
            Type::DevPts => MountKind::DevPts,
            Type::Glob => return self.globbed(source, Some(&destination), around),
        };
        Ok(vec![self.spec(kind, destination)])
    }

    /// A mount for each path of the host that fits, below the destination or at the same place.
    fn globbed(
        &self,
        pattern: Option<String>,
        destination: Option<&Path>,
        around: &Surroundings<'_>,
    ) -> Result<Vec<MountSpec>, Failure> {
        let pattern = pattern.unwrap_or_default();
        let found = crate::glob::expand(&around.cwd.join(&pattern), around.list);
        if found.is_empty() || pattern.is_empty() {
            return Err(Failure::plain(format!("no file paths matching glob {}", go_quote(&pattern))));
        }
        let place = |path: &Path| match destination {
            Some(dir) => dir.join(path.file_name().unwrap_or_default()),
            None => path.to_owned(),
        };
        Ok(found.into_iter().map(|path| self.spec(bind(path.clone()), place(&path))).collect())
    }

    fn spec(&self, kind: MountKind, destination: PathBuf) -> MountSpec {
        MountSpec {
            kind,
            destination,
            read_only: self.read_only.unwrap_or(false),
            options: self.options.clone(),
            chown: self.chown,
            group: None,
            subpath: self.subpath.clone(),
        }
    }
}

fn bind(source: PathBuf) -> MountKind {
    MountKind::Bind { source, overlay: false }
}

/// The keys of an artifact's mount; nothing about it can be chosen but what is mounted.
fn artifact(pairs: &[Pair]) -> Result<MountSpec, Failure> {
    let (mut source, mut destination, mut title, mut digest, mut name) = (None, None, None, None, None);
    for pair in pairs {
        let place = match pair.key.as_str() {
            "src" | "source" => &mut source,
            "dst" | "dest" | "destination" | "target" => &mut destination,
            "title" => &mut title,
            "digest" => &mut digest,
            "name" => &mut name,
            _ => return Err(pair.invalid()),
        };
        *place = pair.value.clone().filter(|value| !value.is_empty());
    }
    let (Some(reference), Some(destination)) = (source, destination) else {
        return Err(Failure::plain("must set source and destination for artifact volume"));
    };
    if title.is_some() && digest.is_some() {
        return Err(Failure::plain("cannot specify both digest and title"));
    }
    if name.as_deref().is_some_and(|name: &str| name.contains('/') || matches!(name, "." | "..")) {
        let name = go_quote(name.as_deref().unwrap_or_default());
        return Err(Failure::plain(format!("invalid name {name} for the files of an artifact: it is no file name")));
    }
    Ok(MountSpec {
        kind: MountKind::Artifact { reference, title, digest, name },
        destination: container_path(&destination)?,
        read_only: true,
        options: Vec::new(),
        chown: false,
        group: None,
        subpath: None,
    })
}
