//! `creel kube down`

use kube_play::act::{self, Claims};
use kube_play::{Kind, ObjectId, Problem, Severity, Unknown, Validate};

use super::{parse, read, refuse, warn};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Take down what was played from manifests
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove volumes, too
    #[arg(long)]
    force: bool,
    /// Files, "-", or URLs
    #[arg(value_name = "FILE [FILE...]|-")]
    files: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.files, 1)?;
    let claims = if args.force { Claims::Remove } else { Claims::Keep };
    take_down(context, &args.files, claims)
}

/// Also `kube play --down`.
pub fn take_down(context: &Context, files: &[String], claims: Claims) -> Result<ExitCode, Failure> {
    let files = files.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?;
    // What was played can be taken down, whatever a newer version thinks of its fields.
    let manifests = parse(&files, &[], Validate::Ignore, Unknown::Skip);
    let ids: Vec<ObjectId> = manifests.ids().cloned().collect();
    if ids.is_empty() {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        return Err(match manifests.problems().iter().find(is_error) {
            Some(_) => refuse(manifests.problems()),
            None => {
                warn(manifests.problems().iter());
                Failure::plain("there is nothing in these files that is played")
            }
        });
    }
    let engine = context.engine()?;
    let done = act::down(&engine, super::pod_program, &ids, claims, &super::waits)?;
    report(&done)?;
    let mut failures = done.failed.iter().map(|(what, why)| Failure::plain(format!("{what}: {why}"))).peekable();
    if failures.peek().is_some() {
        crate::select::conclude(failures.collect())?;
    }
    Ok(ExitCode::Success)
}

pub fn report(done: &act::Down) -> Result<(), Failure> {
    let block = |title: &str, lines: &[String]| -> Result<(), Failure> {
        output::line(title)?;
        lines.iter().try_for_each(output::line)
    };
    block("Pods stopped:", &done.pods)?;
    block("Pods removed:", &done.pods)?;
    block("Secrets removed:", &done.secrets)?;
    block("Volumes removed:", &done.volumes)?;
    let others: Vec<String> = done.removed.iter().filter(|id| id.kind != Kind::Pod).map(ObjectId::resource).collect();
    if !others.is_empty() {
        block("Objects removed:", &others)?;
    }
    if !done.kept.is_empty() {
        block("Volumes kept:", &done.kept)?;
    }
    if !done.not_ours.is_empty() {
        block("Not from a manifest, kept:", &done.not_ours)?;
    }
    Ok(())
}
