//! `--secret` and `--ssh`: what only the programs that run may see.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ::build::Secret;

use super::Args;
use crate::caller::variable;
use crate::error::{Failure, on_path};

pub fn secrets(args: &Args) -> Result<BTreeMap<String, Secret>, Failure> {
    let mut secrets = BTreeMap::new();
    for text in &args.secret {
        let wrong = || {
            Failure::plain("incorrect secret flag format: should be --secret id=foo,src=bar[,env=ENV][,type=file|env]")
        };
        let (mut id, mut path, mut env, mut kind) = (None, None, None, None);
        for option in text.split(',') {
            match option.split_once('=').ok_or_else(wrong)? {
                ("id", value) => id = Some(value),
                ("src" | "source", value) => path = Some(value),
                ("env", value) => env = Some(value),
                ("type", value @ ("file" | "env")) => kind = Some(value),
                _ => return Err(wrong()),
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or_else(wrong)?;
        let from_env = env.or_else(|| (kind == Some("env")).then_some(path.unwrap_or(id)));
        // Neither said: a variable of that name, else a file.
        let guessed = (env.is_none() && path.is_none() && kind.is_none()).then_some(id);
        let value = from_env.or(guessed).and_then(|name| std::env::var(name).ok());
        let secret = match (value, from_env) {
            (Some(value), _) => Secret::Value(value),
            (None, Some(name)) => {
                return Err(Failure::plain(format!("could not parse secrets: the variable {name} is not set")));
            }
            (None, None) => {
                let path = std::path::absolute(path.unwrap_or(id))?;
                fs::metadata(&path)
                    .map_err(|error| on_path("faccessat", &path)(error).context("could not parse secrets"))?;
                Secret::File(path)
            }
        };
        secrets.insert(id.to_owned(), secret);
    }
    Ok(secrets)
}

/// `--ssh ID[=SOCKET]`, by default the caller's agent.
pub fn agents(args: &Args) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut agents = BTreeMap::new();
    for text in &args.ssh {
        let (id, path) = match text.split_once('=') {
            Some((id, path)) => (id, Some(PathBuf::from(path))),
            None => (text.as_str(), variable("SSH_AUTH_SOCK").map(PathBuf::from)),
        };
        let path = path.ok_or_else(|| {
            Failure::plain(format!("--ssh {text}: SSH_AUTH_SOCK is not set")).hint("start an agent: eval $(ssh-agent)")
        })?;
        let about = fs::metadata(&path).map_err(on_path("stat", &path))?;
        if !std::os::unix::fs::FileTypeExt::is_socket(&about.file_type()) {
            return Err(Failure::plain(format!("--ssh {text}: {} is no socket of an agent", path.display()))
                .hint("add the key to an agent with ssh-add, and give --ssh default"));
        }
        agents.insert(id.to_owned(), std::path::absolute(path)?);
    }
    Ok(agents)
}
