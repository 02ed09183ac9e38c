//! `-v`, `--mount` and `--tmpfs`.

mod mount;
mod tmpfs;
mod volume;

use std::path::{Component, Path, PathBuf};

use containers::{ImageVolumes, MountSpec};

use super::{CreateArgs, Surroundings};
use crate::arguments::go_quote;
use crate::error::Failure;

pub use mount::mount;
pub use tmpfs::tmpfs;
pub use volume::volume;

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
    use containers::MountKind;

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
            (
                "--mount",
                "type=tmpfs,dst=/x,z",
                "the 'z' and 'Z' options are not allowed with tmpfs mounts: invalid mount option",
            ),
            ("--mount", "type=devpts,dst=/x,ro", "ro: invalid mount option"),
            (
                "--mount",
                "src=v,dst=/x,dst=/y",
                "cannot pass \"dst\" option more than once: must provide an argument for option",
            ),
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
