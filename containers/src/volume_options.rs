//! What `volume create -o` and `--mount volume-opt=` say about a volume, and what that makes of it at a start.

use std::path::PathBuf;

use storage::Volume;

use crate::error::{Error, Result};

/// What is mounted where a container mounts a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// The volume's own directory, with these flags.
    Data { flags: Vec<String> },
    /// A directory of the host.
    Directory { device: PathBuf, flags: Vec<String>, read_only: bool },
    /// A file system that is there as long as a container has it mounted. `options` are its own and flags.
    FileSystem { kind: &'static str, options: Vec<String>, read_only: bool },
    /// The files of an image, read-only.
    Image { reference: String },
}

/// Reads the options into a volume that is to be made. Unknown ones are an error, and so is what a plain user cannot mount.
pub fn set_volume_options(volume: &mut Volume, options: &[(String, String)]) -> Result<()> {
    let invalid = |text: String| Err(Error::Invalid(text));
    if volume.driver == "image" {
        for (key, value) in options {
            if key != "image" {
                return invalid(format!("invalid mount option {key} for driver 'image': invalid argument"));
            }
            volume.options.insert(key.clone(), value.clone());
        }
        return match volume.options.get("image").is_some_and(|image| !image.is_empty()) {
            true => Ok(()),
            false => invalid(
                "must provide an image name when creating a volume with the image driver: invalid argument".into(),
            ),
        };
    }
    for (key, value) in options {
        match key.as_str() {
            "type" | "device" | "o" | "noquota" | "copy" | "nocopy" => {}
            "size" | "inodes" => return Err(no_quota()),
            "timeout" => return Err(no_timeout()),
            _ => return invalid(format!("invalid mount option {key} for driver 'local': invalid argument")),
        }
        volume.options.insert(key.clone(), value.clone());
    }
    let is_tmpfs = volume.options.get("type").is_some_and(|kind| kind == "tmpfs");
    for word in words(volume) {
        let (key, value) = word.split_once('=').unwrap_or((word.as_str(), ""));
        let id = |kind: &str| {
            value.parse::<u32>().map_err(|_| {
                Error::Invalid(format!(
                    "cannot convert {kind} {value} to integer: strconv.Atoi: parsing \"{value}\": invalid syntax"
                ))
            })
        };
        match key {
            "uid" => {
                volume.uid = id("UID")?;
                volume.options.insert("UID".into(), value.to_owned());
            }
            "gid" => {
                volume.gid = id("GID")?;
                volume.options.insert("GID".into(), value.to_owned());
            }
            "inodes" if value.parse::<u64>().is_err() => {
                return invalid(format!(
                    "cannot convert inodes {value} to integer: strconv.ParseUint: parsing \"{value}\": invalid syntax"
                ));
            }
            "size" if !is_tmpfs && !value.starts_with(|digit: char| digit.is_ascii_digit()) => {
                return invalid(format!("cannot convert size {value} to integer: invalid size: '{value}'"));
            }
            "size" | "inodes" if !is_tmpfs => return Err(no_quota()),
            "size" => {
                volume.options.insert("SIZE".into(), value.to_owned());
            }
            "noquota" => {
                volume.options.insert("NOQUOTA".into(), "true".into());
            }
            "timeout" if value.parse::<i64>().is_err() => {
                return invalid(format!(
                    "cannot convert Timeout {value} to an integer: strconv.Atoi: parsing \"{value}\": invalid syntax"
                ));
            }
            "timeout" => return Err(no_timeout()),
            _ => {}
        }
    }
    // It is an option of its own from here on.
    let mut left = words(volume);
    left.retain(|word| word != "noquota");
    match left.is_empty() {
        true => volume.options.remove("o"),
        false => volume.options.insert("o".into(), left.join(",")),
    };
    backing(volume).map(drop)
}

fn no_quota() -> Error {
    Error::Invalid("volume options size and inodes not supported. Filesystem does not support Project Quota".into())
}

fn no_timeout() -> Error {
    Error::Invalid(
        "running volume create option: Volume driver timeout can only be used with non-local volume drivers: \
         invalid argument"
            .into(),
    )
}

/// The words of `o=`.
fn words(volume: &Volume) -> Vec<String> {
    let text = volume.options.get("o").map(String::as_str).unwrap_or_default();
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether what the image has at the mount point is copied into the fresh volume.
pub(crate) fn wants_copy(volume: &Volume) -> bool {
    !(volume.options.contains_key("nocopy") || words(volume).iter().any(|word| word == "nocopy"))
}

pub(crate) fn backing(volume: &Volume) -> Result<Backing> {
    if volume.driver == "image" {
        let reference = volume.options.get("image").cloned().unwrap_or_default();
        return Ok(Backing::Image { reference });
    }
    let option = |key: &str| volume.options.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let (mut flags, mut data) = (Vec::new(), Vec::new());
    let (mut read_only, mut is_bind) = (false, false);
    for word in words(volume) {
        let key = word.split('=').next().unwrap_or_default();
        match key {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "bind" | "rbind" => is_bind = true,
            "nodev" | "dev" | "noexec" | "exec" | "nosuid" | "suid" | "noatime" | "relatime" => flags.push(word),
            "noquota" | "copy" | "nocopy" => {}
            _ => data.push(word),
        }
    }
    let name = &volume.name;
    let refused = |what: &str| {
        Error::Invalid(format!(
            "volume {name}: {what}: a user's volumes are of type tmpfs, overlay, or directories (type=none, o=bind)"
        ))
    };
    match option("type") {
        Some("tmpfs") => {
            flags.extend(data);
            Ok(Backing::FileSystem { kind: "tmpfs", options: flags, read_only })
        }
        Some("overlay") => {
            flags.extend(data);
            flags.push("userxattr".into());
            Ok(Backing::FileSystem { kind: "overlay", options: flags, read_only })
        }
        None | Some("none" | "bind") => {
            let is_bind = is_bind || option("type") == Some("bind");
            data.retain(|word| !word.starts_with("uid=") && !word.starts_with("gid="));
            if let Some(word) = data.first() {
                return Err(refused(&format!("mount option {word}")));
            }
            match option("device") {
                Some(device) if device.starts_with('/') => {
                    Ok(Backing::Directory { device: device.into(), flags, read_only })
                }
                Some(device) => Err(refused(&format!("device {device}"))),
                None if is_bind => Err(refused("bind without a device")),
                None => Ok(Backing::Data { flags }),
            }
        }
        Some(other) => Err(refused(&format!("type {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(options: &[(&str, &str)]) -> std::result::Result<(Volume, Backing), String> {
        let options: Vec<_> = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut volume = Volume { name: "v".into(), driver: "local".into(), ..Volume::default() };
        set_volume_options(&mut volume, &options).map_err(|error| error.to_string())?;
        let backing = backing(&volume).map_err(|error| error.to_string())?;
        Ok((volume, backing))
    }

    #[test]
    fn options_say_what_is_mounted() {
        let (volume, backing) = made(&[("o", "uid=5,gid=6")]).unwrap();
        assert_eq!((volume.uid, volume.gid, backing), (5, 6, Backing::Data { flags: vec![] }));
        let (volume, backing) = made(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=2m,noexec")]).unwrap();
        assert_eq!(volume.options["SIZE"], "2m");
        let options = vec!["noexec".to_owned(), "size=2m".to_owned()];
        assert_eq!(backing, Backing::FileSystem { kind: "tmpfs", options, read_only: false });
        let (_, backing) = made(&[("type", "none"), ("device", "/d"), ("o", "bind,ro")]).unwrap();
        assert_eq!(backing, Backing::Directory { device: "/d".into(), flags: vec![], read_only: true });
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let table: &[(&[(&str, &str)], &str)] = &[
            (&[("foo", "bar")], "invalid mount option foo for driver 'local': invalid argument"),
            (&[("o", "uid=x")], "cannot convert UID x to integer: strconv.Atoi: parsing \"x\": invalid syntax"),
            (&[("o", "size=1m")], "Filesystem does not support Project Quota"),
            (&[("o", "size=x")], "cannot convert size x to integer: invalid size: 'x'"),
            (&[("o", "inodes=x")], "cannot convert inodes x to integer"),
            (&[("o", "timeout=x")], "cannot convert Timeout x to an integer"),
            (&[("o", "timeout=5")], "Volume driver timeout can only be used with non-local volume drivers"),
            (&[("type", "nfs"), ("device", "h:/x")], "volume v: type nfs"),
            (&[("o", "bind")], "volume v: bind without a device"),
            (&[("o", "foo")], "volume v: mount option foo"),
        ];
        for (options, expected) in table {
            let error = made(options).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
