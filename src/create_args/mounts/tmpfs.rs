//! `--tmpfs`, and what `--mount` says of one.

use std::path::PathBuf;

use containers::{MountKind, MountSpec};

use super::container_path;
use crate::arguments::go_quote;
use crate::error::Failure;
use crate::format::human;

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
pub(super) struct Tmpfs {
    size: Option<u64>,
    mode: Option<u32>,
    no_copy_up: bool,
    pub(super) read_only: Option<bool>,
    pub(super) chown: bool,
    pub(super) rest: Vec<String>,
}

impl Tmpfs {
    pub(super) fn option(&mut self, word: &str) -> Result<(), Failure> {
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

    pub(super) fn finish(self, destination: PathBuf) -> MountSpec {
        MountSpec {
            kind: MountKind::Tmpfs { size: self.size, mode: self.mode, copy_up: !self.no_copy_up },
            destination,
            read_only: self.read_only.unwrap_or(false),
            options: self.rest,
            chown: self.chown,
            group: None,
            subpath: None,
        }
    }
}
