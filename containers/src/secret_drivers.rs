//! Who keeps the content of a secret: a file of the store, commands of the user's (`shell`), or gpg (`pass`).
//!
//! A program runs outside of every lock. The commands of `shell` go to `sh -c` with the secret's id in `SECRET_ID`: `store`
//! reads the content, `lookup` prints it, `delete` forgets it. `list` is asked for as Podman does, and never run: which
//! secrets there are is in the store.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use storage::{OnTaken, SECRET_MAX, Secret, SecretDriver};

use crate::engine::Engine;
use crate::error::{Error, Result};

const SHELL_OPTIONS: [&str; 4] = ["list", "lookup", "store", "delete"];
const PASS_OPTIONS: [&str; 3] = ["root", "key", "gpghomedir"];

/// Whether the driver can work with its options.
pub fn check_secret_driver(driver: SecretDriver, options: &BTreeMap<String, String>) -> Result<()> {
    let known: &[&str] = match driver {
        SecretDriver::File => &["path"],
        SecretDriver::Shell => &SHELL_OPTIONS,
        SecretDriver::Pass => &PASS_OPTIONS,
    };
    let name = name(driver);
    if let Some(option) = options.keys().find(|option| !known.contains(&option.as_str())) {
        return Err(Error::Invalid(format!("invalid {name} driver option: {option:?}: it has {}", known.join(", "))));
    }
    let has = |option: &&str| options.get(*option).is_some_and(|value| !value.is_empty());
    match driver {
        SecretDriver::Shell => match SHELL_OPTIONS.iter().find(|option| !has(option)) {
            Some(option) => {
                Err(Error::Invalid(format!("missing config value: the shell driver needs the option {option}")))
            }
            None => Ok(()),
        },
        SecretDriver::File | SecretDriver::Pass => match options.values().any(String::is_empty) {
            true => Err(Error::Invalid(format!("an option of the {name} driver is empty"))),
            false => Ok(()),
        },
    }
}

/// The driver's name on the command line.
pub fn name(driver: SecretDriver) -> &'static str {
    match driver {
        SecretDriver::File => "file",
        SecretDriver::Shell => "shell",
        SecretDriver::Pass => "pass",
    }
}

/// Makes a secret, whose id is drawn here.
pub fn create_secret(engine: &Engine, mut secret: Secret, data: &[u8], on_taken: OnTaken) -> Result<Secret> {
    check_secret_driver(secret.driver, &secret.driver_options)?;
    if secret.driver != SecretDriver::File {
        storage::check_secret(&secret.name, data)?;
        if on_taken == OnTaken::Fail
            && let Ok(holder) = engine.store.secret(&secret.name)
            && holder.name == secret.name
        {
            return Err(
                storage::Error::NameTaken { kind: "secret".into(), name: secret.name, holder: holder.id }.into()
            );
        }
        secret.id = storage::new_secret_id()?;
        store(&secret, data)?;
    }
    match engine.store.create_secret(secret.clone(), data, on_taken) {
        Ok(made) => {
            if let Some(old) = &made.replaced {
                delete(old)?;
            }
            Ok(made.secret)
        }
        Err(error) => {
            // The first error counts.
            let _ = delete(&secret);
            Err(error.into())
        }
    }
}

/// The content of a secret; `None` when it is gone from the store.
pub fn secret_data(engine: &Engine, secret: &Secret) -> Result<Option<Vec<u8>>> {
    let action = || format!("reading secret {}", secret.name);
    let mut command = match secret.driver {
        SecretDriver::File => return Ok(engine.store.secret_data(secret)?),
        SecretDriver::Shell => shell(secret, "lookup"),
        SecretDriver::Pass => {
            let mut gpg = Pass::of(secret)?.gpg();
            gpg.arg("--decrypt").arg(Pass::of(secret)?.file(secret));
            gpg
        }
    };
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| failed(&action(), error))?;
    let mut data = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(SECRET_MAX as u64).read_to_end(&mut data).map_err(|error| failed(&action(), error))?;
    }
    let status = child.wait().map_err(|error| failed(&action(), error))?;
    if data.len() >= SECRET_MAX {
        return Err(Error::SecretDriver { action: action(), why: format!("it is not less than {SECRET_MAX} bytes") });
    }
    match status.success() {
        true => Ok(Some(data)),
        false => Err(failed(&action(), status)),
    }
}

/// New content, under the same id.
pub(crate) fn replace(engine: &Engine, name_or_id: &str, data: &[u8]) -> Result<Secret> {
    let secret = engine.store.secret(name_or_id)?;
    if secret.driver != SecretDriver::File {
        storage::check_secret(&secret.name, data)?;
        store(&secret, data)?;
    }
    Ok(engine.store.update_secret(&secret.id, data)?)
}

/// Removes a secret. One that its driver does not forget stays.
pub fn remove_secret(engine: &Engine, name_or_id: &str) -> Result<Secret> {
    let secret = engine.store.secret(name_or_id)?;
    delete(&secret)?;
    Ok(engine.store.remove_secret(&secret.id)?)
}

fn store(secret: &Secret, data: &[u8]) -> Result<()> {
    let action = format!("creating secret {}", secret.name);
    let mut command = match secret.driver {
        SecretDriver::File => return Ok(()),
        SecretDriver::Shell => shell(secret, "store"),
        SecretDriver::Pass => {
            let pass = Pass::of(secret)?;
            std::fs::create_dir_all(&pass.root).map_err(Error::io(&pass.root))?;
            let mut gpg = pass.gpg();
            gpg.args(["--encrypt", "--yes", "--recipient", &pass.key()?, "--output"]).arg(pass.file(secret));
            gpg
        }
    };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(|error| failed(&action, error))?;
    // A command that does not read all of it says by its exit code whether that was meant.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(data));
    match child.wait().map_err(|error| failed(&action, error))? {
        status if status.success() => Ok(()),
        status => Err(failed(&action, status)),
    }
}

fn delete(secret: &Secret) -> Result<()> {
    let action = format!("deleting secret {}", secret.name);
    match secret.driver {
        SecretDriver::File => Ok(()),
        SecretDriver::Shell => {
            let status = shell(secret, "delete").stdin(Stdio::null()).stdout(Stdio::null()).status();
            match status.map_err(|error| failed(&action, error))? {
                status if status.success() => Ok(()),
                status => Err(failed(&action, status)),
            }
        }
        SecretDriver::Pass => {
            let file = Pass::of(secret)?.file(secret);
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&file)(error)),
                _ => Ok(()),
            }
        }
    }
}

fn failed(action: &str, why: impl ToString) -> Error {
    Error::SecretDriver { action: action.to_owned(), why: why.to_string() }
}

fn shell(secret: &Secret, option: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    let text = secret.driver_options.get(option).map(String::as_str).unwrap_or_default();
    command.args(["-c", text]).env("SECRET_ID", &secret.id);
    command
}

/// The store of the program `pass`: `ROOT/ID.gpg`.
struct Pass<'a> {
    root: PathBuf,
    options: &'a BTreeMap<String, String>,
}

impl<'a> Pass<'a> {
    fn of(secret: &'a Secret) -> Result<Pass<'a>> {
        let options = &secret.driver_options;
        let root = options.get("root").map(PathBuf::from);
        let root = root.ok_or_else(|| Error::Invalid("the pass driver needs the option root".into()))?;
        Ok(Pass { root, options })
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet"]);
        if let Some(home) = self.options.get("gpghomedir") {
            command.arg("--homedir").arg(home);
        }
        command
    }

    /// Whom to encrypt for: the option, else the first line of `.gpg-id`, as `pass init` writes it.
    fn key(&self) -> Result<String> {
        if let Some(key) = self.options.get("key") {
            return Ok(key.clone());
        }
        let path = self.root.join(".gpg-id");
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        let key = text.lines().map(str::trim).find(|line| !line.is_empty());
        key.map(str::to_owned).ok_or_else(|| Error::Invalid(format!("{} names no key", path.display())))
    }

    fn file(&self, secret: &Secret) -> PathBuf {
        self.root.join(format!("{}.gpg", secret.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(driver: SecretDriver, options: &[&str]) -> std::result::Result<(), String> {
        let pair = |text: &&str| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        check_secret_driver(driver, &options.iter().filter_map(pair).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_driver_has_its_own_options() {
        let all = ["list=a", "lookup=b", "store=c", "delete=d"];
        assert_eq!(check(SecretDriver::Shell, &all), Ok(()));
        let missing = check(SecretDriver::Shell, &all[..3]).unwrap_err();
        assert!(missing.contains("needs the option delete"), "{missing}");
        let empty = check(SecretDriver::Shell, &["list=a", "lookup=", "store=c", "delete=d"]).unwrap_err();
        assert!(empty.contains("needs the option lookup"), "{empty}");
        assert!(
            check(SecretDriver::File, &["root=/x"]).unwrap_err().starts_with("invalid file driver option: \"root\"")
        );
        assert_eq!(check(SecretDriver::Pass, &["root=/x"]), Ok(()));
        assert!(check(SecretDriver::Pass, &["key="]).is_err());
    }
}
