//! `creel kube wait`

use std::time::{Duration, Instant};

use kube_play::ObjectId;
use kube_play::act::{self, Body, Shelf};
use serde_json::Value;

use super::chosen::{self, Chosen, Which};
use super::{DEFAULT_NAMESPACE, get};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::human;
use crate::output;

/// Wait until played objects are as they should be
#[derive(clap::Args, Debug)]
pub struct Args {
    /// All objects of these kinds
    #[arg(long)]
    all: bool,
    /// condition=NAME[=true|false] (Ready, Available, Complete, ...), create, delete, or jsonpath={.PATH}=VALUE
    #[arg(long = "for", value_name = "WHAT", required = true)]
    aim: String,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Objects with these labels (app=web,tier!=db)
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Give up after so long; 0 looks once
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    timeout: String,
    /// A kind and names, or KIND/NAME
    #[arg(value_name = "KIND [NAME...]")]
    words: Vec<String>,
}

const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is waited for.
#[derive(Debug, PartialEq)]
enum Aim {
    /// A condition of the object's status, whatever the case of its letters.
    Condition {
        name: String,
        status: &'static str,
    },
    Field {
        path: Vec<String>,
        value: String,
    },
    Create,
    Delete,
}

impl std::str::FromStr for Aim {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Aim, Failure> {
        let unknown = || {
            Failure::plain(format!("unrecognized condition: {text:?}"))
                .hint("write condition=NAME, create, delete, or jsonpath={.PATH}=VALUE")
        };
        if let Some(condition) = text.strip_prefix("condition=") {
            let (name, status) = condition.split_once('=').unwrap_or((condition, "true"));
            let status = match status.to_ascii_lowercase().as_str() {
                "true" => "True",
                "false" => "False",
                _ => return Err(unknown()),
            };
            return Ok(Aim::Condition { name: name.to_owned(), status });
        }
        if let Some(field) = text.strip_prefix("jsonpath=") {
            let (path, value) = field.rsplit_once('=').ok_or_else(unknown)?;
            let path = path.trim_matches('\'').trim_start_matches('{').trim_end_matches('}');
            let path =
                path.strip_prefix('.').filter(|path| !path.contains(['[', '*', '?', '@'])).ok_or_else(unknown)?;
            return Ok(Aim::Field { path: path.split('.').map(str::to_owned).collect(), value: value.to_owned() });
        }
        match text.to_ascii_lowercase().as_str() {
            "create" => Ok(Aim::Create),
            "delete" => Ok(Aim::Delete),
            _ => Err(unknown()),
        }
    }
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let aim: Aim = args.aim.parse()?;
    let patience = match args.timeout.as_str() {
        "0" => Duration::ZERO,
        text => human::parse_duration(text).map_err(Failure::plain)?,
    };
    let which = match (&args.selector, args.all) {
        (Some(labels), _) => Which::Labelled(labels),
        (None, true) => Which::All,
        (None, false) => Which::Named,
    };
    let engine = context.reader()?;
    let shelf = super::shelf(&engine)?;
    let begun = Instant::now();
    let choose = || chosen::choose(&engine, &shelf, &args.words, &args.namespace, &which);
    let is_late = || begun.elapsed() >= patience;
    let (mut chosen, mut failures) = choose()?;
    while aim == Aim::Create && (!failures.is_empty() || chosen.is_empty()) && !is_late() {
        std::thread::sleep(LOOK_AGAIN);
        (chosen, failures) = choose()?;
    }
    if aim == Aim::Delete {
        failures.clear();
    } else if chosen.is_empty() && failures.is_empty() {
        return Err(Failure::plain("no matching resources found"));
    }
    for id in chosen.iter().map(Chosen::id) {
        // One after the other: the patience is that of all.
        while !holds(&engine, &shelf, &id, &aim)? {
            if is_late() {
                let what = format!("{}/{}", id.kind.plural(), id.name);
                return Err(Failure::plain(format!("timed out waiting for the condition on {what}")));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        output::line(format_args!("{} condition met", id.resource()))?;
    }
    crate::select::conclude(failures)
}

fn holds(engine: &containers::Engine, shelf: &Shelf, id: &ObjectId, aim: &Aim) -> Result<bool, Failure> {
    let Some(one) = chosen::find(engine, shelf, id)? else {
        return match aim {
            Aim::Delete => Ok(true),
            _ => Err(super::not_found(id.kind, &id.name)),
        };
    };
    Ok(match aim {
        Aim::Create => true,
        Aim::Delete => false,
        // What is said of it was said of another one.
        _ if !is_observed(shelf, &one)? => false,
        Aim::Condition { name, status } => has_condition(&get::value(shelf, &one)?, name, status),
        Aim::Field { path, value } => has_value(&get::value(shelf, &one)?, path, value),
    })
}

/// The supervisor has looked at a workload or a Job as it is now.
fn is_observed(shelf: &Shelf, one: &Chosen) -> Result<bool, act::Error> {
    match one {
        Chosen::Stored(id, object) if matches!(object.body, Body::Workload { .. } | Body::Job { .. }) => {
            Ok(shelf.kept(id)?.generation == object.generation)
        }
        Chosen::Stored(..) | Chosen::Pod(_) => Ok(true),
    }
}

fn has_condition(object: &Value, name: &str, status: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let mut of_name =
        conditions.filter(|condition| condition["type"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name)));
    of_name.any(|condition| condition["status"] == status)
}

fn has_value(object: &Value, path: &[String], value: &str) -> bool {
    let found = path.iter().fold(object, |inside, step| &inside[step]);
    let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    !found.is_null() && text == value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_waited_for_is_read() {
        let condition = |name: &str, status| Aim::Condition { name: name.to_owned(), status };
        let field = |path: &[&str], value: &str| Aim::Field {
            path: path.iter().map(|step| (*step).to_owned()).collect(),
            value: value.to_owned(),
        };
        for (text, expected) in [
            ("condition=Ready", Some(condition("Ready", "True"))),
            ("condition=ready=false", Some(condition("ready", "False"))),
            ("condition=ready=perhaps", None),
            ("delete", Some(Aim::Delete)),
            ("create", Some(Aim::Create)),
            ("jsonpath={.status.phase}=Running", Some(field(&["status", "phase"], "Running"))),
            ("jsonpath={.status.phase}", None),
            ("jsonpath={.items[0]}=x", None),
            ("ready", None),
        ] {
            assert_eq!(text.parse::<Aim>().ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_status_is_looked_into() {
        let object = json!({ "status": { "phase": "Running", "replicas": 2,
            "conditions": [{ "type": "Ready", "status": "True" }] } });
        assert!(has_condition(&object, "ready", "True") && !has_condition(&object, "ready", "False"));
        assert!(!has_condition(&object, "Available", "False"));
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert!(has_value(&object, &path("status.phase"), "Running"));
        assert!(has_value(&object, &path("status.replicas"), "2"));
        assert!(!has_value(&object, &path("status.none"), "null"));
    }
}
