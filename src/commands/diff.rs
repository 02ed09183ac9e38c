//! `creel diff`

use containers::{Container, Engine, Subject};
use storage::{Change, ChangeKind};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::Value;
use crate::{object, output, select};

/// Show which files a container or image added (A), changed (C) and deleted (D), in its image or in another object
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show as JSON
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Show the newest container's
    #[arg(short, long)]
    pub latest: bool,
    /// A container or image, and another one to compare it with
    #[arg(value_name = "{CONTAINER|IMAGE} [{CONTAINER|IMAGE}]")]
    pub containers: Vec<String>,
}

/// What a name means.
enum Named {
    Container(Box<Container>),
    Image(Box<images::Image>),
}

impl Named {
    fn find(engine: &Engine, name: &str) -> Result<Named, Failure> {
        let image = || images::find(&engine.store, name).ok().flatten().map(|image| Named::Image(Box::new(image)));
        match containers::find(engine, name) {
            Ok(container) => Ok(Named::Container(Box::new(container))),
            Err(containers::Error::NotFound { .. }) => image()
                .ok_or_else(|| Failure::plain(format!("{name} not found: layer not known")).missing("container", name)),
            Err(error) => Err(error.into()),
        }
    }

    fn subject(&self) -> Subject<'_> {
        match self {
            Named::Container(container) => Subject::Container(container),
            Named::Image(image) => Subject::Image(image),
        }
    }
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.containers.is_empty() && !args.latest {
        return Err(Failure::plain("\"creel diff\" requires a name, id, or the \"--latest\" flag"));
    }
    if !args.latest {
        arguments::between(&args.containers, 1, 2)?;
    }
    show(context, &args.containers, args.latest, args.format.as_deref())
}

fn show(context: &Context, names: &[String], latest: bool, format: Option<&str>) -> Result<ExitCode, Failure> {
    let json = match format {
        None | Some("") => false,
        Some("json") => true,
        Some(_) => return Err(Failure::plain("only supported value for '--format' is 'json'")),
    };
    let engine = context.engine()?;
    let (new, base) = match latest {
        true => (Named::Container(Box::new(select::latest(&engine)?)), names.first()),
        false => (Named::find(&engine, &names[0])?, names.get(1)),
    };
    let base = base.map(|name| Named::find(&engine, name)).transpose()?;
    let changes = containers::difference(&engine, new.subject(), base.as_ref().map(Named::subject))?;
    output::print(&if json { as_json(&changes) } else { as_lines(&changes) })?;
    Ok(ExitCode::Success)
}

pub fn as_lines(changes: &[Change]) -> String {
    let line = |change: &Change| {
        let letter = match change.kind {
            ChangeKind::Added => 'A',
            ChangeKind::Changed => 'C',
            ChangeKind::Deleted => 'D',
        };
        format!("{letter} {}\n", change.path.display())
    };
    changes.iter().map(line).collect()
}

pub fn as_json(changes: &[Change]) -> String {
    let of = |kind: ChangeKind| -> Value {
        Value::List(
            changes.iter().filter(|change| change.kind == kind).map(|change| change.path.as_path().into()).collect(),
        )
    };
    let value = object! {
        "changed"?: of(ChangeKind::Changed),
        "added"?: of(ChangeKind::Added),
        "deleted"?: of(ChangeKind::Deleted),
    };
    value.json_indented(5) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_letter_or_in_lists() {
        let change = |kind, path: &str| Change { path: path.into(), kind };
        let changes = [
            change(ChangeKind::Changed, "/etc"),
            change(ChangeKind::Added, "/etc/x"),
            change(ChangeKind::Deleted, "/a"),
        ];
        assert_eq!(as_lines(&changes), "C /etc\nA /etc/x\nD /a\n");
        assert!(
            as_json(&changes[1..]).contains("\"added\": [\n          \"/etc/x\"\n     ]"),
            "{}",
            as_json(&changes[1..])
        );
    }
}
