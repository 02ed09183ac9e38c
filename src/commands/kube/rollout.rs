//! `creel kube rollout status`, `history`, `undo`, `restart`, `pause` and `resume`

use kube_play::act::{self, Body, Object};
use kube_play::show::{self, RolloutState};

use super::changes::{self, look_until};
use super::{DEFAULT_NAMESPACE, not_found, one_object};
use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::human;
use crate::output;

/// Follow an update of a workload, hold it or turn it back: status, history, undo, restart, pause, resume
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// history: show this revision
    #[arg(long, value_name = "NUMBER", value_parser = number::u64)]
    revision: Option<u64>,
    /// status: give up after so long (0: never)
    #[arg(long, value_name = "DURATION", default_value = "0")]
    timeout: String,
    /// undo: go back to this revision
    #[arg(long, value_name = "NUMBER", value_parser = number::u64)]
    to_revision: Option<u64>,
    /// status: wait until it is over
    #[arg(short, long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    watch: bool,
    /// What to do (status, history, undo, restart, pause, resume), then KIND NAME or KIND/NAME
    #[arg(value_name = "DEED")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 2)?;
    let id = one_object(&args.words[1..], &args.namespace)?;
    let engine = match args.words[0].as_str() {
        "status" | "history" => context.reader()?,
        _ => context.engine()?,
    };
    let shelf = super::shelf(&engine)?;
    let found = || -> Result<_, Failure> {
        match shelf.get(&id)? {
            Some(Object { body: Body::Workload { plan, history }, generation, .. }) => Ok((plan, history, generation)),
            Some(_) => Err(Failure::plain(format!("{} has no rollouts", id.resource()))),
            None => Err(not_found(id.kind, &id.name)),
        }
    };
    match args.words[0].as_str() {
        "status" => {
            let patience = match args.timeout.as_str() {
                "0" | "0s" => None,
                text => Some(human::parse_duration(text).map_err(Failure::plain)?),
            };
            let mut said = String::new();
            let over = look_until(&engine, changes::until(patience), || {
                let (plan, _, generation) = found()?;
                let kept = shelf.kept(&id)?;
                let state = match kept.generation == generation {
                    true => show::rollout_status(&plan, &super::get::workload_status(&plan, kept)),
                    false => {
                        let kind = id.kind.word().to_lowercase();
                        RolloutState::Waiting(format!("Waiting for {kind} spec update to be observed..."))
                    }
                };
                match state {
                    RolloutState::Done(text) => {
                        output::line(text)?;
                        return Ok(Some(()));
                    }
                    RolloutState::Failed(text) => return Err(Failure::plain(text)),
                    RolloutState::Waiting(text) => {
                        if text != said {
                            output::line(&text)?;
                            said = text;
                        }
                    }
                }
                Ok((!args.watch).then_some(()))
            })?;
            if over.is_none() {
                return Err(Failure::plain("timed out waiting for the condition"));
            }
        }
        "history" => {
            let (plan, history, _) = found()?;
            let text = match args.revision {
                Some(number) => show::rollout_revision(&plan, history.target(Some(number)).map_err(Failure::plain)?),
                None => show::rollout_history(&plan, &history),
            };
            output::print(&text)?;
        }
        "undo" => {
            act::undo(&engine, &id, args.to_revision, &super::waits)?;
            act::start_supervisor(&engine, super::supervisor_program())?;
            output::line(format_args!("{} rolled back", id.resource()))?;
        }
        "restart" => {
            act::restart(&engine, &id, &super::waits)?;
            act::start_supervisor(&engine, super::supervisor_program())?;
            output::line(format_args!("{} restarted", id.resource()))?;
        }
        deed @ ("pause" | "resume") => {
            let paused = deed == "pause";
            act::pause(&engine, &id, paused, &super::waits)?;
            act::start_supervisor(&engine, super::supervisor_program())?;
            output::line(format_args!("{} {}", id.resource(), if paused { "paused" } else { "resumed" }))?;
        }
        other => {
            return Err(Failure::plain(format!(
                "unknown deed {other:?}: it is status, history, undo, restart, pause or resume"
            )));
        }
    }
    Ok(ExitCode::Success)
}
