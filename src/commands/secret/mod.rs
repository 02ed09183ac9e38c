//! `secret ...`: one file for each, and here what they share.

pub mod create;
pub mod exists;
pub mod inspect;
pub mod ls;
pub mod rm;
pub mod update;

use std::collections::BTreeMap;
use std::io::Read;

use containers::Engine;
use jiff::Timestamp;
use storage::{SECRET_MAX, Secret, SecretDriver};

use crate::arguments::go_quote;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Value, zero_time};
use crate::object;

/// The secret of that name or id; a missing one has exit code 1 for `exists`.
pub fn find(engine: &Engine, name: &str) -> Result<Secret, Failure> {
    engine.store.secret(name).map_err(|error| failure(error, name))
}

/// Podman's words for what can be wrong with a secret's name.
pub fn failure(error: storage::Error, name: &str) -> Failure {
    match error {
        storage::Error::NotFound { .. } => Failure::from(error).code(ExitCode::No),
        storage::Error::NameTaken { .. } => Failure::plain(format!("{name}: secret name in use"))
            .hint("use secret create --replace, or secret update to change what running containers see"),
        storage::Error::Invalid { what: "secret", .. } => {
            Failure::plain(format!("more than one result secret with prefix {name}: secret is ambiguous"))
        }
        storage::Error::Invalid { what: "secret name", .. } => Failure::plain(format!(
            "secret name {} can not include '=', '/', ',', or the '\\0' (NULL) and be between 1 and 253 characters: \
             invalid secret name",
            go_quote(name)
        )),
        storage::Error::Invalid { what: "secret content", .. } => {
            Failure::plain(format!("secret data must be larger than 0 and less than {SECRET_MAX} bytes"))
        }
        other => other.into(),
    }
}

/// All secrets by name; a damaged one is said and left out.
pub fn all(engine: &Engine) -> Result<Vec<Secret>, Failure> {
    let mut secrets = Vec::new();
    for (id, secret) in engine.store.secrets()? {
        match secret {
            Ok(secret) => secrets.push(secret),
            Err(error) => tracing::warn!(%id, %error, "cannot read a secret"),
        }
    }
    secrets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(secrets)
}

/// Where the content of a new secret comes from: a file, `-` for standard input, with `--env` a variable.
pub fn content(source: &str, env: bool) -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    if env {
        let value = crate::caller::variable(source).ok_or_else(|| {
            Failure::plain(format!("cannot create store secret data: environment variable {source} is not set"))
        })?;
        return Ok(value.into_bytes());
    }
    // One byte more than what is allowed is enough to know that it is too much.
    let most = SECRET_MAX as u64 + 1;
    match source {
        "-" => std::io::stdin().lock().take(most).read_to_end(&mut data)?,
        path => std::fs::File::open(path)
            .and_then(|file| file.take(most).read_to_end(&mut data))
            .map_err(crate::error::on_path("open", path))?,
    };
    Ok(data)
}

pub fn time(time: (i64, u32)) -> Timestamp {
    Timestamp::new(time.0, i32::try_from(time.1).unwrap_or(0)).unwrap_or_else(|_| zero_time())
}

/// As `inspect` shows it; `data` with `--showsecret`.
fn value(context: &Context, secret: &Secret, data: Option<String>) -> Result<Value, Failure> {
    let mut options = secret.driver_options.clone();
    if secret.driver == SecretDriver::File && !options.contains_key("path") {
        options.insert("path".into(), context.reader()?.store.path("secrets").display().to_string());
    }
    Ok(object! {
        "ID": secret.id.clone(),
        "CreatedAt": time(secret.created),
        "UpdatedAt": time(secret.updated),
        "Spec": object! {
            "Name": secret.name.clone(),
            "Driver": object! {
                "Name": containers::secret_driver_name(secret.driver),
                "Options": Value::map(&options),
            },
            "Labels": Value::map(&secret.labels),
        },
        "SecretData"?: data.unwrap_or_default(),
    })
}

/// A label: `KEY=VALUE`, or a key alone.
fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.iter().map(pair).collect()
}
