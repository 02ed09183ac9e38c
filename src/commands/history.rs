use images::HistoryRow;
use jiff::Timestamp;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Value, human, rfc3339};
use crate::{object, output};

/// Show how an image was made
#[derive(clap::Args)]
pub struct Args {
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Sizes and times for people
    #[arg(short = 'H', long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    human: bool,
    /// Cut nothing short
    #[arg(long, alias = "notruncate")]
    no_trunc: bool,
    /// Show ids only
    #[arg(short, long)]
    quiet: bool,
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

const HEADINGS: Headings = &[("CreatedSince", "CREATED"), ("CreatedAt", "CREATED AT"), ("CreatedBy", "CREATED BY")];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.images, 1)?;
    let store = context.store()?;
    let image = images::get(&store, &args.images[0])?;
    let rows = images::history(&store, &image)?;
    let now = Timestamp::now();
    if args.format.as_deref() == Some("json") {
        let values: Vec<Value> = rows.iter().map(summary).collect();
        return output::line(Value::List(values).json()).map(|()| ExitCode::Success);
    }
    let layout = match args.format.as_deref().filter(|format| *format != "table") {
        Some(format) => format.to_owned(),
        None if args.quiet => "{{.ID}}".into(),
        None => "table {{.ID}}\t{{.Created}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}".into(),
    };
    let format = Format::parse("history", &layout)?.within(output::room(args.no_trunc, args.format.as_deref()));
    let values = rows.iter().map(|row| value(row, &args, now)).collect();
    output::print(&format.list(values, HEADINGS, !args.quiet, 4)?)?;
    Ok(ExitCode::Success)
}

fn id(row: &HistoryRow) -> &str {
    row.id.as_deref().unwrap_or("<missing>")
}

fn summary(row: &HistoryRow) -> Value {
    object! {
        "id" as "ID": id(row),
        "created" as "Created": row.created,
        "CreatedBy": row.created_by.clone(),
        "tags" as "Tags"?: Value::list(&row.tags),
        "size" as "Size": row.size,
        "comment" as "Comment"?: row.comment.clone(),
        "Created": row.created.map(|time| Timestamp::from_second(time.as_second()).unwrap_or(time)),
    }
}

fn value(row: &HistoryRow, args: &Args, now: Timestamp) -> Value {
    let short = |text: &str, length: usize| -> String {
        match args.no_trunc || text.chars().count() <= length {
            true => text.to_owned(),
            false => text.chars().take(length.saturating_sub(3)).chain("...".chars()).collect(),
        }
    };
    let since = row.created.map(|time| human::ago(time, now)).unwrap_or_default();
    let created = match args.human {
        true => since.clone(),
        false => row.created.map(rfc3339_seconds).unwrap_or_default(),
    };
    let shown_id = id(row);
    object! {
        json "id": row.id.clone().unwrap_or_default(),
        fn "ID": if args.no_trunc { shown_id } else { shown_id.get(..12).filter(|_| row.id.is_some()).unwrap_or(shown_id) },
        json "created": row.created,
        fn "Created": created,
        fn "CreatedAt": row.created.map(rfc3339_seconds).unwrap_or_default(),
        fn "CreatedSince": since,
        json "CreatedBy": row.created_by.clone(),
        fn "CreatedBy": short(&row.created_by, 45),
        "tags" as "Tags"?: Value::list_or_nil(&row.tags),
        json "size": row.size,
        fn "Size": human::size3(row.size),
        "comment" as "Comment": row.comment.clone(),
    }
}

fn rfc3339_seconds(time: Timestamp) -> String {
    rfc3339(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
