//! Secrets: `ROOT/secrets/ID/{secret.json,data}`, and `ROOT/secrets/names/NAME -> ID`.
//!
//! `data` is there with the driver `file` only, and elsewhere where its option `path` says so (`PATH/ID`). What keeps the
//! content of other drivers is a program, which is run by whoever uses this.
//!
//! Directories are 0700 and files 0600. A change of the content replaces `data` by a rename, so a reader sees the old or
//! the new one; the id stays, so whoever remembered it finds the new content.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sys::lock::FileLock;

use crate::error::{At, Error, Result};
use crate::events::{self, Event, Kind};
use crate::names;
use crate::record::{self, Durability, Record};
use crate::staging::Staging;
use crate::store::{Store, make_private_dir};
use crate::volumes::now;

const RECORD: &str = "secret.json";
const DATA: &str = "data";
const KIND: &str = "secret";

/// The content of a secret is shorter than this many bytes: Podman's limit.
pub const SECRET_MAX: usize = 512_000;
/// Longest name, in bytes.
const NAME_MAX: usize = 253;

/// Who keeps the content of a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretDriver {
    /// A file of ours.
    #[default]
    File,
    /// Commands of the user's.
    Shell,
    /// Files that gpg encrypts, as in the store of the program `pass`.
    Pass,
}

/// What is known of a secret, without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// 25 hex digits.
    #[serde(default)]
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub driver: SecretDriver,
    /// `path` of the driver `file` is read here, the others by whoever runs the driver's program.
    #[serde(default)]
    pub driver_options: BTreeMap<String, String>,
    /// Seconds and nanoseconds since 1970.
    #[serde(default)]
    pub created: (i64, u32),
    #[serde(default)]
    pub updated: (i64, u32),
}

impl Record for Secret {
    const VERSION: u32 = 1;
}

/// A secret that was made.
#[derive(Clone, Debug)]
pub struct Created {
    pub secret: Secret,
    /// The one whose name it has taken.
    pub replaced: Option<Secret>,
}

/// What happens to a secret of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTaken {
    Fail,
    /// The new one takes its place, under an id of its own, and keeps the time of the first one's creation.
    Replace,
}

impl Store {
    /// Makes a secret of `secret.name`. Times are set here, and the id where there is none. `data` is kept by the driver
    /// `file` only.
    ///
    /// # Errors
    /// [`Error::NameTaken`], whose `holder` is the id of the one that has the name; [`Error::Invalid`] for a name or a
    /// content that cannot be.
    pub fn create_secret(&self, mut secret: Secret, data: &[u8], on_taken: OnTaken) -> Result<Created> {
        check_secret(&secret.name, data)?;
        if secret.id.is_empty() {
            secret.id = new_secret_id()?;
        }
        secret.updated = now();
        secret.created = secret.updated;
        let staging = self.staging()?;
        match (secret.driver, secret.driver_options.get("path")) {
            (SecretDriver::File, None) => record::write_bytes(&staging.join(DATA), data, Durability::Durable)?,
            (SecretDriver::File, Some(dir)) => {
                make_private_dir(Path::new(dir))?;
                record::write_bytes(&self.secret_file(&secret), data, Durability::Durable)?;
            }
            (SecretDriver::Shell | SecretDriver::Pass, _) => {}
        }
        let made = self.commit_secret(secret.clone(), staging, on_taken);
        if made.is_err() {
            // The first error counts.
            let _ = self.remove_elsewhere(&secret);
        }
        made
    }

    fn commit_secret(&self, mut secret: Secret, staging: Staging, on_taken: OnTaken) -> Result<Created> {
        let _lock = self.lock_secrets()?;
        let gone = |holder: &str| !self.secret_dir(holder).join(RECORD).exists();
        let replaced = match names::reserve_from_dead(&self.secret_names(), &secret.name, &secret.id, gone) {
            Ok(()) => None,
            Err(Error::NameTaken { holder, .. }) if on_taken == OnTaken::Replace => {
                let old: Secret = record::read(&self.secret_dir(&holder).join(RECORD))?;
                secret.created = old.created;
                Some(old)
            }
            Err(error) => return Err(error),
        };
        record::write(&staging.join(RECORD), &secret, Durability::Durable)?;
        let committed = staging.commit(&self.secret_dir(&secret.id));
        if let Some(old) = &replaced {
            committed?;
            // At any moment the name leads to one of the two.
            names::hand_over(&self.secret_names(), &secret.name, &secret.id)?;
            self.trash(&self.secret_dir(&old.id))?;
            self.remove_elsewhere(old)?;
        } else if let Err(error) = committed {
            // The first error counts; a name without a secret is taken over by the next one of that name.
            let _ = names::release(&self.secret_names(), &secret.name, &secret.id);
            return Err(error);
        }
        self.tell_secret(&secret, "create");
        Ok(Created { secret, replaced })
    }

    /// The secret of that name, of that id, or the only one whose id begins so.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Invalid`] when several ids begin so.
    pub fn secret(&self, name_or_id: &str) -> Result<Secret> {
        let missing = || Error::NotFound { kind: KIND, name: name_or_id.to_owned() };
        // A name that cannot be is nobody's.
        if let Ok(Some(id)) = names::resolve(&self.secret_names(), name_or_id)
            && let Some(secret) = record::read_optional(&self.secret_dir(&id).join(RECORD))?
        {
            return Ok(secret);
        }
        let mut found = Vec::new();
        for (id, secret) in self.secrets()? {
            if id == name_or_id {
                return secret;
            }
            if id.starts_with(name_or_id) && !name_or_id.is_empty() {
                found.push(secret?);
            }
        }
        match found.len() {
            0 => Err(missing()),
            1 => found.pop().ok_or_else(missing),
            _ => {
                let why = "several ids begin so";
                Err(Error::Invalid { what: KIND, value: name_or_id.to_owned(), why })
            }
        }
    }

    /// All secrets by id; a damaged record is an error in its own place. One that lost its name to its successor while
    /// that was being made (the maker was killed) is none any more.
    pub fn secrets(&self) -> Result<Vec<(String, Result<Secret>)>> {
        let mut all = record::read_each::<Secret>(&self.path("secrets"), RECORD)?;
        let has_name = |id: &str, name: &str| {
            names::resolve(&self.secret_names(), name).is_ok_and(|holder| holder.as_deref() == Some(id))
        };
        all.retain(|(id, secret)| secret.as_ref().map_or(true, |secret| has_name(id, &secret.name)));
        Ok(all)
    }

    /// The secret with that id; `None` when it is gone.
    pub fn secret_by_id(&self, id: &str) -> Result<Option<Secret>> {
        record::read_optional(&self.secret_dir(id).join(RECORD))
    }

    /// The content of a secret of the driver `file`; `None` when it is gone.
    pub fn secret_data(&self, secret: &Secret) -> Result<Option<Vec<u8>>> {
        let path = self.secret_file(secret);
        match fs::read(&path) {
            Ok(data) => Ok(Some(data)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Error::io("cannot read", &path, error)),
        }
    }

    /// Gives a secret new content in place: name, id and labels stay. With a driver other than `file` only the time
    /// changes here.
    pub fn update_secret(&self, name_or_id: &str, data: &[u8]) -> Result<Secret> {
        check_data(data)?;
        let _lock = self.lock_secrets()?;
        let mut secret = self.secret(name_or_id)?;
        let dir = self.secret_dir(&secret.id);
        if secret.driver == SecretDriver::File {
            record::write_bytes(&self.secret_file(&secret), data, Durability::Durable)?;
        }
        secret.updated = now();
        record::write(&dir.join(RECORD), &secret, Durability::Durable)?;
        self.tell();
        Ok(secret)
    }

    /// Gives a secret other labels: its content, name and id stay.
    pub fn label_secret(&self, name_or_id: &str, labels: BTreeMap<String, String>) -> Result<()> {
        let _lock = self.lock_secrets()?;
        let secret = Secret { labels, ..self.secret(name_or_id)? };
        record::write(&self.secret_dir(&secret.id).join(RECORD), &secret, Durability::Durable)
    }

    /// Removes the secret of that name or id, and says which it was.
    pub fn remove_secret(&self, name_or_id: &str) -> Result<Secret> {
        let _lock = self.lock_secrets()?;
        let secret = self.secret(name_or_id)?;
        names::release(&self.secret_names(), &secret.name, &secret.id)?;
        self.remove_elsewhere(&secret)?;
        self.trash(&self.secret_dir(&secret.id))?;
        self.sweep_secrets()?;
        self.tell_secret(&secret, "remove");
        Ok(secret)
    }

    /// Takes away what the driver `file` keeps outside of the store.
    fn remove_elsewhere(&self, secret: &Secret) -> Result<()> {
        if secret.driver != SecretDriver::File || !secret.driver_options.contains_key("path") {
            return Ok(());
        }
        let path = self.secret_file(secret);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("cannot remove", &path, error)),
            _ => Ok(()),
        }
    }

    fn tell_secret(&self, secret: &Secret, status: &'static str) {
        let (id, name) = (secret.id.clone(), secret.name.clone());
        events::record(self, Event { id, name, ..Event::new(Kind::Secret, status) });
        self.tell();
    }

    /// Takes away the directories of secrets whose name leads elsewhere. The lock is held.
    fn sweep_secrets(&self) -> Result<()> {
        let known: Vec<String> = self.secrets()?.into_iter().map(|(id, _)| id).collect();
        for (id, secret) in record::read_each::<Secret>(&self.path("secrets"), RECORD)? {
            if secret.is_ok() && !known.contains(&id) {
                self.trash(&self.secret_dir(&id))?;
            }
        }
        Ok(())
    }

    /// Whoever changes which secrets there are, or their content, holds this.
    fn lock_secrets(&self) -> Result<FileLock> {
        make_private_dir(&self.secret_names())?;
        let path = self.path("secrets").join("lock");
        FileLock::exclusive(&path).at("cannot lock", &path)
    }

    fn secret_names(&self) -> PathBuf {
        self.path("secrets").join("names")
    }

    /// Where the driver `file` has the content.
    fn secret_file(&self, secret: &Secret) -> PathBuf {
        match secret.driver_options.get("path") {
            Some(dir) => Path::new(dir).join(&secret.id),
            None => self.secret_dir(&secret.id).join(DATA),
        }
    }

    fn secret_dir(&self, id: &str) -> PathBuf {
        self.path("secrets").join(id)
    }
}

/// An id for a secret in the making: 25 hex digits.
pub fn new_secret_id() -> Result<String> {
    let mut id = sys::random::hex::<13>().at("cannot read", Path::new("random numbers"))?;
    id.truncate(25);
    Ok(id)
}

/// Whether a secret can have that name and that content.
pub fn check_secret(name: &str, data: &[u8]) -> Result<()> {
    check_name(name)?;
    check_data(data)
}

fn check_name(name: &str) -> Result<()> {
    if (1..=NAME_MAX).contains(&name.len()) && !name.contains(['=', '/', ',', '\0']) {
        return Ok(());
    }
    let why = "1 to 253 bytes without `=`, `/`, `,` and NUL";
    Err(Error::Invalid { what: "secret name", value: name.to_owned(), why })
}

fn check_data(data: &[u8]) -> Result<()> {
    if (1..SECRET_MAX).contains(&data.len()) {
        return Ok(());
    }
    let (value, why) = (format!("{} bytes", data.len()), "at least 1 byte and less than 512000");
    Err(Error::Invalid { what: "secret content", value, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_contents_have_bounds() {
        for name in ["a", "a b", "..", &"x".repeat(253)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "a=b", "a/b", "a,b", "a\0b", &"x".repeat(254)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_data(b"").is_err() && check_data(&vec![0; SECRET_MAX]).is_err());
        assert!(check_data(b"x").is_ok() && check_data(&vec![0; SECRET_MAX - 1]).is_ok());
    }

    #[test]
    fn ids_are_25_digits_and_differ() {
        let (one, other) = (new_secret_id().unwrap(), new_secret_id().unwrap());
        assert_eq!(one.len(), 25);
        assert_ne!(one, other);
    }
}
