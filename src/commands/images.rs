use std::collections::BTreeMap;

use images::{Filter, FilterContext, Image};
use jiff::Timestamp;

use super::image_inspect::{repo_digests, repository_and_tag};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Nil, Value, go_time, human};
use crate::{object, output};

/// List images
#[derive(clap::Args)]
pub struct Args {
    /// Show untagged parents, too
    #[arg(short, long)]
    all: bool,
    /// Show the digests, too
    #[arg(long)]
    digests: bool,
    /// Show the images that pass a filter
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the names that the images had, too
    #[arg(long)]
    history: bool,
    /// Cut nothing short
    #[arg(long, alias = "notruncate")]
    no_trunc: bool,
    /// Leave the headings out
    #[arg(short, long)]
    noheading: bool,
    /// Show ids only
    #[arg(short, long)]
    quiet: bool,
    /// Sort by created, id, repository, size or tag
    #[arg(long, value_name = "KEY", value_parser = sort_key)]
    sort: Option<String>,
    #[arg(value_name = "[IMAGE]")]
    images: Vec<String>,
}

const HEADINGS: Headings = &[("ID", "IMAGE ID"), ("Id", "IMAGE ID"), ("CreatedSince", "CREATED"), ("ReadOnly", "R/O")];

fn sort_key(text: &str) -> Result<String, String> {
    const KEYS: &str = "created, id, repository, size, tag";
    match KEYS.split(", ").any(|key| key == text) {
        true => Ok(text.to_owned()),
        false => Err(format!("{} is not a valid value.  Choose from: \"{KEYS}\"", arguments::go_quote(text))),
    }
}

/// One line: an image under one of its names.
struct Row<'a> {
    image: &'a Image,
    repository: &'a str,
    tag: &'a str,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_most(&args.images, 1)?;
    if !args.images.is_empty() && !args.filter.is_empty() {
        return Err(Failure::plain("cannot specify an image and a filter(s)"));
    }
    let engine = context.reader()?;
    let now = Timestamp::now();
    let mut filters = args.filter.iter().map(|text| filter(text, now)).collect::<Result<Vec<_>, _>>()?;
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    for container in containers::list(&engine)? {
        if let containers::Source::Image { id, .. } = &container.spec().source {
            *users.entry(id.clone()).or_default() += 1;
        }
    }
    let mut all = images::everything(&engine.store)?;
    let mut only = false;
    if let Some(name) = args.images.first() {
        // An exact name or id shows that one, with all its names; anything else is a pattern over the names.
        let list = images::lists::find(&engine.store, name)?;
        let found = match list.and_then(|list| all.iter().find(|one| one.id == list.id).cloned()) {
            Some(list) => Some(list),
            None => images::find(&engine.store, name)?,
        };
        match found {
            Some(image) => {
                all.retain(|other| other.id == image.id);
                only = true;
            }
            None => filters.push(Filter::Reference(name.clone())),
        }
    }
    let asks_for_parents = filters.iter().any(|filter| matches!(filter, Filter::Intermediate(_)));
    if !args.all && !asks_for_parents && !only {
        let parents: std::collections::HashSet<String> = all.iter().filter_map(|image| image.parent.clone()).collect();
        all.retain(|image| !(image.is_untagged() && parents.contains(&image.id)));
    }
    let context = FilterContext { containers: users.clone() };
    let mut all = Filter::apply(&filters, all, &context)?;
    if let Some(name) = only_reference(&args) {
        narrow(&mut all, name);
    }
    let mut rows: Vec<Row<'_>> = Vec::new();
    for image in &all {
        if image.names.is_empty() {
            rows.push(Row { image, repository: "<none>", tag: "<none>" });
        }
        for name in &image.names {
            let (repository, tag) = repository_and_tag(name);
            rows.push(Row { image, repository, tag });
        }
    }
    sort(&mut rows, args.sort.as_deref().unwrap_or("created"));

    if args.quiet && args.format.as_deref() != Some("json") {
        let mut shown = Vec::new();
        for row in &rows {
            let id = if args.no_trunc { format!("sha256:{}", row.image.id) } else { row.image.short_id().to_owned() };
            if !shown.contains(&id) {
                shown.push(id);
            }
        }
        return shown.into_iter().try_for_each(output::line).map(|()| ExitCode::Success);
    }
    if args.format.as_deref() == Some("json") {
        let mut images: Vec<&Image> = Vec::new();
        for row in &rows {
            if !images.iter().any(|known| known.id == row.image.id) {
                images.push(row.image);
            }
        }
        let values = images.into_iter().map(|image| summary(image, &users)).collect();
        output::print(&(Value::List(values).json_indented(4) + "\n"))?;
        return Ok(ExitCode::Success);
    }
    let format = Format::parse("images", &layout(&args, all.iter().any(|image| image.is_read_only)))?
        .within(output::room(args.no_trunc, args.format.as_deref()));
    let values = rows.iter().map(|row| value(row, &users, &args, now)).collect();
    output::print(&format.list(values, HEADINGS, !args.noheading, 4)?)?;
    Ok(ExitCode::Success)
}

/// The one name or pattern that images were asked for by.
fn only_reference(args: &Args) -> Option<&str> {
    let mut patterns = args.filter.iter().filter_map(|text| text.strip_prefix("reference="));
    let first = args.images.first().map(String::as_str).or_else(|| patterns.next());
    first.filter(|_| patterns.next().is_none())
}

/// A full name, with its tag or with a digest, shows the image under that name only.
fn narrow(all: &mut [Image], name: &str) {
    let by_digest = name.split_once('@').map(|(repository, _)| repository);
    for image in all {
        let is_meant = |known: &String| match by_digest {
            Some(repository) => repository_and_tag(known).0 == repository,
            None => known == name,
        };
        if image.names.iter().any(is_meant) {
            image.names.retain(is_meant);
        }
    }
}

fn filter(text: &str, now: Timestamp) -> Result<Filter, Failure> {
    Filter::parse(text, now).map_err(Failure::from)
}

fn layout(args: &Args, tells_read_only: bool) -> String {
    if let Some(format) = args.format.as_deref().filter(|format| *format != "table") {
        return format.to_owned();
    }
    let mut fields = "table {{.Repository}}\t{{.Tag}}".to_owned();
    if args.digests {
        fields.push_str("\t{{.Digest}}");
    }
    fields.push_str("\t{{.ID}}\t{{.Created}}\t{{.Size}}");
    if args.history {
        fields.push_str("\t{{.History}}");
    }
    if tells_read_only {
        fields.push_str("\t{{.ReadOnly}}");
    }
    fields
}

fn sort(rows: &mut [Row<'_>], key: &str) {
    match key {
        "id" => rows.sort_by(|one, other| one.image.id.cmp(&other.image.id)),
        "repository" => rows.sort_by(|one, other| one.repository.cmp(other.repository)),
        "size" => rows.sort_by_key(|row| row.image.size),
        "tag" => rows.sort_by(|one, other| one.tag.cmp(other.tag)),
        // Newest first.
        _ => rows.sort_by_key(|row| std::cmp::Reverse(row.image.created)),
    }
}

fn summary(image: &Image, users: &BTreeMap<String, usize>) -> Value {
    object! {
        "Id": image.id.clone(),
        "ParentId": image.parent.clone().unwrap_or_default(),
        "RepoTags": Value::Nil(Nil::List),
        "RepoDigests": repo_digests(image),
        "Size": image.size,
        "SharedSize": 0i64,
        "VirtualSize": image.size,
        "Labels": Value::map_or_nil(&image.settings.labels),
        "Containers": users.get(&image.id).copied().unwrap_or(0),
        "ReadOnly"?: image.is_read_only,
        "Dangling"?: image.is_untagged(),
        "Digest": image.digest.to_string(),
        "History"?: Value::list(&image.names_ever()),
        "Names"?: Value::list(&image.names),
        "Created": image.created.as_second(),
        "CreatedAt": whole_seconds(image.created),
    }
}

/// As the table shows them.
fn former_names(image: &Image) -> String {
    match image.name_history.is_empty() {
        true => "<none>".to_owned(),
        false => image.names_ever().join(", "),
    }
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn value(row: &Row<'_>, users: &BTreeMap<String, usize>, args: &Args, now: Timestamp) -> Value {
    let image = row.image;
    let created = human::ago(image.created, now);
    let tags: Vec<String> = image.names.iter().filter(|name| !name.contains('@')).cloned().collect();
    object! {
        "repository" as "Repository": row.repository,
        "tag" as "Tag": row.tag,
        "Id": image.id.clone(),
        fn "ID": if args.no_trunc { format!("sha256:{}", image.id) } else { image.short_id().to_owned() },
        "ParentId": image.parent.clone().unwrap_or_default(),
        "RepoTags": Value::list_or_nil(&tags),
        "RepoDigests": repo_digests(image),
        json "Created": image.created.as_second(),
        fn "Created": created.clone(),
        fn "CreatedSince": created,
        fn "CreatedAt": go_time(whole_seconds(image.created)),
        fn "CreatedTime": go_time(whole_seconds(image.created)),
        json "Size": image.size,
        fn "Size": human::size(image.size as f64, 3, " "),
        "SharedSize": 0i64,
        "VirtualSize": image.size,
        "Labels": Value::map_or_nil(&image.settings.labels),
        "Containers": users.get(&image.id).copied().unwrap_or(0),
        "ReadOnly"?: image.is_read_only,
        "Dangling"?: image.is_untagged(),
        fn "IsReadOnly": image.is_read_only,
        fn "IsDangling": image.is_untagged(),
        "Digest": image.digest.to_string(),
        json "History": Value::list(&image.names_ever()),
        fn "History": former_names(image),
        "Names": Value::list_or_nil(&image.names),
        fn "IsManifestList": Value::Nil(Nil::Pointer),
        fn "Arch": "",
        fn "Os": "",
    }
}
