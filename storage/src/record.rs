//! Small JSON files with a `version`, replaced whole by a rename: a reader without a lock sees the old or the new one.
//! The writer holds whatever lock guards the file's directory.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{At, Error, Result};

/// A value with a place on disk. It must serialise as a JSON object without a field `version` of its own.
pub trait Record: Serialize + DeserializeOwned {
    /// The version this build writes. Readers take every older one.
    const VERSION: u32;
    /// What a file without a version is, where another program writes such files too.
    const UNVERSIONED: Option<u32> = None;

    /// Turns the object of an older version into one of [`Record::VERSION`].
    fn upgrade(_from: u32, value: serde_json::Value) -> serde_json::Value {
        value
    }
}

/// What must have happened before a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Other processes see it. A crash of the host may lose it, never tear it... into something that parses.
    Visible,
    /// It outlives a crash of the host: fdatasync before the rename.
    Durable,
}

#[derive(Deserialize)]
struct Head {
    version: Option<u32>,
}

/// Reads a record; an absent one is `None`.
pub fn read_optional<T: Record>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => parse(path, &bytes).map(Some),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Error::io("cannot read", path, error)),
    }
}

/// Reads a record that must be there.
pub fn read<T: Record>(path: &Path) -> Result<T> {
    parse(path, &fs::read(path).at("cannot read", path)?)
}

fn parse<T: Record>(path: &Path, bytes: &[u8]) -> Result<T> {
    let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
    if bytes.is_empty() {
        return Err(damaged("it is empty".to_owned()));
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let version = head.version.or(T::UNVERSIONED).ok_or_else(|| damaged("missing field `version`".to_owned()))?;
    if version > T::VERSION {
        return Err(Error::TooNew { path: path.to_owned(), found: version, known: T::VERSION });
    }
    if version == T::VERSION {
        return serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()));
    }
    let value = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    // By way of text again: a second kind of deserialiser of every record would be megabytes of code.
    let upgraded = T::upgrade(version, value).to_string();
    serde_json::from_slice(upgraded.as_bytes()).map_err(|error| damaged(error.to_string()))
}

/// The bytes of a record as they go to disk.
pub fn to_bytes<T: Record>(value: &T) -> Result<Vec<u8>> {
    let body = serde_json::to_vec(value).map_err(io::Error::from).at("cannot encode", Path::new("record"))?;
    let rest = match body.as_slice() {
        [b'{', b'}'] => b"}".as_slice(),
        [b'{', rest @ ..] => rest,
        _ => {
            let why = "a record must be an object";
            return Err(Error::Invalid { what: "record", value: String::from_utf8_lossy(&body).into_owned(), why });
        }
    };
    let mut bytes = format!("{{\"version\":{}", T::VERSION).into_bytes();
    if rest != b"}" {
        bytes.push(b',');
    }
    bytes.extend_from_slice(rest);
    bytes.push(b'\n');
    Ok(bytes)
}

/// Serialises a part of a record, for `#[serde(serialize_with)]`, without what is as it is by default: most of a large
/// structure is, and whoever lists a thousand records reads and parses it a thousand times. The structure, and each one in
/// it that its default has as an object, must take a missing field for its default.
pub fn without_defaults<T, S>(value: &T, serializer: S) -> std::result::Result<S::Ok, S::Error>
where
    T: Serialize + Default,
    S: serde::Serializer,
{
    use serde::ser::Error as _;

    // By way of text: a second kind of serialiser would be more code.
    let object = |value: &T| serde_json::from_slice(&serde_json::to_vec(value)?);
    let (mut value, default) =
        object(value).and_then(|value| Ok((value, object(&T::default())?))).map_err(S::Error::custom)?;
    leave_out(&mut value, &default);
    value.serialize(serializer)
}

fn leave_out(value: &mut serde_json::Value, default: &serde_json::Value) {
    let (Some(fields), Some(defaults)) = (value.as_object_mut(), default.as_object()) else { return };
    for (name, default) in defaults {
        match fields.get_mut(name) {
            Some(value) if value == default => drop(fields.remove(name)),
            Some(value) => leave_out(value, default),
            None => {}
        }
    }
}

/// Replaces the record at `path`. On any error the old one stays and nothing is left beside it.
pub fn write<T: Record>(path: &Path, value: &T, durability: Durability) -> Result<()> {
    write_bytes(path, &to_bytes(value)?, durability)
}

/// Replaces any small file the same way, mode 0600.
///
/// The temporary name is fixed, so that a writer that was killed leaves at most one, which the next writer takes over;
/// its flock keeps two writers apart.
pub fn write_bytes(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let temporary = temporary_of(path);
    let mut file = loop {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&temporary)
            .at("cannot create", &temporary)?;
        file.lock().at("cannot lock", &temporary)?;
        let ours = file.metadata().at("cannot stat", &temporary)?;
        // The one before us has renamed the file we waited for.
        if fs::symlink_metadata(&temporary).is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev()) {
            break file;
        }
    };
    let written = (|| -> io::Result<()> {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(bytes)?;
        if durability == Durability::Durable {
            file.sync_data()?;
        }
        fs::rename(&temporary, path)
    })();
    if let Err(error) = written {
        // The error is the news; a left-over is taken over by the next writer.
        let _ = fs::remove_file(&temporary);
        return Err(Error::io("cannot write", path, error));
    }
    Ok(())
}

fn temporary_of(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// Moves a damaged record out of the way, under a name that no reader takes, and returns that name.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    for number in 1u32.. {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{number}"));
        let aside = path.with_file_name(name);
        match rustix::fs::renameat_with(
            rustix::fs::CWD,
            path,
            rustix::fs::CWD,
            &aside,
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Ok(()) => return Ok(aside),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(Error::io("cannot set aside", path, error)),
        }
    }
    unreachable!("four thousand million damaged files")
}

/// Reads `DIR/*/FILE`. Each directory without that file is passed over; a damaged record is an error of its own and does
/// not keep the others from being read. An absent directory is an empty one.
pub fn read_each<T: Record>(dir: &Path, file: &str) -> Result<Vec<(String, Result<T>)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("cannot read", dir, error)),
    };
    let mut records = Vec::new();
    for entry in entries {
        let entry = entry.at("cannot read", dir)?;
        // Our own names are ASCII; anything else was not put there by us.
        let Ok(name) = entry.file_name().into_string() else { continue };
        match read_optional(&entry.path().join(file)) {
            Ok(Some(record)) => records.push((name, Ok(record))),
            Ok(None) => {}
            Err(error) => records.push((name, Err(error))),
        }
    }
    records.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(records)
}
