//! `--secret`.

use std::path::Path;

use containers::{SecretTarget, SecretUse};

use crate::error::Failure;

/// `NAME[,type=mount|env,target=,uid=,gid=,mode=]`.
pub fn secret(text: &str) -> Result<SecretUse, Failure> {
    let invalid = |option: &str| Failure::plain(format!("option {option} invalid: parsing secret"));
    let mut fields = text.split(',').map(str::trim).peekable();
    let mut name = None;
    let (mut is_env, mut target, mut owned) = (false, None, false);
    let (mut uid, mut gid, mut mode) = (0, 0, 0o444);
    if let Some(first) = fields.next_if(|first| !first.contains('=')) {
        name = Some(first.to_owned());
    }
    for field in fields {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| Failure::plain(format!("option {field} must be in form option=value: parsing secret")))?;
        match key {
            "source" => name = Some(value.to_owned()),
            "type" => {
                is_env = match value {
                    "mount" => false,
                    "env" => true,
                    _ => return Err(Failure::plain(format!("type {value} is invalid: parsing secret"))),
                }
            }
            "target" => target = Some(value.to_owned()),
            "mode" => {
                owned = true;
                mode = u32::from_str_radix(value, 8)
                    .map_err(|_| Failure::plain(format!("mode {value} invalid: parsing secret")))?
            }
            "uid" | "UID" => {
                owned = true;
                uid = value.parse().map_err(|_| Failure::plain(format!("UID {value} invalid: parsing secret")))?
            }
            "gid" | "GID" => {
                owned = true;
                gid = value.parse().map_err(|_| Failure::plain(format!("GID {value} invalid: parsing secret")))?
            }
            _ => return Err(invalid(field)),
        }
    }
    if is_env && owned {
        return Err(Failure::plain("UID, GID, Mode options cannot be set with secret type env: parsing secret"));
    }
    let name =
        name.filter(|name| !name.is_empty()).ok_or_else(|| Failure::plain(format!("no source specified in {text}")))?;
    let target = match (is_env, target) {
        (true, target) => SecretTarget::Env { name: target.unwrap_or_else(|| name.clone()) },
        (false, target) => {
            let target = target.unwrap_or_else(|| name.clone());
            let path = super::mounts::normal(&Path::new("/run/secrets").join(target));
            SecretTarget::Mount { path, uid, gid, mode }
        }
    };
    Ok(SecretUse { name, id: String::new(), target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_targets() {
        assert_eq!(
            secret("db").unwrap(),
            SecretUse {
                name: "db".into(),
                id: String::new(),
                target: SecretTarget::Mount { path: "/run/secrets/db".into(), uid: 0, gid: 0, mode: 0o444 }
            }
        );
        assert_eq!(secret("db,type=env").unwrap().target, SecretTarget::Env { name: "db".into() });
        let table = secret("db,target=/x,uid=1,gid=2,mode=0400").unwrap();
        assert_eq!(table.target, SecretTarget::Mount { path: "/x".into(), uid: 1, gid: 2, mode: 0o400 });
    }
}
