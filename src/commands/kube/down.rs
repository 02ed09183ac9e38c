//! `creel kube down`

use kube_play::act::{self, Claims, Meant};
use kube_play::{Kind, ObjectId, Problem, Severity, Unknown, Validate};

use super::{parse, read, refuse, source, warn};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Take down what manifests name, and what was played from the same files before
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove volumes, too
    #[arg(long)]
    force: bool,
    /// Files, "-", or URLs
    #[arg(value_name = "[KUBEFILE [KUBEFILE...]]|-")]
    files: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.files, 1)?;
    let claims = if args.force { Claims::Remove } else { Claims::Keep };
    take_down(context, &args.files, claims)
}

/// Also `kube play --down`.
pub fn take_down(context: &Context, names: &[String], claims: Claims) -> Result<ExitCode, Failure> {
    let engine = context.engine()?;
    let sources: Vec<String> = names.iter().map(|name| source(name)).collect();
    let mut files = Vec::new();
    for (name, source) in names.iter().zip(&sources) {
        match read(name) {
            Ok(file) => files.push(file),
            Err(failure) if act::played_from(&engine, &[source], &[])?.is_empty() => return Err(failure),
            Err(failure) => output::warn(&format!("{failure}: taking down what was played from there")),
        }
    }
    // What was played can be taken down, whatever a newer version thinks of its fields.
    let manifests = parse(&files, &[], Validate::Ignore, Unknown::Skip);
    let meant = Meant { ids: manifests.ids().cloned().collect(), sources, timeout: None };
    let known: Vec<&str> = meant.sources.iter().map(String::as_str).collect();
    if meant.ids.is_empty() && act::played_from(&engine, &known, &[])?.is_empty() {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        return Err(match manifests.problems().iter().find(is_error) {
            Some(_) => refuse(manifests.problems()),
            None => {
                warn(manifests.problems().iter());
                Failure::plain("there is nothing in these files that is played")
            }
        });
    }
    let done = act::down(&engine, super::pod_program, &meant, claims, &super::waits)?;
    report(&done)?;
    conclude(&done)
}

/// What could not be removed fails the command.
pub fn conclude(done: &act::Down) -> Result<ExitCode, Failure> {
    let failures = done.failed.iter().map(|(what, why)| Failure::plain(format!("{what}: {why}")));
    crate::select::conclude(failures.collect())
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
    if !done.taken_over.is_empty() {
        let line = |(id, by): &(ObjectId, String)| format!("{} (played from {by} since)", id.resource());
        block("Objects kept:", &done.taken_over.iter().map(line).collect::<Vec<_>>())?;
    }
    if !done.not_ours.is_empty() {
        block("Not from a manifest, kept:", &done.not_ours)?;
    }
    Ok(())
}
