//! `creel kube label`; and all of `kube annotate` but its name.

use containers::Engine;
use kube_play::act::{self, Noted, Notes};
use kube_play::{Kind, ObjectId};

use super::DEFAULT_NAMESPACE;
use super::chosen::{self, Chosen, Which};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{output, select};

/// Give played objects labels, or take them away; pods have those of their template
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    noting: Noting,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    note(context, &args.noting, Notes::Labels)
}

/// What both commands are told.
#[derive(clap::Args, Debug)]
pub(super) struct Noting {
    /// All objects of these kinds
    #[arg(long)]
    all: bool,
    /// Show what each object has
    #[arg(long)]
    list: bool,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Replace values that are there
    #[arg(long)]
    overwrite: bool,
    /// Objects with these labels (app=web,tier!=db)
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// A kind and names, or KIND/NAME; then what is to be: KEY=VALUE, or KEY- for none
    #[arg(value_name = "KIND/NAME KEY=VALUE...")]
    words: Vec<String>,
}

pub(super) fn note(context: &Context, args: &Noting, which: Notes) -> Result<ExitCode, Failure> {
    let (objects, changes) = split(&args.words);
    arguments::at_least(&objects, 1)?;
    let (done, undone, word) = match which {
        Notes::Labels => ("labeled", "unlabeled", "label"),
        Notes::Annotations => ("annotated", "annotated", "annotation"),
    };
    if changes.is_empty() && !args.list {
        return Err(Failure::plain(format!("at least one {word} update is required")).hint("write KEY=VALUE, or KEY-"));
    }
    let chooser = match (&args.selector, args.all) {
        (Some(labels), _) => Which::Labelled(labels),
        (None, true) => Which::All,
        (None, false) => Which::Named,
    };
    let engine = if changes.is_empty() { context.reader()? } else { context.engine()? };
    let shelf = super::shelf(&engine)?;
    let (chosen, mut failures) = chosen::choose(&engine, &shelf, &objects, &args.namespace, &chooser)?;
    let ids: Vec<ObjectId> = chosen.iter().map(Chosen::id).collect();
    for id in ids.iter().filter(|_| !changes.is_empty()) {
        match change(&engine, id, which, &changes, args.overwrite) {
            Ok(Noted { set: false, removed: false }) => {
                output::line(format_args!("{} not {done}", id.resource()))?;
            }
            Ok(Noted { set: false, removed: true }) => output::line(format_args!("{} {undone}", id.resource()))?,
            Ok(Noted { set: true, .. }) => output::line(format_args!("{} {done}", id.resource()))?,
            Err(failure) => failures.push(failure),
        }
    }
    for id in ids.iter().filter(|_| args.list) {
        let Some(one) = chosen::find(&engine, &shelf, id)? else { continue };
        let texts = match (which, &one) {
            (Notes::Labels, one) => one.labels().clone(),
            (Notes::Annotations, Chosen::Pod(pod)) => pod.annotations(),
            (Notes::Annotations, Chosen::Stored(_, object)) => {
                object.body.meta().map(|meta| meta.annotations.clone()).unwrap_or_default()
            }
        };
        texts.iter().try_for_each(|(key, value)| output::line(format_args!("{key}={value}")))?;
    }
    select::conclude(failures)
}

type Changes = Vec<(String, Option<String>)>;

/// The words that name objects, and what is to become of them.
fn split(words: &[String]) -> (Vec<String>, Changes) {
    let (mut objects, mut changes) = (Vec::new(), Changes::new());
    for word in words {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) => changes.push((key.to_owned(), Some(value.to_owned()))),
            // No name ends like that.
            (None, Some(key)) => changes.push((key.to_owned(), None)),
            (None, None) => objects.push(word.clone()),
        }
    }
    (objects, changes)
}

fn change(engine: &Engine, id: &ObjectId, which: Notes, changes: &Changes, overwrite: bool) -> Result<Noted, Failure> {
    match id.kind {
        // They are selected by them, from what they were made with.
        Kind::Pod => Err(Failure::plain(format!("{}: a pod keeps what it was made with", id.resource()))
            .hint("change its file, or the template of what keeps it, and play that")),
        Kind::Secret => Err(Failure::plain(format!("{}: a Secret keeps what it was made with", id.resource()))
            .hint("change its file, and play that")),
        _ => Ok(act::note(engine, id, which, changes, overwrite, &super::waits)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_stand_before_what_becomes_of_them() {
        let words = ["deploy", "web", "a=b=c", "d-", "e="].map(str::to_owned);
        let (objects, changes) = split(&words);
        assert_eq!(objects, ["deploy", "web"]);
        let change = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(changes, [change("a", Some("b=c")), change("d", None), change("e", Some(""))]);
    }
}
