//! Variables: what `-e`, `--env-file`, `--env-host` and the proxy settings come to.

use super::{CreateArgs, Surroundings};
use crate::arguments::go_quote;
use crate::error::Failure;

/// Variables that tell programs about a proxy, both cases.
const PROXIES: [&str; 8] =
    ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"];

type Variables = Vec<(String, String)>;

/// The variables in order of precedence, later wins, and beside them those of the proxies, which only fill gaps.
pub fn environment(args: &CreateArgs, around: &Surroundings<'_>) -> Result<(Variables, Variables), Failure> {
    let mut env = Vec::new();
    for text in around.config.list("containers", "env") {
        // The image's own value is stronger than the default of containers.conf for PATH, which every file carries.
        if !text.starts_with("PATH=") {
            add(&mut env, &text, &around.env)?;
        }
    }
    if args.env_host || around.config.boolean("containers", "env_host").unwrap_or(false) {
        env.extend(around.env.iter().cloned());
    }
    for path in &args.env_file {
        let parsing = || format!("parsing file {}", go_quote(&path.display().to_string()));
        let text =
            (around.read)(path).map_err(|error| crate::error::on_path("open", path)(error).context(parsing()))?;
        from_file(&mut env, &text, &around.env).map_err(|failure| failure.context(parsing()))?;
    }
    for text in &args.env {
        add(&mut env, text, &around.env)?;
    }
    let wanted = args.http_proxy.or_else(|| around.config.boolean("containers", "http_proxy")).unwrap_or(true);
    let proxies = around.env.iter().filter(|(name, _)| wanted && PROXIES.contains(&name.as_str())).cloned().collect();
    Ok((env, proxies))
}

/// Lines of a file of variables; empty ones and those that begin with `#` are passed over.
pub fn from_file(env: &mut Variables, text: &str, caller: &[(String, String)]) -> Result<(), Failure> {
    for line in text.lines() {
        let line = line.trim_start();
        if !line.is_empty() && !line.starts_with('#') {
            add(env, line, caller)?;
        }
    }
    Ok(())
}

/// `NAME=VALUE`; `NAME` copies the caller's; `PREFIX*` copies all that begin so.
pub fn add(env: &mut Variables, text: &str, caller: &[(String, String)]) -> Result<(), Failure> {
    let mut set = |name: &str, value: &str| {
        env.retain(|(known, _)| known != name);
        env.push((name.to_owned(), value.to_owned()));
    };
    match text.split_once('=') {
        Some(("", _)) => return Err(Failure::plain(format!("invalid variable: {}", go_quote(text)))),
        Some((name, value)) => set(name, value),
        None => match text.strip_suffix('*') {
            Some(prefix) => {
                caller.iter().filter(|(name, _)| name.starts_with(prefix)).for_each(|(name, value)| set(name, value))
            }
            None => caller.iter().filter(|(name, _)| name == text).for_each(|(name, value)| set(name, value)),
        },
    }
    Ok(())
}

/// `--env-merge NAME=text with ${OTHER}`: filled in from what the image and the other flags give.
pub fn merge(env: &mut Variables, texts: &[String], image: &[String]) -> Result<(), Failure> {
    for text in texts {
        let (name, template) = text
            .split_once('=')
            .ok_or_else(|| Failure::plain(format!("missing `=` for --env-merge substitution {text}")))?;
        let value_of = |wanted: &str| {
            let given = env.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
            let of_image =
                || image.iter().find_map(|entry| entry.strip_prefix(wanted)?.strip_prefix('=')).map(str::to_owned);
            // What creel sets where nobody else does.
            let usual = || match wanted {
                "PATH" => Some("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
                "container" => Some("podman".to_owned()),
                _ => None,
            };
            given.or_else(of_image).or_else(usual).unwrap_or_default()
        };
        let mut value = String::new();
        let mut rest = template;
        while let Some(dollar) = rest.find('$') {
            value.push_str(&rest[..dollar]);
            let after = &rest[dollar + 1..];
            let (wanted, next) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some(split) => split,
                None => {
                    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
                    after.split_at(end)
                }
            };
            value.push_str(&value_of(wanted));
            rest = next;
        }
        value.push_str(rest);
        add(env, &format!("{name}={value}"), &[])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{translate, translate_with};
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Variables {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_are_resolved_in_order() {
        let spec = translate_with(
            &["--env-file", "/vars", "-e", "A=1,2", "-e", "HOME", "-e", "PRE_*", "-e", "ABSENT", "-e", "E=", "i"],
            "[containers]\nenv = [\"PATH=/x\", \"CONF=1\"]\n",
        )
        .unwrap();
        let expected = [
            ("CONF", "1"),
            ("C", "a b # c"),
            ("A", "1,2"),
            ("HOME", "/home/me"),
            ("PRE_A", "1"),
            ("PRE_B", "2"),
            ("E", ""),
        ];
        assert_eq!(spec.env, pairs(&expected));
        assert_eq!(spec.proxy_env, pairs(&[("http_proxy", "http://p:1")]));
    }

    #[test]
    fn proxies_stay_out_when_asked() {
        assert!(translate(&["--http-proxy=false", "i"]).unwrap().proxy_env.is_empty());
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(translate(&["-e", "=x", "i"]).unwrap_err(), "invalid variable: \"=x\"");
        let expected = "parsing file \"/nonexist\": open /nonexist: no such file or directory";
        assert_eq!(translate(&["--env-file", "/nonexist", "i"]).unwrap_err(), expected);
    }

    #[test]
    fn merged_variables_see_the_image() {
        let mut env = pairs(&[("A", "1")]);
        merge(&mut env, &["PATH=$PATH:/x".into(), "B=${A}2".into()], &["PATH=/bin".into()]).unwrap();
        assert_eq!(env, pairs(&[("A", "1"), ("PATH", "/bin:/x"), ("B", "12")]));
        let mut env = pairs(&[]);
        merge(&mut env, &["PATH=$PATH:/x".into()], &[]).unwrap();
        assert!(env[0].1.ends_with("/sbin:/bin:/x"), "{env:?}");
    }
}
