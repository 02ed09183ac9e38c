//! Health checks: the flags as one value.

use std::time::Duration;

use containers::{HealthAction, HealthSpec, StartupHealth};

use super::HealthFlags;
use crate::arguments::go_quote;
use crate::error::Failure;
use crate::format::human;

const DEFAULT: Duration = Duration::from_secs(30);

/// `None` when no flag says anything: then it is the image's.
pub fn health(flags: &HealthFlags) -> Result<Option<HealthSpec>, Failure> {
    let on_failure = action(flags.health_on_failure.as_deref())?;
    let startup = startup(flags)?;
    let says_something = flags.health_cmd.is_some()
        || flags.health_interval.is_some()
        || flags.health_timeout.is_some()
        || flags.health_retries.is_some()
        || flags.health_start_period.is_some()
        || flags.health_on_failure.is_some()
        || flags.health_log_destination.is_some()
        || flags.health_max_log_count.is_some()
        || flags.health_max_log_size.is_some()
        || startup.is_some();
    if !says_something || flags.no_healthcheck || flags.health_cmd.as_deref() == Some("none") {
        return Ok(None);
    }
    let retries = match flags.health_retries {
        Some(retries) if retries < 1 => return Err(Failure::plain("healthcheck-retries must be greater than 0")),
        Some(retries) => u32::try_from(retries).unwrap_or(u32::MAX),
        None => 3,
    };
    Ok(Some(HealthSpec {
        // Without a command here the image's is kept; `containers::create` fills it in.
        test: flags.health_cmd.as_deref().map(test).unwrap_or_default(),
        interval: interval("healthcheck-interval", flags.health_interval.as_deref())?,
        timeout: at_least_a_second("healthcheck-timeout", flags.health_timeout.as_deref())?,
        start_period: match flags.health_start_period.as_deref() {
            Some(text) => duration("healthcheck-start-period", text)?,
            None => Duration::ZERO,
        },
        retries,
        on_failure,
        startup,
        log_destination: flags.health_log_destination.clone().unwrap_or_else(|| "local".into()),
        max_log_count: flags.health_max_log_count.unwrap_or(5),
        max_log_size: flags.health_max_log_size.unwrap_or(500),
    }))
}

fn startup(flags: &HealthFlags) -> Result<Option<StartupHealth>, Failure> {
    let Some(command) = &flags.health_startup_cmd else {
        let others = flags.health_startup_interval.is_some()
            || flags.health_startup_retries.is_some()
            || flags.health_startup_success.is_some()
            || flags.health_startup_timeout.is_some();
        if others {
            return Err(Failure::plain("cannot specify startup healthcheck options without --health-startup-cmd"));
        }
        return Ok(None);
    };
    if flags.health_cmd.is_none() {
        return Err(Failure::plain("a healthcheck must be set when a startup healthcheck is: use --health-cmd, too"));
    }
    Ok(Some(StartupHealth {
        test: test(command),
        interval: interval("startup healthcheck-interval", flags.health_startup_interval.as_deref())?,
        timeout: at_least_a_second("startup healthcheck-timeout", flags.health_startup_timeout.as_deref())?,
        retries: flags.health_startup_retries.unwrap_or(0),
        successes: flags.health_startup_success.unwrap_or(0),
    }))
}

/// A text is for a shell, a JSON array is a command; `CMD` and `CMD-SHELL` in front are taken as such.
fn test(text: &str) -> Vec<String> {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) if words.is_empty() => Vec::new(),
        Ok(words) if matches!(words[0].as_str(), "CMD" | "CMD-SHELL" | "NONE") => words,
        Ok(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
        Err(_) if text.is_empty() => Vec::new(),
        Err(_) => {
            let text = text.strip_prefix("CMD-SHELL ").unwrap_or(text);
            vec!["CMD-SHELL".into(), text.to_owned()]
        }
    }
}

fn duration(what: &str, text: &str) -> Result<Duration, Failure> {
    human::parse_duration(text).map_err(|problem| Failure::plain(format!("invalid {what}: {problem}")))
}

/// `disable` (and 0) leaves the checks to whoever runs them by hand.
fn interval(what: &str, text: Option<&str>) -> Result<Option<Duration>, Failure> {
    match text {
        None => Ok(Some(DEFAULT)),
        Some("disable") => Ok(None),
        Some(text) => duration(what, text).map(|interval| Some(interval).filter(|interval| !interval.is_zero())),
    }
}

fn at_least_a_second(what: &str, text: Option<&str>) -> Result<Duration, Failure> {
    let Some(text) = text else { return Ok(DEFAULT) };
    duration(what, text)
}

fn action(text: Option<&str>) -> Result<HealthAction, Failure> {
    match text.unwrap_or_default() {
        "" | "none" => Ok(HealthAction::None),
        "kill" => Ok(HealthAction::Kill),
        "restart" => Ok(HealthAction::Restart),
        "stop" => Ok(HealthAction::Stop),
        other => Err(Failure::plain(format!(
            "invalid on-failure action {} for health check: supported actions are none,kill,restart,stop",
            go_quote(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::translate;
    use super::*;

    #[test]
    fn commands_are_for_a_shell_or_not() {
        let table: &[(&str, &[&str])] = &[
            ("true", &["CMD-SHELL", "true"]),
            ("[\"a\",\"b\"]", &["CMD", "a", "b"]),
            ("[\"CMD-SHELL\",\"b\"]", &["CMD-SHELL", "b"]),
            ("[\"CMD\",\"b\"]", &["CMD", "b"]),
        ];
        for (text, expected) in table {
            assert_eq!(translate(&["--health-cmd", text, "i"]).unwrap().health.unwrap().test, *expected);
        }
    }

    #[test]
    fn defaults_are_podmans() {
        let health = translate(&["--health-cmd", "true", "i"]).unwrap().health.unwrap();
        assert_eq!((health.interval, health.timeout, health.retries), (Some(DEFAULT), DEFAULT, 3));
        assert_eq!((health.max_log_count, health.max_log_size, health.log_destination.as_str()), (5, 500, "local"));
        assert_eq!(translate(&["i"]).unwrap().health, None);
        assert!(translate(&["--health-cmd", "none", "i"]).unwrap().no_healthcheck);
        assert_eq!(
            translate(&["--health-cmd", "true", "--health-interval", "disable", "i"]).unwrap().health.unwrap().interval,
            None
        );
    }

    #[test]
    fn mistakes_are_named() {
        let table: &[(&[&str], &str)] = &[
            (&["--health-interval", "foo"], "invalid healthcheck-interval: time: invalid duration \"foo\""),
            (&["--health-retries", "0"], "healthcheck-retries must be greater than 0"),
            (
                &["--health-on-failure", "foo"],
                "invalid on-failure action \"foo\" for health check: supported actions are none,kill,restart,stop",
            ),
            (&["--no-healthcheck"], "cannot specify both --no-healthcheck and --health-cmd"),
        ];
        for (line, expected) in table {
            let line: Vec<&str> = ["--health-cmd", "x"].iter().chain(*line).copied().chain(["i"]).collect();
            assert_eq!(translate(&line).unwrap_err(), *expected);
        }
    }
}
