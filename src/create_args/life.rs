//! How a container begins, who is told, and when it comes back: entrypoint, umask, systemd, restart policy.

use containers::{RestartPolicy, SdNotify, SystemdMode};

use crate::arguments::{go_bool, go_quote};
use crate::error::Failure;

/// One word, or a JSON array of words. Both clear the image's where they are empty: the text drops its command, too, the
/// array does not.
pub fn entrypoint(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()])
}

/// `no`, `never`, `on-failure[:N]`, `always`, `unless-stopped`. `doing` is said before what is no policy.
pub fn restart(text: &str, doing: Option<&str>) -> Result<RestartPolicy, Failure> {
    let (word, count) = match text.split_once(':') {
        Some((word, count)) => (word, Some(count)),
        None => (text, None),
    };
    let policy = match word {
        "" | "no" | "never" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure { max_retries: 0 },
        _ => {
            let failure = Failure::plain(format!("{} is not a valid restart policy: invalid argument", go_quote(word)))
                .hint("the policies are no, on-failure[:RETRIES], always and unless-stopped");
            return Err(match doing {
                Some(doing) => failure.context(doing),
                None => failure,
            });
        }
    };
    let Some(count) = count else { return Ok(policy) };
    if word != "on-failure" {
        return Err(Failure::plain("restart policy retries can only be specified with on-failure restart policy"));
    }
    if count.contains(':') {
        return Err(Failure::plain("invalid restart policy: may specify retries at most once"));
    }
    match count.parse::<i64>() {
        Ok(count) if count < 0 => {
            Err(Failure::plain("must specify restart policy retry count as a number greater than 0"))
        }
        Ok(count) => Ok(RestartPolicy::OnFailure { max_retries: u32::try_from(count).unwrap_or(u32::MAX) }),
        Err(_) => Err(Failure::plain(format!(
            "parsing restart policy retry count: strconv.Atoi: parsing {}: invalid syntax",
            go_quote(count)
        ))),
    }
}

pub fn umask(text: Option<&str>) -> Result<Option<u32>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let octal = text.len() <= 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mask) if octal => Ok(Some(mask)),
        _ => Err(Failure::plain(format!(
            "running container create option: invalid umask string {text}: invalid argument"
        ))),
    }
}

/// The execution domains of personality(2) that a container may have.
pub fn personality(text: &str) -> Result<String, Failure> {
    match text {
        "LINUX" | "LINUX32" => Ok(text.to_owned()),
        _ => Err(Failure::plain(format!("unknown persona specified {}", go_quote(text)))
            .hint("the personalities are LINUX and LINUX32")),
    }
}

pub fn systemd(text: Option<&str>) -> Result<SystemdMode, Failure> {
    match text {
        None | Some("") => Ok(SystemdMode::Auto),
        Some("always") => Ok(SystemdMode::Always),
        Some(text) => match go_bool(text) {
            Some(true) => Ok(SystemdMode::Auto),
            Some(false) => Ok(SystemdMode::Off),
            None => Err(Failure::plain(
                "invalid config provided: --systemd values must be one of \"true, false, always\": invalid configuration",
            )),
        },
    }
}

pub fn sdnotify(text: Option<&str>) -> Result<SdNotify, Failure> {
    match text.unwrap_or_default() {
        "" | "container" => Ok(SdNotify::Container),
        "conmon" => Ok(SdNotify::Conmon),
        "healthy" => Ok(SdNotify::Healthy),
        "ignore" => Ok(SdNotify::Ignore),
        other => Err(Failure::plain(format!(
            "invalid config provided: invalid argument: invalid sdnotify value {}: must be conmon, container, healthy or ignore",
            go_quote(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::translate;
    use super::*;

    #[test]
    fn entrypoints_are_words_or_json() {
        let table: &[(&str, &[&str])] = &[
            ("/bin/sh", &["/bin/sh"]),
            ("[\"a\",\"b c\"]", &["a", "b c"]),
            ("", &[""]),
            ("[]", &[]),
            ("[\"a\"", &["[\"a\""]),
        ];
        for (text, expected) in table {
            assert_eq!(translate(&["--entrypoint", text, "i"]).unwrap().entrypoint.unwrap(), *expected);
        }
    }

    #[test]
    fn restart_policies_are_read() {
        let table = [
            ("no", RestartPolicy::No),
            ("never", RestartPolicy::No),
            ("always", RestartPolicy::Always),
            ("on-failure", RestartPolicy::OnFailure { max_retries: 0 }),
            ("on-failure:3", RestartPolicy::OnFailure { max_retries: 3 }),
            ("unless-stopped", RestartPolicy::UnlessStopped),
        ];
        for (text, expected) in table {
            assert_eq!(restart(text, None).unwrap(), expected);
        }
    }
}
