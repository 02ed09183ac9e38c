//! `kube get --watch`: a row, or an object, for each change.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube_play::act::{self, Seen};
use kube_play::show::{self, Widths};
use kube_play::{Kind, ObjectId};
use serde_json::{Value, json};

use super::super::changes::look_until;
use super::{Chosen, Form, View, value};
use crate::error::{ExitCode, Failure};
use crate::output;

const ADDED: &str = "ADDED";
const MODIFIED: &str = "MODIFIED";
const DELETED: &str = "DELETED";

/// An object as it was seen last.
struct Known {
    object: Chosen,
    value: Value,
    /// Its row, with its age at the begin: what differs in two of them has changed.
    row: String,
}

/// Until somebody ends it.
pub(super) fn run(view: &View<'_>, wanted: &[(Kind, Vec<String>)], form: &Form) -> Result<ExitCode, Failure> {
    let [(kind, names)] = wanted else {
        return Err(Failure::plain("you may only specify a single resource type").hint("watch one kind at a time"));
    };
    let begun = Timestamp::now();
    let mut known: BTreeMap<ObjectId, Known> = BTreeMap::new();
    let mut writer = Writer { view, kind: *kind, form, widths: Widths::default(), has_begun: false };
    let mut is_first = true;
    look_until(&view.engine, None, || {
        let seen = act::pods(&view.engine)?;
        let (found, missing) = view.meant(*kind, names, &seen)?;
        if let (true, Some(failure)) = (is_first, missing.into_iter().next()) {
            return Err(failure);
        }
        let mut former = std::mem::take(&mut known);
        let mut changed: Vec<(&str, ObjectId)> = Vec::new();
        for object in found {
            let id = object.id();
            let row = view.table(*kind, std::slice::from_ref(&object), &seen, true, begun)?.text(false);
            let now = Known { value: value(&view.shelf, &object)?, row, object };
            match former.remove(&id) {
                None => changed.push((ADDED, id.clone())),
                Some(before) if before.row != now.row || before.value != now.value => {
                    changed.push((MODIFIED, id.clone()));
                }
                Some(_) => {}
            }
            known.insert(id, now);
        }
        if !(std::mem::take(&mut is_first) && view.args.watch_only) {
            let gone = former.values().map(|last| (DELETED, last));
            let there = changed.iter().filter_map(|(event, id)| Some((*event, known.get(id)?)));
            writer.write(&gone.chain(there).collect::<Vec<_>>(), &seen)?;
        }
        Ok(None::<()>)
    })?;
    Ok(ExitCode::Success)
}

struct Writer<'a> {
    view: &'a View<'a>,
    kind: Kind,
    form: &'a Form,
    widths: Widths,
    /// The headings are there.
    has_begun: bool,
}

impl Writer<'_> {
    fn write(&mut self, changed: &[(&'static str, &Known)], seen: &[Seen]) -> Result<(), Failure> {
        if changed.is_empty() {
            return Ok(());
        }
        let with_events = self.view.args.output_watch_events;
        let values = || {
            changed.iter().map(|(event, known)| match with_events {
                true => json!({ "type": event, "object": known.value }),
                false => known.value.clone(),
            })
        };
        let rows = match self.form {
            Form::Table { wide } => {
                // In one table, so that they line up; each as it was seen, of which nothing has changed since.
                let mut table = None;
                for (_, known) in changed {
                    let object = std::slice::from_ref(&known.object);
                    let row = self.view.table(self.kind, object, seen, *wide, Timestamp::now())?;
                    match &mut table {
                        None => table = Some(row),
                        Some(table) => table.append(row),
                    }
                }
                table
            }
            Form::Columns(columns) => {
                let values: Vec<Value> = changed.iter().map(|(_, known)| known.value.clone()).collect();
                Some(show::custom_columns(columns, &values).map_err(Failure::plain)?)
            }
            Form::Name => {
                return changed.iter().try_for_each(|(_, known)| output::line(known.object.id().resource()));
            }
            Form::Json => return values().try_for_each(|value| output::print(&show::object_json(&[value]))),
            Form::Yaml => {
                return values().try_for_each(|value| output::print(&format!("---\n{}", show::object_yaml(&[value]))));
            }
            Form::JsonPath(template) => return values().try_for_each(|value| output::print(&template.text(&value))),
        };
        let Some(mut rows) = rows else { return Ok(()) };
        if with_events {
            rows.lead("EVENT", changed.iter().map(|(event, _)| (*event).to_owned()));
        }
        let headers = !std::mem::replace(&mut self.has_begun, true) && !self.view.args.no_headers;
        output::print(&rows.text_below(headers, &mut self.widths))
    }
}
