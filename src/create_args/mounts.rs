//! `-v`, `--mount` and `--tmpfs`.

use std::path::{Component, Path, PathBuf};

use containers::{ImageVolumes, MountKind, MountSpec};

use super::{CreateArgs, Surroundings};
use crate::arguments::{csv, go_bool, go_quote};
use crate::error::Failure;
use crate::format::human;

pub fn mounts(args: &CreateArgs, around: &Surroundings<'_>) -> Result<Vec<MountSpec>, Failure> {
    let mut mounts: Vec<MountSpec> = Vec::new();
    let mut add = |mount: MountSpec, flag: &str| {
        match mounts.iter().find(|known| known.destination == mount.destination) {
            None => mounts.push(mount),
            // Said again, word for word.
            Some(known) if *known == mount && flag != "--mount" => {}
            Some(known) => {
                return Err(Failure::plain(format!("{}: duplicate mount destination", known.destination.display())));
            }
        }
        Ok(())
    };
    for text in &args.mount {
        mount(text, around)?.into_iter().try_for_each(|mount| add(mount, "--mount"))?;
    }
    for text in &args.volume {
        add(volume(text, around)?, "--volume")?;
    }
    for text in &args.tmpfs {
        add(tmpfs(text)?, "--tmpfs")?;
    }
    // Defaults of the configuration yield to what was typed.
    let mut defaults = Vec::new();
    for text in around.config.list("containers", "mounts") {
        defaults.extend(mount(&text, around)?);
    }
    for text in around.config.list("containers", "volumes") {
        defaults.push(volume(&text, around)?);
    }
    for default in defaults {
        if mounts.iter().all(|known| known.destination != default.destination) {
            mounts.push(default);
        }
    }
    Ok(mounts)
}

fn option_error(first: &str, second: &str, which: &str) -> Failure {
    Failure::plain(format!("invalid options \"{first}, {second}\", can only specify 1 {which} option"))
}

/// Options after the second colon of `-v`, sorted by what they are about.
#[derive(Default)]
struct VolumeOptions {
    read_only: bool,
    chown: bool,
    overlay: bool,
    copy_up: Option<bool>,
    /// Directories of the user's in which an overlay's writes stay.
    upper: Option<String>,
    work: Option<String>,
    rest: Vec<String>,
}

fn volume_options(text: &str) -> Result<VolumeOptions, Failure> {
    let mut options = VolumeOptions::default();
    let mut seen: Vec<(&str, String)> = Vec::new();
    let mut once = |group: &'static str, word: &str, which: &str| match seen.iter().find(|(known, _)| *known == group) {
        Some((_, first)) => Err(option_error(first, word, which)),
        None => {
            seen.push((group, word.to_owned()));
            Ok(())
        }
    };
    for word in text.split(',').filter(|word| !word.is_empty()) {
        match word {
            "ro" | "rw" => {
                once("rw", word, "'rw' or 'ro'")?;
                options.read_only = word == "ro";
            }
            "z" | "Z" | "O" => {
                once("z", word, "'z', 'Z', or 'O'")?;
                if word == "O" {
                    options.overlay = true;
                } else {
                    options.rest.push(word.to_owned());
                }
            }
            "U" => options.chown = true,
            "copy" | "nocopy" => {
                once("copy", word, "'copy' or 'nocopy'")?;
                options.copy_up = Some(word == "copy");
            }
            "shared" | "rshared" | "private" | "rprivate" | "slave" | "rslave" | "unbindable" | "runbindable" => {
                once("propagation", word, "'[r]shared', '[r]private', '[r]slave' or '[r]unbindable'")?;
                options.rest.push(word.to_owned());
            }
            "dev" | "nodev" => {
                once("dev", word, "'nodev' or 'dev'")?;
                options.rest.push(word.to_owned());
            }
            "exec" | "noexec" => {
                once("exec", word, "'noexec' or 'exec'")?;
                options.rest.push(word.to_owned());
            }
            "suid" | "nosuid" => {
                once("suid", word, "'nosuid' or 'suid'")?;
                options.rest.push(word.to_owned());
            }
            "bind" | "rbind" => {
                once("bind", word, "'rbind' or 'bind'")?;
                options.rest.push(word.to_owned());
            }
            // Docker Desktop's words for how writes travel; a local mount has nothing to choose.
            "cached" | "delegated" => {}
            "idmap" => options.rest.push(word.to_owned()),
            _ if word.starts_with("idmap=") => options.rest.push(word.to_owned()),
            _ if word.starts_with("upperdir=") => options.upper = Some(word["upperdir=".len()..].to_owned()),
            _ if word.starts_with("workdir=") => options.work = Some(word["workdir=".len()..].to_owned()),
            _ => return Err(Failure::plain(format!("invalid option type {}", go_quote(word)))),
        }
    }
    let unknown = |word: &str| Failure::plain(format!("unknown mount option {}: invalid mount option", go_quote(word)));
    match (&options.upper, &options.work) {
        (Some(upper), _) if !options.overlay => Err(unknown(&format!("upperdir={upper}"))),
        (_, Some(work)) if !options.overlay => Err(unknown(&format!("workdir={work}"))),
        (Some(_), None) | (None, Some(_)) => Err(Failure::plain("must set both `upperdir` and `workdir`")),
        (Some(_), Some(_)) | (None, None) => Ok(options),
    }
}

/// `[SOURCE:]DESTINATION[:OPTIONS]`.
pub fn volume(text: &str, around: &Surroundings<'_>) -> Result<MountSpec, Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, options) = match parts.as_slice() {
        [destination] => (None, *destination, ""),
        [source, destination] => (Some(*source), *destination, ""),
        [_, _, ""] => return Err(Failure::plain("invalid option type \"\"")),
        [source, destination, options] => (Some(*source), *destination, *options),
        _ => {
            return Err(Failure::plain(format!(
                "{text}: incorrect volume format, should be [host-dir:]ctr-dir[:option]"
            )));
        }
    };
    if source == Some("") {
        return Err(Failure::plain("host directory cannot be empty"));
    }
    if destination.is_empty() {
        return Err(Failure::plain("container directory cannot be empty"));
    }
    let destination = container_path(destination)?;
    let mut options = volume_options(options)?;
    for (key, path) in [("upperdir", options.upper.take()), ("workdir", options.work.take())] {
        if let Some(path) = path {
            options.rest.push(format!("{key}={}", host_path(&path, around)?.display()));
        }
    }
    let kind = match source {
        Some(source) if source.starts_with(['/', '.']) => {
            let path = host_path(source, around)?;
            MountKind::Bind { source: path, overlay: options.overlay }
        }
        name => MountKind::Volume {
            name: name.map(str::to_owned),
            anonymous: name.is_none(),
            copy_up: options.copy_up.unwrap_or(true),
            overlay: options.overlay,
        },
    };
    if let MountKind::Volume { name: Some(name), .. } = &kind {
        check_volume_name(name)?;
    }
    Ok(MountSpec {
        kind,
        destination,
        read_only: options.read_only,
        options: options.rest,
        chown: options.chown,
        subpath: None,
    })
}

fn check_volume_name(name: &str) -> Result<(), Failure> {
    let fine = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if fine {
        return Ok(());
    }
    Err(Failure::plain(format!(
        "creating named volume {}: running volume create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
        go_quote(name)
    )))
}

/// A source on the host: absolute, or relative to where the caller is. It must be there.
fn host_path(source: &str, around: &Surroundings<'_>) -> Result<PathBuf, Failure> {
    let path = normal(&around.cwd.join(source));
    let deed = if source.starts_with('/') { "statfs" } else { "lstat" };
    (around.exists)(&path).map_err(|error| {
        let shown = if source.starts_with('/') { source } else { source.trim_start_matches("./") };
        crate::error::on_path(deed, shown)(error).hint("creel does not make the directory: mkdir it first")
    })?;
    Ok(path)
}

/// A path in the container: absolute, without `.`, `..` and doubled slashes.
fn container_path(text: &str) -> Result<PathBuf, Failure> {
    if !text.starts_with('/') {
        return Err(Failure::plain(format!("invalid container path {}, must be an absolute path", go_quote(text))));
    }
    Ok(normal(Path::new(text)))
}

pub fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    result
}

/// `PATH[:OPTIONS]`.
pub fn tmpfs(text: &str) -> Result<MountSpec, Failure> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    if path.is_empty() {
        return Err(Failure::plain("container directory cannot be empty"));
    }
    let destination = container_path(path)?;
    let mut mount = Tmpfs::default();
    for word in options.split(',').filter(|word| !word.is_empty()) {
        mount.option(word)?;
    }
    Ok(mount.finish(destination))
}

#[derive(Default)]
struct Tmpfs {
    size: Option<u64>,
    mode: Option<u32>,
    no_copy_up: bool,
    read_only: Option<bool>,
    chown: bool,
    rest: Vec<String>,
}

impl Tmpfs {
    fn option(&mut self, word: &str) -> Result<(), Failure> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "rw" | "ro" => {
                if self.read_only.is_some_and(|known| known != (key == "ro")) {
                    return Err(Failure::plain("only one of 'rw' and 'ro' can be used: duplicate mount option passed"));
                }
                self.read_only = Some(key == "ro");
            }
            "size" | "tmpfs-size" => {
                // The kernel takes a percentage of memory, too.
                if value.ends_with('%') {
                    self.rest.push(format!("size={value}"));
                } else {
                    let size = human::parse_size(value)
                        .map_err(|problem| Failure::plain(format!("invalid tmpfs size: {problem}")))?;
                    self.size = Some(size.unsigned_abs());
                }
            }
            "mode" | "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777);
                self.mode = Some(mode.ok_or_else(|| {
                    Failure::plain(format!("invalid tmpfs mode {}: it is an octal number", go_quote(value)))
                })?);
            }
            "noswap" => {
                return Err(Failure::plain(
                    "the 'noswap' option is only allowed with rootful tmpfs mounts: invalid mount option",
                ));
            }
            "tmpcopyup" => self.no_copy_up = false,
            "notmpcopyup" => self.no_copy_up = true,
            "U" | "chown" => self.chown = true,
            "exec" | "noexec" | "dev" | "nodev" | "suid" | "nosuid" | "noatime" | "relatime" | "strictatime"
            | "nodiratime" | "sync" | "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave"
            | "unbindable" | "runbindable" => self.rest.push(key.to_owned()),
            "uid" | "gid" | "nr_inodes" | "nr_blocks" => self.rest.push(word.to_owned()),
            "z" | "Z" => {}
            _ => return Err(Failure::plain(format!("unknown mount option {}: invalid mount option", go_quote(word)))),
        }
        Ok(())
    }

    fn finish(self, destination: PathBuf) -> MountSpec {
        MountSpec {
            kind: MountKind::Tmpfs { size: self.size, mode: self.mode, copy_up: !self.no_copy_up },
            destination,
            read_only: self.read_only.unwrap_or(false),
            options: self.rest,
            chown: self.chown,
            subpath: None,
        }
    }
}

/// `type=TYPE,key[=value],...`; a glob gives several.
pub fn mount(text: &str, around: &Surroundings<'_>) -> Result<Vec<MountSpec>, Failure> {
    let fields = csv(text).map_err(Failure::plain)?;
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
            ("src" | "source", _) => source = Some(text).filter(|text| !text.is_empty()),
            ("dst" | "dest" | "destination" | "target", _) if text.is_empty() => {
                return Err(Failure::plain("container directory cannot be empty"));
            }
            ("dst" | "dest" | "destination" | "target", _) if destination.is_some() => {
                return Err(Failure::plain(format!(
                    "cannot pass {} option more than once: must provide an argument for option",
                    go_quote(key)
                )));
            }
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
    Ok(vec![MountSpec { kind, destination, read_only, options: rest, chown, subpath }])
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

/// `CONTAINER[:OPTIONS]`, the options being `ro`, `rw` and `z`.
pub fn volumes_from(text: &str) -> Result<(String, String), Failure> {
    let Some((container, options)) = text.split_once(':') else { return Ok((text.to_owned(), String::new())) };
    let mut access = 0;
    for option in options.split(',') {
        match option {
            "ro" | "rw" => access += 1,
            "z" => {}
            _ => {
                return Err(Failure::plain(format!(
                    "invalid option {} specified - volumes from another container can only use z,ro,rw options",
                    go_quote(option)
                )));
            }
        }
    }
    match access {
        0 | 1 => Ok((container.to_owned(), options.to_owned())),
        _ => Err(Failure::plain("cannot set ro or rw options more than once")),
    }
}

pub fn image_volumes(text: Option<&str>) -> Result<ImageVolumes, Failure> {
    match text.unwrap_or_default() {
        "" | "anonymous" | "bind" => Ok(ImageVolumes::Anonymous),
        "tmpfs" => Ok(ImageVolumes::Tmpfs),
        "ignore" => Ok(ImageVolumes::Ignore),
        other => Err(Failure::plain(format!(
            "invalid image volume mode {} required value: anonymous, tmpfs, ignore",
            go_quote(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::translate;
    use super::*;

    fn one(line: &[&str]) -> MountSpec {
        let line: Vec<&str> = line.iter().copied().chain(["i"]).collect();
        translate(&line).unwrap().mounts.remove(0)
    }

    #[test]
    fn volumes_are_read() {
        let bind = |source: &str| MountKind::Bind { source: source.into(), overlay: false };
        assert_eq!(one(&["-v", "/tmp:/x"]).kind, bind("/tmp"));
        assert_eq!(one(&["-v", "./dir:/x"]).kind, bind("/work/dir"));
        assert_eq!(one(&["-v", ".:/x"]).kind, bind("/work"));
        let mount = one(&["-v", "/tmp:/x/../y/:ro,U,rslave,nosuid,z"]);
        assert_eq!(mount.destination, Path::new("/y"));
        assert!(mount.read_only && mount.chown);
        assert_eq!(mount.options, ["rslave", "nosuid", "z"]);
        let named = MountKind::Volume { name: Some("v".into()), anonymous: false, copy_up: false, overlay: false };
        assert_eq!(one(&["-v", "v:/x:nocopy"]).kind, named);
        let anonymous = MountKind::Volume { name: None, anonymous: true, copy_up: true, overlay: false };
        assert_eq!(one(&["-v", "/x"]).kind, anonymous);
        assert_eq!(one(&["-v", "/tmp:/x:O"]).kind, MountKind::Bind { source: "/tmp".into(), overlay: true });
    }

    #[test]
    fn mounts_are_read() {
        let mount = one(&["--mount", "type=bind,src=/tmp,dst=/x,ro,bind-propagation=rslave"]);
        assert_eq!(mount.kind, MountKind::Bind { source: "/tmp".into(), overlay: false });
        assert!(mount.read_only);
        assert_eq!(mount.options, ["rslave"]);
        let mount = one(&["--mount", "type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1777"]);
        assert_eq!(mount.kind, MountKind::Tmpfs { size: Some(1 << 20), mode: Some(0o1777), copy_up: true });
        let mount = one(&["--mount", "source=v,target=/x,subpath=a"]);
        assert_eq!(mount.subpath, Some("a".into()));
        let mount = one(&["--mount", "type=image,src=i,dst=/x"]);
        assert_eq!(mount.kind, MountKind::Image { reference: "i".into(), id: String::new(), read_write: false });
        let globbed = translate(&["--mount", "type=glob,src=/glob/*.txt,dst=/x", "i"]).unwrap().mounts;
        let places: Vec<_> = globbed.iter().map(|mount| mount.destination.display().to_string()).collect();
        assert_eq!(places, ["/x/a.txt", "/x/b.txt"]);
        let mount = one(&["--tmpfs", "/x:size=1m,mode=700,noexec"]);
        assert_eq!(mount.kind, MountKind::Tmpfs { size: Some(1 << 20), mode: Some(0o700), copy_up: true });
        assert_eq!(mount.options, ["noexec"]);
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("-v", "a:b:c:d", "a:b:c:d: incorrect volume format, should be [host-dir:]ctr-dir[:option]"),
            ("-v", "x:y", "invalid container path \"y\", must be an absolute path"),
            ("-v", "/nonexist:/x", "statfs /nonexist: no such file or directory"),
            ("-v", "./nope:/x", "lstat nope: no such file or directory"),
            ("-v", ":/x", "host directory cannot be empty"),
            ("-v", "", "container directory cannot be empty"),
            ("-v", "a:", "container directory cannot be empty"),
            ("-v", "/tmp:/x:foo", "invalid option type \"foo\""),
            ("-v", "/tmp:/x:ro,rw", "invalid options \"ro, rw\", can only specify 1 'rw' or 'ro' option"),
            ("-v", "/tmp:/x:z,Z", "invalid options \"z, Z\", can only specify 1 'z', 'Z', or 'O' option"),
            (
                "-v",
                "/tmp:/x:rslave,rshared",
                "invalid options \"rslave, rshared\", can only specify 1 '[r]shared', '[r]private', '[r]slave' or '[r]unbindable' option",
            ),
            ("-v", "/tmp:/x:dev,nodev", "invalid options \"dev, nodev\", can only specify 1 'nodev' or 'dev' option"),
            ("-v", "/tmp:/x:O,upperdir=/tmp", "must set both `upperdir` and `workdir`"),
            ("-v", "/tmp:/x:upperdir=/tmp", "unknown mount option \"upperdir=/tmp\": invalid mount option"),
            ("--mount", "type=bind,src=/tmp,dst=/x,subpath=a", "cannot set option \"subpath\" on non-volume mounts"),
            (
                "--mount",
                "type=bind,src=/tmp,dst=/x,ro,rw",
                "cannot pass 'readonly', 'ro', or 'rw' mnt.Options more than once: must provide an argument for option",
            ),
            ("--mount", "type=bind,src=/tmp,dst=", "container directory cannot be empty"),
            ("--mount", "type=bind,src=,dst=/x", "host directory cannot be empty: must provide an argument for option"),
            ("--mount", "type=glob,src=/nope*,dst=/x", "no file paths matching glob \"/nope*\""),
            ("--mount", "type=image,src=i,dst=/x,rw", "invalid rw value \"\": invalid mount option"),
            ("--mount", "type=image,src=i,dst=/x,subpath=a", "volume subpath \"a\" must be an absolute path"),
            (
                "--mount",
                "src=v,dst=/x,bind-propagation=private",
                "\"bind-propagation\" option not supported for \"volume\" mount types",
            ),
            (
                "--mount",
                "type=ramfs,dst=/x,tmpfs-size=1m",
                "\"tmpfs-size\" option not supported for \"ramfs\" mount types",
            ),
            ("--mount", "type=tmpfs,dst=/x,z", "the 'z' and 'Z' options are not allowed with tmpfs mounts"),
            ("--mount", "type=devpts,dst=/x,ro", "ro: invalid mount option"),
            ("--mount", "src=v,dst=/x,dst=/y", "cannot pass \"dst\" option more than once"),
            ("--mount", "src=,dst=/x", "host directory cannot be empty: must provide an argument for option"),
            ("--tmpfs", "", "container directory cannot be empty"),
            (
                "--tmpfs",
                "/x:noswap",
                "the 'noswap' option is only allowed with rootful tmpfs mounts: invalid mount option",
            ),
            ("-v", "v:/x:", "invalid option type \"\""),
            ("-v", "v:/x:consistent", "invalid option type \"consistent\""),
            ("--mount", "type=image,dst=/x", "must set source and destination for image volume"),
            ("--mount", "type=artifact,dst=/x", "must set source and destination for artifact volume"),
            ("--mount", "type=artifact,src=a,dst=/x,ro", "ro: invalid mount option"),
            ("--mount", "type=artifact,src=a,dst=/x,title=b,digest=c", "cannot specify both digest and title"),
            (
                "--volumes-from",
                "c:foo",
                "invalid option \"foo\" specified - volumes from another container can only use z,ro,rw options",
            ),
            ("--volumes-from", "c:ro,rw", "cannot set ro or rw options more than once"),
            ("--mount", "type=foo,dst=/x", "invalid filesystem type \"foo\""),
            ("--mount", "type=bind,dst=/x", "statfs /x: no such file or directory"),
            ("--mount", "type=tmpfs", "must set volume destination"),
            ("--mount", "type=tmpfs,dst=/x,foo=1", "foo: invalid mount option"),
            ("--mount", "foo", "foo: invalid mount option"),
            ("--mount", "type=bind,src=/tmp,dst=/x,bind-propagation=foo", "invalid value \"bind-propagation=foo\""),
            ("--mount", "type=tmpfs,dst=/x,src=/y", "\"src\" option not supported for \"tmpfs\" mount types"),
            (
                "--mount",
                "type=bind,src=/tmp,dst=/x,relabel=foo",
                "relabel mount option must be 'private' or 'shared': invalid mount option",
            ),
            ("--tmpfs", "/x:foo", "unknown mount option \"foo\": invalid mount option"),
            ("--tmpfs", "x", "invalid container path \"x\", must be an absolute path"),
            ("--tmpfs", "/x:rw,ro", "only one of 'rw' and 'ro' can be used: duplicate mount option passed"),
        ];
        for (flag, value, expected) in table {
            assert_eq!(translate(&[flag, value, "i"]).unwrap_err(), expected, "{value}");
        }
        assert_eq!(translate(&["-v", "a:/x", "--tmpfs", "/x", "i"]).unwrap_err(), "/x: duplicate mount destination");
    }
}
