//! `--mount`.

use std::path::{Path, PathBuf};

use containers::{MountKind, MountSpec};

use super::tmpfs::Tmpfs;
use super::volume::check_volume_name;
use super::{container_path, host_path, normal};
use crate::arguments::{csv, go_bool, go_quote};
use crate::create_args::Surroundings;
use crate::error::Failure;

/// `type=TYPE,key[=value],...`; a glob gives several.
pub fn mount(text: &str, around: &Surroundings<'_>) -> Result<Vec<MountSpec>, Failure> {
    let fields = csv(text).map_err(Failure::plain)?;
    if fields.is_empty() {
        return Err(Failure::plain(
            "incorrect mount format: should be --mount type=<bind|glob|tmpfs|volume>,[src=<host-dir|volume-name>,]target=<ctr-dir>[,options]",
        ));
    }
    let mut kind = "volume".to_owned();
    let mut pairs: Vec<(String, Option<String>)> = Vec::new();
    for field in fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (field, None),
        };
        match (key.as_str(), value) {
            ("type", Some(value)) => kind = value,
            (_, value) => pairs.push((key, value)),
        }
    }
    if !matches!(kind.as_str(), "volume" | "bind" | "tmpfs" | "image" | "glob" | "ramfs" | "devpts" | "artifact") {
        return Err(Failure::plain(format!("invalid filesystem type {}", go_quote(&kind))));
    }
    if kind == "artifact" {
        return Ok(vec![artifact(&pairs)?]);
    }

    let mut source = None;
    let mut destination = None;
    let (mut read_only, mut chown, mut recursive, mut copy_up) = (false, false, true, true);
    let mut subpath = None;
    let mut image_writable = false;
    let mut access_said = false;
    let mut rest = Vec::new();
    let mut tmpfs = Tmpfs::default();
    let again = |key: &str| {
        Failure::plain(format!(
            "cannot pass {} option more than once: must provide an argument for option",
            go_quote(key)
        ))
    };
    let flag = |value: &Option<String>| value.as_deref().map_or(Some(true), go_bool);
    for (key, value) in &pairs {
        let bad = || Failure::plain(format!("{key}: invalid mount option"));
        let text = value.clone().unwrap_or_default();
        match (key.as_str(), kind.as_str()) {
            ("src" | "source", "tmpfs" | "ramfs")
            | ("bind-propagation", "volume" | "tmpfs" | "ramfs" | "image" | "devpts")
            | ("tmpcopyup" | "notmpcopyup", "volume" | "bind" | "glob" | "ramfs")
            | ("tmpfs-size" | "tmpfs-mode", "volume" | "bind" | "glob" | "ramfs") => {
                return Err(Failure::plain(format!(
                    "{} option not supported for {} mount types",
                    go_quote(key),
                    go_quote(&kind)
                )));
            }
            // Nothing that can be said about it is known of a devpts or an image.
            ("src" | "source" | "ro" | "readonly", "devpts")
            | ("ro" | "readonly" | "exec" | "noexec" | "dev" | "nodev" | "suid" | "nosuid", "image") => {
                return Err(bad());
            }
            ("rw", "image") if text.is_empty() => {
                return Err(Failure::plain("invalid rw value \"\": invalid mount option"));
            }
            ("subpath" | "volume-subpath", "image") if !text.starts_with('/') => {
                return Err(Failure::plain(format!("volume subpath {} must be an absolute path", go_quote(&text))));
            }
            ("relabel" | "z" | "Z", "tmpfs" | "ramfs") => {
                return Err(Failure::plain(
                    "the 'z' and 'Z' options are not allowed with tmpfs mounts: invalid mount option",
                ));
            }
            ("src" | "source", "bind" | "volume") if text.is_empty() => {
                return Err(Failure::plain("host directory cannot be empty: must provide an argument for option"));
            }
            ("src" | "source", _) if source.is_some() => return Err(again(key)),
            ("src" | "source", _) => source = Some(text).filter(|text| !text.is_empty()),
            ("dst" | "dest" | "destination" | "target", _) if text.is_empty() => {
                return Err(Failure::plain("container directory cannot be empty"));
            }
            ("dst" | "dest" | "destination" | "target", _) if destination.is_some() => return Err(again(key)),
            ("dst" | "dest" | "destination" | "target", _) => destination = Some(container_path(&text)?),
            ("ro" | "readonly" | "rw", _) if std::mem::replace(&mut access_said, true) => {
                return Err(Failure::plain(
                    "cannot pass 'readonly', 'ro', or 'rw' mnt.Options more than once: must provide an argument for option",
                ));
            }
            ("ro" | "readonly", _) => read_only = flag(value).ok_or_else(bad)?,
            ("rw", "image") => image_writable = flag(value).ok_or_else(bad)?,
            ("rw", _) => read_only = !flag(value).ok_or_else(bad)?,
            ("subpath" | "volume-subpath", "volume" | "image") => subpath = Some(PathBuf::from(text)),
            ("subpath" | "volume-subpath", "bind" | "glob" | "tmpfs" | "ramfs" | "devpts") => {
                return Err(Failure::plain(format!("cannot set option {} on non-volume mounts", go_quote(key))));
            }
            ("noswap", "tmpfs") => {
                return Err(Failure::plain(
                    "the 'noswap' option is only allowed with rootful tmpfs mounts: must provide an argument for option",
                ));
            }
            ("bind-propagation", "bind" | "glob") => {
                let word = text.as_str();
                if !matches!(
                    word,
                    "shared" | "rshared" | "private" | "rprivate" | "slave" | "rslave" | "unbindable" | "runbindable"
                ) {
                    return Err(Failure::plain(format!("invalid value {}", go_quote(&format!("{key}={word}")))));
                }
                rest.push(text);
            }
            (
                "shared" | "rshared" | "private" | "rprivate" | "slave" | "rslave" | "unbindable" | "runbindable",
                "bind" | "volume" | "glob",
            ) => {
                rest.push(key.clone());
            }
            ("bind-nonrecursive", "bind" | "glob") => recursive = !flag(value).ok_or_else(bad)?,
            ("relabel", _) => match text.as_str() {
                "private" => rest.push("Z".into()),
                "shared" => rest.push("z".into()),
                _ => {
                    return Err(Failure::plain(
                        "relabel mount option must be 'private' or 'shared': invalid mount option",
                    ));
                }
            },
            ("z" | "Z", _) => rest.push(key.clone()),
            ("U" | "chown", _) => chown = flag(value).ok_or_else(bad)?,
            ("volume-nocopy" | "nocopy", "volume") => copy_up = !flag(value).ok_or_else(bad)?,
            ("consistency", _) => {}
            ("idmap", "bind" | "volume" | "glob") => {
                rest.push(if text.is_empty() { key.clone() } else { format!("{key}={text}") });
            }
            ("no-dereference", "bind" | "glob") => {
                if flag(value).ok_or_else(bad)? {
                    rest.push("copy-symlink".into());
                }
            }
            ("volume-opt" | "volume-label", "volume") => rest.push(format!("{key}={text}")),
            ("exec" | "noexec" | "dev" | "nodev" | "suid" | "nosuid", _) => {
                rest.push(key.clone());
                tmpfs.rest.push(key.clone());
            }
            ("tmpfs-size" | "tmpfs-mode" | "size" | "mode", "tmpfs" | "ramfs") => {
                tmpfs.option(&format!("{key}={text}"))?
            }
            ("tmpcopyup" | "notmpcopyup" | "noswap" | "noatime" | "uid" | "gid", "tmpfs" | "ramfs") => {
                tmpfs.option(&if text.is_empty() { key.clone() } else { format!("{key}={text}") })?;
            }
            ("uid" | "gid" | "mode" | "max", "devpts") => {
                if text.parse::<u32>().is_err() {
                    return Err(Failure::plain(format!("invalid value {}", go_quote(&format!("{key}={text}")))));
                }
                rest.push(format!("{key}={text}"));
            }
            _ => return Err(bad()),
        }
    }
    if kind == "glob" {
        if !recursive {
            rest.push("bind".into());
        }
        let pattern = source.unwrap_or_default();
        return glob(&pattern, destination.as_deref(), around, |kind, destination| MountSpec {
            kind,
            destination,
            read_only,
            options: rest.clone(),
            group: None,
            chown,
            subpath: None,
        });
    }
    let missing = || match kind.as_str() {
        "image" => Failure::plain("must set source and destination for image volume"),
        _ => Failure::plain("must set volume destination"),
    };
    let destination = destination.ok_or_else(missing)?;
    let kind = match kind.as_str() {
        "bind" => {
            let source = source.unwrap_or_else(|| destination.display().to_string());
            if !recursive {
                rest.push("bind".into());
            }
            let link = rest.iter().any(|word| word == "copy-symlink");
            let path = if link { normal(&around.cwd.join(&source)) } else { host_path(&source, around)? };
            MountKind::Bind { source: path, overlay: false }
        }
        "volume" => {
            if let Some(name) = &source {
                check_volume_name(name)?;
            }
            MountKind::Volume { anonymous: source.is_none(), name: source, copy_up, overlay: false }
        }
        "image" => {
            let reference = source.ok_or_else(|| Failure::plain("must set source and destination for image volume"))?;
            read_only = !image_writable;
            MountKind::Image { reference, id: String::new(), read_write: image_writable }
        }
        "tmpfs" => {
            tmpfs.chown = chown;
            tmpfs.read_only = Some(read_only);
            return Ok(vec![tmpfs.finish(destination)]);
        }
        "ramfs" => {
            rest = tmpfs.rest;
            MountKind::Ramfs
        }
        _ => MountKind::DevPts,
    };
    Ok(vec![MountSpec { kind, destination, read_only, options: rest, chown, group: None, subpath }])
}

/// The keys of an artifact's mount; nothing about it can be chosen but what is mounted.
fn artifact(pairs: &[(String, Option<String>)]) -> Result<MountSpec, Failure> {
    let (mut source, mut destination, mut title, mut digest, mut name) = (None, None, None, None, None);
    for (key, value) in pairs {
        let place = match key.as_str() {
            "src" | "source" => &mut source,
            "dst" | "dest" | "destination" | "target" => &mut destination,
            "title" => &mut title,
            "digest" => &mut digest,
            "name" => &mut name,
            _ => return Err(Failure::plain(format!("{key}: invalid mount option"))),
        };
        *place = value.clone().filter(|value| !value.is_empty());
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

/// A mount for each path of the host that fits, below the destination or at the same place.
fn glob(
    pattern: &str,
    destination: Option<&Path>,
    around: &Surroundings<'_>,
    mount: impl Fn(MountKind, PathBuf) -> MountSpec,
) -> Result<Vec<MountSpec>, Failure> {
    let whole = around.cwd.join(pattern);
    let found = crate::glob::expand(&whole, around.list);
    if found.is_empty() || pattern.is_empty() {
        return Err(Failure::plain(format!("no file paths matching glob {}", go_quote(pattern))));
    }
    let one = |path: PathBuf| {
        let destination = match destination {
            Some(dir) => dir.join(path.file_name().unwrap_or_default()),
            None => path.clone(),
        };
        mount(MountKind::Bind { source: path, overlay: false }, destination)
    };
    Ok(found.into_iter().map(one).collect())
}
