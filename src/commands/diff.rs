//! `creel diff`

use storage::{Change, ChangeKind};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::Value;
use crate::{object, output, select};

/// Show which files a container added (A), changed (C) and deleted (D)
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show as JSON
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Show the newest container's
    #[arg(short, long)]
    pub latest: bool,
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.containers.is_empty() && !args.latest {
        return Err(Failure::plain("\"creel diff\" requires a name, id, or the \"--latest\" flag"));
    }
    if args.containers.len() == 2 {
        return Err(Failure::plain("diff between two objects is not supported by creel yet"));
    }
    if !args.latest {
        arguments::between(&args.containers, 1, 2)?;
    }
    let json = match args.format.as_deref() {
        None | Some("") => false,
        Some("json") => true,
        Some(_) => return Err(Failure::plain("only supported value for '--format' is 'json'")),
    };
    let engine = context.engine()?;
    let name = args.containers.first().map(String::as_str);
    let changes = match select::one(&engine, name, args.latest) {
        Ok(container) => containers::changes(&engine, &container)?,
        // What is no container may be an image.
        Err(failure) => match name.map(|name| images::find(&engine.store, name)).transpose()?.flatten() {
            Some(image) => super::image_diff::changes(&engine.store, &image)?,
            None if failure.looked_for().is_some() => {
                let name = name.unwrap_or_default();
                return Err(Failure::plain(format!("{name} not found: layer not known")).missing("container", name));
            }
            None => return Err(failure),
        },
    };
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
