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
    let mut check = defaults();
    change(flags, &mut check)?;
    if flags.no_healthcheck || flags.health_cmd.as_deref() == Some("none") {
        return without_check(flags);
    }
    Ok(Some(check).filter(|_| !flags.is_empty()))
}

/// What flags without a command make of the image's check.
pub fn of_image(flags: &HealthFlags, image: Option<HealthSpec>) -> Result<Option<HealthSpec>, Failure> {
    let Some(mut check) = image else { return without_check(flags) };
    change(flags, &mut check)?;
    Ok(Some(check))
}

/// Some flags mean nothing without a check.
fn without_check(flags: &HealthFlags) -> Result<Option<HealthSpec>, Failure> {
    if flags.health_startup_cmd.is_some() {
        return Err(Failure::plain(
            "cannot set a startup healthcheck when there is no regular healthcheck: invalid argument",
        ));
    }
    match flags.health_on_failure.as_deref() {
        None | Some("" | "none") => Ok(None),
        Some(action) => Err(Failure::plain(format!("cannot set on-failure action to {action} without a health check"))),
    }
}

/// A check of no command, as often and as long as Podman's.
pub fn defaults() -> HealthSpec {
    HealthSpec {
        test: Vec::new(),
        interval: Some(DEFAULT),
        timeout: DEFAULT,
        start_period: Duration::ZERO,
        start_interval: None,
        retries: 3,
        on_failure: HealthAction::None,
        startup: None,
        log_destination: "local".into(),
        max_log_count: 5,
        max_log_size: 500,
    }
}

impl HealthFlags {
    /// None but `--no-healthcheck` at most.
    pub fn is_empty(&self) -> bool {
        let texts = [
            &self.health_cmd,
            &self.health_interval,
            &self.health_log_destination,
            &self.health_on_failure,
            &self.health_start_interval,
            &self.health_start_period,
            &self.health_startup_cmd,
            &self.health_startup_interval,
            &self.health_startup_timeout,
            &self.health_timeout,
        ];
        let numbers = [
            &self.health_max_log_count,
            &self.health_max_log_size,
            &self.health_startup_retries,
            &self.health_startup_success,
        ];
        texts.iter().all(|text| text.is_none())
            && numbers.iter().all(|number| number.is_none())
            && self.health_retries.is_none()
    }
}

/// What the flags say, on top of what there is.
pub fn change(flags: &HealthFlags, check: &mut HealthSpec) -> Result<(), Failure> {
    if let Some(text) = &flags.health_cmd {
        check.test = test(text)?;
    }
    if let Some(text) = &flags.health_interval {
        check.interval = interval("healthcheck-interval", text)?;
    }
    if let Some(text) = &flags.health_timeout {
        check.timeout = timeout("healthcheck-timeout", text)?;
    }
    if let Some(text) = &flags.health_start_period {
        check.start_period = match text.starts_with('-') {
            true => return Err(Failure::plain("healthcheck-start-period must be 0 seconds or greater")),
            false => duration("healthcheck-start-period", text)?,
        };
    }
    if let Some(text) = &flags.health_start_interval {
        check.start_interval = interval("healthcheck-start-interval", text)?;
    }
    match flags.health_retries {
        Some(0) => return Err(Failure::plain("healthcheck-retries must be greater than 0")),
        Some(retries) => check.retries = retries,
        None => {}
    }
    if let Some(text) = &flags.health_on_failure {
        check.on_failure = action(text)?;
    }
    if let Some(text) = &flags.health_log_destination {
        check.log_destination = text.clone();
    }
    check.max_log_count = flags.health_max_log_count.unwrap_or(check.max_log_count);
    check.max_log_size = flags.health_max_log_size.unwrap_or(check.max_log_size);
    change_startup(flags, check)
}

fn change_startup(flags: &HealthFlags, check: &mut HealthSpec) -> Result<(), Failure> {
    let others = flags.health_startup_interval.is_some()
        || flags.health_startup_retries.is_some()
        || flags.health_startup_success.is_some()
        || flags.health_startup_timeout.is_some();
    let mut startup = match (check.startup.take(), &flags.health_startup_cmd) {
        (Some(startup), _) => startup,
        (None, Some(_)) => {
            StartupHealth { test: Vec::new(), interval: Some(DEFAULT), timeout: DEFAULT, retries: 0, successes: 0 }
        }
        (None, None) if others => {
            return Err(Failure::plain("cannot specify startup healthcheck options without --health-startup-cmd"));
        }
        (None, None) => return Ok(()),
    };
    if let Some(text) = &flags.health_startup_cmd {
        startup.test = test(text)?;
    }
    if let Some(text) = &flags.health_startup_interval {
        startup.interval = interval("healthcheck-interval", text)?;
    }
    if let Some(text) = &flags.health_startup_timeout {
        startup.timeout = timeout("healthcheck-timeout", text)?;
    }
    startup.retries = flags.health_startup_retries.unwrap_or(startup.retries);
    startup.successes = flags.health_startup_success.unwrap_or(startup.successes);
    check.startup = Some(startup);
    Ok(())
}

/// A text is for a shell, a JSON array is a command; `CMD` and `CMD-SHELL` in front are taken as such.
fn test(text: &str) -> Result<Vec<String>, Failure> {
    Ok(match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) if words.is_empty() => {
            return Err(Failure::plain("must define a healthcheck command for all healthchecks"));
        }
        Ok(words) if matches!(words[0].as_str(), "CMD" | "CMD-SHELL" | "NONE") => words,
        Ok(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
        Err(_) if text.is_empty() => Vec::new(),
        Err(_) => match text.strip_prefix("CMD ") {
            Some(words) => ["CMD"].into_iter().chain(words.split_whitespace()).map(str::to_owned).collect(),
            None => vec!["CMD-SHELL".into(), text.strip_prefix("CMD-SHELL ").unwrap_or(text).to_owned()],
        },
    })
}

fn duration(what: &str, text: &str) -> Result<Duration, Failure> {
    human::parse_duration(text).map_err(|problem| Failure::plain(format!("invalid {what}: {problem}")))
}

/// Podman takes less than the second that it speaks of, but not nothing.
fn timeout(what: &str, text: &str) -> Result<Duration, Failure> {
    match duration(what, text)? {
        Duration::ZERO => Err(Failure::plain("healthcheck-timeout must be at least 1 second")),
        timeout => Ok(timeout),
    }
}

/// `disable` (and 0) leaves the checks to whoever runs them by hand.
fn interval(what: &str, text: &str) -> Result<Option<Duration>, Failure> {
    match text {
        "disable" => Ok(None),
        text => duration(what, text).map(|interval| Some(interval).filter(|interval| !interval.is_zero())),
    }
}

fn action(text: &str) -> Result<HealthAction, Failure> {
    match text {
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
            ("CMD-SHELL a b", &["CMD-SHELL", "a b"]),
            ("CMD a b", &["CMD", "a", "b"]),
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
