//! `--change` of commit and import: one Dockerfile instruction that alters the settings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::settings::{Empty, Healthcheck, Settings};

/// Applies `CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD SHELL STOPSIGNAL USER VOLUME WORKDIR`; a `=` between
/// instruction and value is fine, as in `CMD=/bin/sh`.
pub fn apply_change(settings: &mut Settings, instruction: &str) -> Result<()> {
    let bad = |reason: &str| Error::InvalidChange { instruction: instruction.to_owned(), reason: reason.to_owned() };
    let text = instruction.trim();
    let end = text.find(|letter: char| letter.is_ascii_whitespace() || letter == '=').unwrap_or(text.len());
    let (keyword, rest) = text.split_at(end);
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    let keyword = keyword.to_ascii_uppercase();
    if rest.is_empty() && end == text.len() {
        return Err(bad("must be formatted as KEY VALUE"));
    }
    if rest.is_empty() && !matches!(keyword.as_str(), "CMD" | "ENTRYPOINT" | "USER") {
        return Err(bad("the value is missing"));
    }
    match keyword.as_str() {
        "CMD" => settings.cmd = command(rest, settings),
        "ENTRYPOINT" => {
            settings.entrypoint = command(rest, settings);
            // As in a Dockerfile: a new entry point forgets the old command.
            settings.cmd = None;
        }
        "ENV" => {
            for (name, value) in pairs(rest).ok_or_else(|| bad("use ENV NAME=VALUE"))? {
                settings.set_variable(&name, &value);
            }
        }
        "LABEL" => settings.labels.extend(pairs(rest).ok_or_else(|| bad("use LABEL NAME=VALUE"))?),
        "EXPOSE" => {
            for port in words(rest).ok_or_else(|| bad("a quote is not closed"))? {
                settings
                    .exposed_ports
                    .insert(port_of(&port).ok_or_else(|| bad("use EXPOSE PORT[/tcp|udp|sctp]"))?, Empty {});
            }
        }
        "VOLUME" => {
            let volumes = json_list(rest).or_else(|| words(rest)).ok_or_else(|| bad("a quote is not closed"))?;
            settings.volumes.extend(volumes.into_iter().map(|path| (path, Empty {})));
        }
        "USER" => settings.user = rest.to_owned(),
        "WORKDIR" => {
            settings.working_dir = match rest.starts_with('/') {
                true => rest.to_owned(),
                false => format!("{}/{rest}", settings.working_dir.trim_end_matches('/')),
            };
        }
        "STOPSIGNAL" => settings.stop_signal = rest.to_owned(),
        "ONBUILD" => settings.on_build.push(rest.to_owned()),
        "SHELL" => settings.shell = json_list(rest).ok_or_else(|| bad("use SHELL [\"program\", \"argument\"]"))?,
        "HEALTHCHECK" => {
            settings.healthcheck = Some(
                healthcheck(rest)
                    .ok_or_else(|| bad("use HEALTHCHECK NONE or HEALTHCHECK [--interval=...] CMD command"))?,
            )
        }
        other => return Err(bad(&format!("invalid instruction {other}"))),
    }
    Ok(())
}

/// `["a", "b"]` as it is, anything else for the shell; nothing is no command.
fn command(text: &str, settings: &Settings) -> Option<Vec<String>> {
    if text.is_empty() {
        return None;
    }
    Some(json_list(text).unwrap_or_else(|| {
        let shell = match settings.shell.is_empty() {
            true => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            false => settings.shell.clone(),
        };
        shell.into_iter().chain([text.to_owned()]).collect()
    }))
}

fn json_list(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn port_of(text: &str) -> Option<String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let number = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let fine = match ports.split_once('-') {
        Some((first, last)) => number(first) && number(last),
        None => number(ports),
    };
    (fine && matches!(protocol.as_str(), "tcp" | "udp" | "sctp")).then(|| format!("{ports}/{protocol}"))
}

/// `A=1 B="two words"`, or the old `NAME the rest`.
fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    let words = words(text)?;
    if !words.first()?.contains('=') {
        let (name, value) = text.split_once(|letter: char| letter.is_ascii_whitespace())?;
        return Some(BTreeMap::from([(name.to_owned(), value.trim().to_owned())]));
    }
    words
        .into_iter()
        .map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect()
}

/// Words with quotes and backslashes taken off; `None` where a quote stays open.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), letter) if open == letter => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn healthcheck(text: &str) -> Option<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(|letter: char| letter.is_whitespace())?;
        rest = after.trim_start();
        let (name, value) = flag.split_once('=')?;
        match name {
            "interval" => check.interval = nanoseconds(value)?,
            "timeout" => check.timeout = nanoseconds(value)?,
            "start-period" => check.start_period = nanoseconds(value)?,
            "start-interval" => check.start_interval = nanoseconds(value)?,
            "retries" => check.retries = value.parse().ok()?,
            _ => return None,
        }
    }
    let (kind, command) = rest.split_once(|letter: char| letter.is_whitespace()).unwrap_or((rest, ""));
    check.test = match (kind.to_ascii_uppercase().as_str(), command.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("CMD", command) if !command.is_empty() => match json_list(command) {
            Some(list) => std::iter::once("CMD".to_owned()).chain(list).collect(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return None,
    };
    Some(check)
}

fn nanoseconds(text: &str) -> Option<i64> {
    i64::try_from(go_duration(text)?.as_nanos()).ok()
}

/// `1h30m`, `250ms`, see Go's time.ParseDuration. Signs are not taken.
pub(crate) fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> Settings {
        let mut settings = Settings::default();
        for change in changes {
            apply_change(&mut settings, change).unwrap();
        }
        settings
    }

    #[test]
    fn instructions_change_the_settings() {
        let settings = changed(&[
            "CMD [\"a\", \"b c\"]",
            "ENV A=1 B=\"two words\"",
            "ENV A=3",
            "env OLD the rest",
            "LABEL x=y z='1 2'",
            "EXPOSE 80 53/UDP",
            "VOLUME /data /more",
            "VOLUME [\"/json\"]",
            "WORKDIR /srv",
            "WORKDIR app",
            "USER=1000:1000",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=5s --retries=2 CMD curl -f localhost",
        ]);
        assert_eq!(settings.cmd.as_deref(), Some(["a".to_owned(), "b c".to_owned()].as_slice()));
        assert_eq!(settings.env, ["A=3", "B=two words", "OLD=the rest"]);
        assert_eq!(settings.labels["z"], "1 2");
        assert!(settings.exposed_ports.contains_key("80/tcp") && settings.exposed_ports.contains_key("53/udp"));
        assert_eq!(settings.volumes.len(), 3);
        assert_eq!((settings.working_dir.as_str(), settings.user.as_str()), ("/srv/app", "1000:1000"));
        let check = settings.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (5_000_000_000, 2));
        assert_eq!(check.test, ["CMD-SHELL", "curl -f localhost"]);
    }

    #[test]
    fn a_shell_form_goes_to_the_shell_and_an_entry_point_forgets_the_command() {
        let settings = changed(&["CMD echo hi", "ENTRYPOINT [\"/init\"]"]);
        assert_eq!((settings.cmd, settings.entrypoint), (None, Some(vec!["/init".to_owned()])));
        let settings = changed(&["CMD=echo hi"]);
        assert_eq!(settings.cmd, Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), "echo hi".to_owned()]));
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for bad in ["RUN x", "", "ENV", "EXPOSE http", "EXPOSE 0", "HEALTHCHECK maybe", "SHELL sh", "LABEL x=\"y"] {
            assert!(apply_change(&mut Settings::default(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        let cases = [("1h30m", 5_400_000), ("250ms", 250), ("1.5s", 1500), ("0", 0)];
        for (text, milliseconds) in cases {
            assert_eq!(go_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "5", "h", "1d", "-1s"] {
            assert_eq!(go_duration(bad), None, "{bad}");
        }
    }
}
