//! `creel wait`

use std::time::Duration;

use containers::{Condition, Container, Engine, State};

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::human;
use crate::output;
use crate::select;

/// Wait for containers and print their exit codes
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to wait for: stopped, running, healthy, ...; -1 is printed where it is no end
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub condition: Vec<String>,
    /// End as soon as one of the containers has got there
    #[arg(long)]
    pub exit_first_match: bool,
    /// A container that does not exist counts as gone: -1
    #[arg(long)]
    pub ignore: bool,
    /// How often to look for what nobody tells (a duration, or milliseconds)
    #[arg(short, long, value_name = "DURATION", default_value = "250ms")]
    pub interval: String,
    /// Wait for the newest container
    #[arg(short, long)]
    pub latest: bool,
    /// Say with a NUL byte on stdout that from now on nothing is missed: for Docker's API
    #[arg(long, hide = true)]
    pub preface: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER [CONTAINER...]")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.latest && !args.containers.is_empty() {
        return Err(Failure::plain("--latest and containers cannot be used together"));
    }
    if args.containers.is_empty() && !args.latest {
        return Err(Failure::plain("\"creel wait\" requires a name, id, or the \"--latest\" flag"));
    }
    let interval = interval(&args.interval)?;
    let conditions: Vec<Condition> = args.condition.iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
    let engine = context.reader()?;
    if args.latest {
        let container = select::latest(&engine)?;
        let code = match has_no_end(&container, &conditions) {
            true => 0,
            false => containers::wait(&engine, &container, &conditions, interval)?,
        };
        output::line(code)?;
        return Ok(ExitCode::Success);
    }
    if args.exit_first_match && args.containers.len() > 1 {
        return first_of(&engine, &args, &conditions, interval);
    }
    // Before anything is waited for, which may be long: the last may be gone when its turn comes.
    let mut found = Vec::new();
    for name in &args.containers {
        found.push(match containers::find(&engine, name) {
            Err(containers::Error::NotFound { .. }) if args.ignore => None,
            other => Some(other?),
        });
    }
    let mut end = ExitCode::Success;
    for container in found {
        let Some(container) = container else {
            output::line(-1)?;
            continue;
        };
        let waited = containers::check_conditions(&container, &conditions).and_then(|()| {
            let now = match containers::find(&engine, container.id().as_str()) {
                Err(containers::Error::NotFound { .. }) => None,
                other => Some(other?),
            };
            if now.is_some_and(|now| has_no_end(&now, &conditions)) {
                return Ok(0);
            }
            let mut listening = preface(args.preface);
            containers::wait_and_tell(&engine, &container, &conditions, interval, &mut listening)
        });
        match waited {
            Ok(code) => output::line(code)?,
            Err(containers::Error::NotFound { .. }) if args.ignore => output::line(-1)?,
            Err(error) => {
                let failure = Failure::from(error);
                failure.print(None);
                end = failure.exit_code();
            }
        }
    }
    Ok(end)
}

/// Whether an end is waited for of a container that has never run. As with Podman there is nothing to wait for then.
fn has_no_end(container: &Container, conditions: &[Condition]) -> bool {
    let is_end = |condition: &Condition| matches!(condition, Condition::Stopped | Condition::Exited);
    matches!(container.state(), State::Created) && conditions.iter().all(is_end)
}

/// Says once that we listen.
fn preface(mut is_wanted: bool) -> impl FnMut() {
    move || {
        if std::mem::take(&mut is_wanted) {
            // A reader that is gone learns nothing more either way.
            let _ = output::print("\0");
        }
    }
}

/// Prints the code of whichever container gets there first.
fn first_of(engine: &Engine, args: &Args, conditions: &[Condition], interval: Duration) -> Result<ExitCode, Failure> {
    let mut waited = Vec::new();
    for name in &args.containers {
        match containers::find(engine, name) {
            Ok(container) => {
                containers::check_conditions(&container, conditions)?;
                waited.push(container);
            }
            Err(containers::Error::NotFound { .. }) if args.ignore => {
                output::line(-1)?;
                return Ok(ExitCode::Success);
            }
            Err(error) => return Err(error.into()),
        }
    }
    loop {
        for container in &waited {
            if let Some(code) = containers::holds_now(engine, container, conditions)? {
                output::line(code)?;
                return Ok(ExitCode::Success);
            }
        }
        std::thread::sleep(interval);
    }
}

/// A duration; a bare number is milliseconds.
fn interval(text: &str) -> Result<Duration, Failure> {
    match text.parse::<u64>() {
        Ok(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        Err(_) => human::parse_duration(text).map_err(Failure::plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_durations_or_milliseconds() {
        assert_eq!(interval("250").unwrap(), Duration::from_millis(250));
        assert_eq!(interval("2s").unwrap(), Duration::from_secs(2));
        assert_eq!(interval("x").unwrap_err().to_string(), "time: invalid duration \"x\"");
    }
}
