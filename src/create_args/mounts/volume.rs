//! `-v`.

use containers::{MountKind, MountSpec};

use super::{container_path, host_path};
use crate::arguments::go_quote;
use crate::create_args::Surroundings;
use crate::error::Failure;

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
        group: None,
        subpath: None,
    })
}

pub(super) fn check_volume_name(name: &str) -> Result<(), Failure> {
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
