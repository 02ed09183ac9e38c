//! `creel kube wait`

use std::time::Duration;

use kube_play::act::{self, Body, Shelf};
use kube_play::{ObjectId, show};
use serde_json::Value;

use super::changes::{self, look_until};
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
    /// condition=NAME[=true|false] (Ready, Available, Complete, ...), create, delete, or jsonpath={.PATH}[=VALUE]
    #[arg(long = "for", value_name = "WHAT", required = true)]
    aim: String,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Objects with these labels (app=web,tier!=db)
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Give up after so long; 0 looks once, a negative one waits without an end
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    timeout: String,
    /// A kind and names, or KIND/NAME
    #[arg(value_name = "KIND [NAME...]")]
    words: Vec<String>,
}

/// What is waited for.
#[derive(Debug, PartialEq)]
enum Aim {
    /// A condition of the object's status, whatever the case of its letters.
    Condition {
        name: String,
        status: &'static str,
    },
    /// What the path leads to is that; with no value: it leads to something.
    Field {
        path: show::JsonValuePath,
        value: Option<String>,
    },
    Create,
    Delete,
}

impl std::str::FromStr for Aim {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Aim, Failure> {
        let unknown = || {
            Failure::plain(format!("unrecognized condition: {text:?}"))
                .hint("write condition=NAME, create, delete, or jsonpath={.PATH}[=VALUE]")
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
            return field_aim(field);
        }
        match text.to_ascii_lowercase().as_str() {
            "create" => Ok(Aim::Create),
            "delete" => Ok(Aim::Delete),
            _ => Err(unknown()),
        }
    }
}

/// `PATH=VALUE`, or `PATH`.
fn field_aim(text: &str) -> Result<Aim, Failure> {
    // A filter has signs of its own.
    let mut depth = 0;
    let sign = text.find(|char| {
        match char {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            _ => {}
        }
        char == '=' && depth == 0
    });
    let (path, value) = sign.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let value = value.map(|value| value.trim_matches(['\'', '"']).to_owned());
    if value.as_deref() == Some("") {
        let text =
            "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3";
        return Err(Failure::plain(text));
    }
    let path = path.trim_matches('\'');
    let wrong = |why| Failure::plain(format!("error parsing jsonpath {path}, {why}"));
    Ok(Aim::Field { path: show::JsonValuePath::relaxed(path).map_err(wrong)?, value })
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let aim: Aim = args.aim.parse()?;
    let patience = match args.timeout.as_str() {
        "0" => Some(Duration::ZERO),
        // As long as it takes.
        text if text.starts_with('-') => None,
        text => Some(human::parse_duration(text).map_err(Failure::plain)?),
    };
    let which = match (&args.selector, args.all) {
        (Some(labels), _) => Which::Labelled(labels),
        (None, true) => Which::All,
        (None, false) => Which::Named,
    };
    let engine = context.reader()?;
    let shelf = super::shelf(&engine)?;
    let until = changes::until(patience);
    let choose = || chosen::choose(&engine, &shelf, &args.words, &args.namespace, &which);
    let (mut chosen, mut failures) = choose()?;
    if aim == Aim::Create {
        look_until(&engine, until, || {
            (chosen, failures) = choose()?;
            Ok((failures.is_empty() && !chosen.is_empty()).then_some(()))
        })?;
    }
    if aim == Aim::Delete {
        failures.clear();
    } else if chosen.is_empty() && failures.is_empty() {
        return Err(Failure::plain("no matching resources found"));
    }
    for id in chosen.iter().map(Chosen::id) {
        // One after the other: the patience is that of all.
        let met = look_until(&engine, until, || Ok(holds(&engine, &shelf, &id, &aim)?.then_some(())))?;
        if met.is_none() {
            let what = format!("{}/{}", id.kind.plural(), id.name);
            return Err(Failure::plain(format!("timed out waiting for the condition on {what}")));
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
        Aim::Field { path, value } => has_value(&get::value(shelf, &one)?, path, value.as_deref())?,
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

/// `None`: any.
fn has_value(object: &Value, path: &show::JsonValuePath, value: Option<&str>) -> Result<bool, Failure> {
    let found = path.find(object, object);
    let (found, value) = match (found.as_slice(), value) {
        ([], _) | ([Value::Null], _) => return Ok(false),
        (_, None) => return Ok(true),
        ([Value::Array(_) | Value::Object(_)], Some(_)) => {
            return Err(Failure::plain("jsonpath leads to a nested object or list which is not supported"));
        }
        ([found], Some(value)) => (*found, value),
        (_, Some(_)) => return Err(Failure::plain("given jsonpath expression matches more than one value")),
    };
    Ok(found.as_str().map_or_else(|| found.to_string(), str::to_owned) == value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_waited_for_is_read() {
        let condition = |name: &str, status| Aim::Condition { name: name.to_owned(), status };
        let field = |path: &str, value: Option<&str>| Aim::Field {
            path: show::JsonValuePath::relaxed(path).unwrap(),
            value: value.map(str::to_owned),
        };
        for (text, expected) in [
            ("condition=Ready", Some(condition("Ready", "True"))),
            ("condition=ready=false", Some(condition("ready", "False"))),
            ("condition=ready=perhaps", None),
            ("delete", Some(Aim::Delete)),
            ("create", Some(Aim::Create)),
            ("jsonpath={.status.phase}=Running", Some(field(".status.phase", Some("Running")))),
            ("jsonpath='{.status.phase}'='Running'", Some(field(".status.phase", Some("Running")))),
            ("jsonpath=.status.podIP", Some(field(".status.podIP", None))),
            ("jsonpath={.items[0]}=a=b", Some(field(".items[0]", Some("a=b")))),
            ("jsonpath={.a[?(@.b==\"c\")].d}=e", Some(field(".a[?(@.b==\"c\")].d", Some("e")))),
            ("jsonpath={.status.phase}=", None),
            ("jsonpath={.status", None),
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
        let has = |path: &str, value: Option<&str>| {
            has_value(&object, &show::JsonValuePath::relaxed(path).unwrap(), value).map_err(|error| error.to_string())
        };
        assert_eq!(has(".status.phase", Some("Running")), Ok(true));
        assert_eq!(has(".status.replicas", Some("2")), Ok(true));
        assert_eq!(has(".status.none", Some("null")), Ok(false));
        assert_eq!((has(".status.none", None), has(".status.conditions", None)), (Ok(false), Ok(true)));
        assert_eq!(has(".status.conditions[?(@.type=='Ready')].status", Some("True")), Ok(true));
        assert!(has(".status.conditions", Some("x")).unwrap_err().contains("a nested object or list"));
        assert!(has(".status.conditions[0]['type','status']", Some("x")).unwrap_err().contains("more than one value"));
    }
}
