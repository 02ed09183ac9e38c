//! Names that belong to exactly one id: a directory of symbolic links `NAME -> ID`. symlink(2) is exclusive and whole, so
//! two creators of one name cannot both win and a name never exists without its holder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};

/// Longest file name of every Linux file system.
const NAME_MAX: usize = 255;

/// Takes `name` for `id`, or says who has it. Taking one's own name again is fine.
pub fn reserve(dir: &Path, name: &str, id: &str) -> Result<()> {
    let path = link_of(dir, name)?;
    loop {
        match std::os::unix::fs::symlink(id, &path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(dir).at("cannot create", dir)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match resolve(dir, name)? {
                Some(holder) if holder == id => return Ok(()),
                Some(holder) => {
                    let kind = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    return Err(Error::NameTaken { kind, name: name.to_owned(), holder });
                }
                // Released between the two calls.
                None => {}
            },
            Err(error) => return Err(Error::io("cannot reserve", &path, error)),
        }
    }
}

/// Takes `name` for `id` even from a holder for whom `gone` is true (a creator that was killed before its record).
pub fn reserve_from_dead(dir: &Path, name: &str, id: &str, gone: impl Fn(&str) -> bool) -> Result<()> {
    match reserve(dir, name, id) {
        Err(Error::NameTaken { holder, .. }) if gone(&holder) => {
            release(dir, name, &holder)?;
            reserve(dir, name, id)
        }
        other => other,
    }
}

/// Gives `name` back if `id` has it; anything else is left alone.
pub fn release(dir: &Path, name: &str, id: &str) -> Result<()> {
    if resolve(dir, name)?.as_deref() != Some(id) {
        return Ok(());
    }
    let path = link_of(dir, name)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot release", &path, error)),
        _ => Ok(()),
    }
}

/// Gives `id` the name `new` instead of `old`. `new` is taken first: a crash between leaves both with the same id.
pub fn rename(dir: &Path, old: &str, new: &str, id: &str) -> Result<()> {
    reserve(dir, new, id)?;
    if old == new { Ok(()) } else { release(dir, old, id) }
}

/// Gives a name that somebody has to `id`, in one step: at any moment one of the two has it.
pub fn hand_over(dir: &Path, name: &str, id: &str) -> Result<()> {
    let path = link_of(dir, name)?;
    // A leading dot is no name's.
    let fresh = dir.join(format!(".{}", crate::staging::random_name()?));
    std::os::unix::fs::symlink(id, &fresh).at("cannot create", &fresh)?;
    fs::rename(&fresh, &path).map_err(|error| {
        let _ = fs::remove_file(&fresh);
        Error::io("cannot rename to", &path, error)
    })
}

/// Who has `name`.
pub fn resolve(dir: &Path, name: &str) -> Result<Option<String>> {
    let path = link_of(dir, name)?;
    match fs::read_link(&path) {
        Ok(target) => match target.into_os_string().into_string() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(Error::Damaged { path, why: "the id is not text".to_owned() }),
        },
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(None),
        Err(error) => Err(Error::io("cannot read", &path, error)),
    }
}

/// All names and their holders, sorted.
pub fn list(dir: &Path) -> Result<Vec<(String, String)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("cannot read", dir, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.at("cannot read", dir)?;
        let Some(name) = entry.file_name().to_str().and_then(decode) else { continue };
        if let Some(id) = resolve(dir, &name)? {
            names.push((name, id));
        }
    }
    names.sort();
    Ok(names)
}

/// Releases every name whose holder is `gone`; says which.
pub fn sweep(dir: &Path, gone: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let mut released = Vec::new();
    for (name, id) in list(dir)? {
        if gone(&id) {
            release(dir, &name, &id)?;
            released.push(name);
        }
    }
    Ok(released)
}

fn link_of(dir: &Path, name: &str) -> Result<PathBuf> {
    Ok(dir.join(encode(name)?))
}

/// A name as one file name: what is not plain becomes `%XX`, so `a/b` and a leading dot are fine.
pub fn encode(name: &str) -> Result<String> {
    let invalid = |why| Error::Invalid { what: "name", value: name.to_owned(), why };
    if name.is_empty() {
        return Err(invalid("it is empty"));
    }
    let mut encoded = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'@' | b'+');
        if plain || (byte == b'.' && index > 0) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    if encoded.len() > NAME_MAX {
        return Err(invalid("it is longer than 255 bytes"));
    }
    Ok(encoded)
}

/// The inverse of [`encode`]; `None` for a file name that it does not make.
pub fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
