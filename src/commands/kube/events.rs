//! `creel kube events`: the journal of events, as far as it tells of what was played.

use containers::Engine;
use jiff::Timestamp;
use kube_play::act::{self, Chronicle, Seen, Shelf};
use kube_play::show::{self, Event, Widths};
use kube_play::{Kind, ObjectId};
use storage::events::Backend;

use super::{DEFAULT_NAMESPACE, one_object};
use crate::commands::events::{self, Source};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{arguments, output};

/// Show what happened to pods that are there, and what is wrong now with what was played
#[derive(clap::Args, Debug)]
pub struct Args {
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Of one object only
    #[arg(long = "for", value_name = "KIND/NAME")]
    object: Option<String>,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// No headings
    #[arg(long)]
    no_headers: bool,
    /// Normal, Warning
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Go on and show what happens
    #[arg(short, long)]
    watch: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 0)?;
    let known = |word: &String| ["Normal", "Warning"].iter().any(|known| known.eq_ignore_ascii_case(word));
    if !args.types.iter().all(known) {
        return Err(Failure::plain("valid --types are Normal or Warning"));
    }
    let object =
        args.object.as_ref().map(|word| one_object(std::slice::from_ref(word), &args.namespace)).transpose()?;
    let is_meant = |event: &Event| {
        let id = &event.object;
        (args.all_namespaces || id.namespace == args.namespace)
            && object.as_ref().is_none_or(|object| object == id)
            && (args.types.is_empty() || args.types.iter().any(|word| word.eq_ignore_ascii_case(event.kind())))
    };
    let engine = context.reader()?;
    let shelf = super::shelf(&engine)?;
    let mut source = Source::open(&engine.store, args.watch)?;
    let mut chronicle = Chronicle::default();
    chronicle.learn(&act::pods(&engine)?);
    let past = source.take()?;
    let mut all: Vec<Event> = past.iter().filter_map(|told| chronicle.event(told)).collect();
    all.extend(troubles(&shelf)?);
    let there = show::gather(all.into_iter().filter(is_meant));
    let mut widths = Widths::default();
    let mut print = |events: &[Event], headers: bool| {
        let table = show::events(events, args.all_namespaces, Timestamp::now());
        output::print(&table.text_below(headers, &mut widths))
    };
    match there.is_empty() {
        false => print(&there, !args.no_headers)?,
        true if args.watch => {}
        true if args.all_namespaces => output::note("No events found."),
        true => output::note(&format!("No events found in {} namespace.", args.namespace)),
    }
    if args.watch {
        let mut headers = there.is_empty() && !args.no_headers;
        events::follow(&mut source, true, None, |told| {
            chronicle.learn(&act::pods(&engine)?);
            let new: Vec<Event> = told.iter().filter_map(|told| chronicle.event(told)).filter(is_meant).collect();
            match new.is_empty() {
                true => Ok(()),
                false => print(&new, std::mem::take(&mut headers)),
            }
        })?;
    }
    Ok(ExitCode::Success)
}

/// What is wrong now with objects that are no pods.
fn troubles(shelf: &Shelf) -> Result<Vec<Event>, Failure> {
    let mut all = Vec::new();
    for namespace in shelf.namespaces()? {
        for object in shelf.all(&namespace)? {
            let id: Option<&ObjectId> = object.body.meta().map(|meta| &meta.id);
            if let Some(id) = id.filter(|id| id.kind != Kind::Pod) {
                all.extend(act::trouble(shelf, id)?);
            }
        }
    }
    Ok(all)
}

/// All that the journal tells of these pods; nothing where there is none.
pub(super) fn of_pods(engine: &Engine, seen: &[Seen]) -> Result<Vec<Event>, Failure> {
    if engine.store.options().events.backend == Backend::None {
        return Ok(Vec::new());
    }
    let mut chronicle = Chronicle::default();
    chronicle.learn(seen);
    Ok(Source::open(&engine.store, false)?.take()?.iter().filter_map(|told| chronicle.event(told)).collect())
}
