use std::path::PathBuf;

use images::{Found, PullOptions, Reference, SearchOptions, Source};

use crate::arguments::{self, go_quote, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Value};
use crate::{object, output};

/// Search registries for repositories, or list the tags of one
#[derive(clap::Args)]
pub struct Args {
    /// File with the registries' credentials
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Show stars, official and automated, too
    #[arg(long)]
    compatible: bool,
    /// Credentials for the registry (USERNAME:PASSWORD)
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
    /// Only those that pass a filter: is-automated, is-official, stars
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// At most so many of each registry
    #[arg(long, value_name = "NUMBER", value_parser = number::i64)]
    limit: Option<i64>,
    /// List the tags of a repository
    #[arg(long)]
    list_tags: bool,
    /// Cut nothing short
    #[arg(long, alias = "notruncate")]
    no_trunc: bool,
    /// Require TLS and check certificates
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    tls_verify: Option<bool>,
    #[arg(value_name = "TERM")]
    words: Vec<String>,
}

/// Longest description of a table.
const DESCRIPTION: usize = 44;

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 1)?;
    super::login::check_files(args.authfile.as_deref(), None, None)?;
    let limit = args.limit.unwrap_or(0);
    let limit = usize::try_from(limit).map_err(|_| Failure::plain(format!("--limit {limit} is negative")))?;
    match args.list_tags {
        true => tags(&args, limit),
        false => repositories(&args, limit),
    }
}

fn repositories(args: &Args, limit: usize) -> Result<ExitCode, Failure> {
    let filters = args.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let options = SearchOptions {
        limit: Some(limit).filter(|limit| *limit > 0),
        tls_verify: args.tls_verify,
        creds: args.creds.as_deref().map(crate::credentials::credentials).transpose()?,
        authfile: args.authfile.clone(),
        cert_dir: args.cert_dir.clone(),
        ..SearchOptions::default()
    };
    let mut found = images::search(&args.words[0], &options)?;
    found.retain(|one| filters.iter().all(|filter| filter.fits(one)));
    if args.format.as_deref() == Some("json") {
        let rows = found.iter().map(|one| row(one, true)).collect();
        return output::line(Value::List(rows).json_indented(4)).map(|()| ExitCode::Success);
    }
    let usual = match args.compatible {
        true => "table {{.Name}}\t{{.Description}}\t{{.Stars}}\t{{.Official}}\t{{.Automated}}",
        false => "table {{.Name}}\t{{.Description}}",
    };
    print(args, usual, found.iter().map(|one| row(one, args.no_trunc)).collect())
}

fn row(found: &Found, whole: bool) -> Value {
    let ok = |yes: bool| if yes { "[OK]" } else { "" };
    let description = match whole || found.description.chars().count() <= DESCRIPTION {
        true => found.description.clone(),
        false => found.description.chars().take(DESCRIPTION).chain("...".chars()).collect(),
    };
    object! {
        "Index": found.index.clone(),
        "Name": found.name.clone(),
        "Description": description,
        "Stars": found.stars,
        "Official": ok(found.official),
        "Automated": ok(found.automated),
        "Tag": "",
    }
}

fn tags(args: &Args, limit: usize) -> Result<ExitCode, Failure> {
    if !args.filter.is_empty() {
        return Err(Failure::plain("filters are not applicable to list tags result"));
    }
    let name = &args.words[0];
    let Source::Registry(reference) = name.parse()? else {
        return Err(Failure::plain(format!("reference {} must be a docker reference", go_quote(name))));
    };
    let options = PullOptions {
        tls_verify: args.tls_verify,
        creds: args.creds.as_deref().map(crate::credentials::credentials).transpose()?,
        authfile: args.authfile.clone(),
        cert_dir: args.cert_dir.clone(),
        ..PullOptions::default()
    };
    let (repository, mut tags) = list_tags(&reference, &options)?;
    if limit > 0 {
        tags.truncate(limit);
    }
    if args.format.as_deref() == Some("json") {
        let one = object! { "Name": repository, "Tags": tags };
        return output::line(Value::List(vec![one]).json_indented(4)).map(|()| ExitCode::Success);
    }
    let row = |tag: String| {
        object! {
            "Index": "",
            "Name": repository.clone(),
            "Description": "",
            "Stars": 0i64,
            "Official": "",
            "Automated": "",
            "Tag": tag,
        }
    };
    print(args, "table {{.Name}}\t{{.Tag}}", tags.into_iter().map(row).collect())
}

/// Of the first registry that knows the repository, for a short name.
fn list_tags(reference: &Reference, options: &PullOptions) -> Result<(String, Vec<String>), Failure> {
    let resolution = images::registries::Registries::load(&options.places)?.resolve(reference)?;
    let mut failure = Failure::plain(format!("no registry is configured in which {reference} could be"));
    for candidate in resolution.candidates {
        match images::list_tags(&candidate, options) {
            Ok(tags) => return Ok((candidate.repository(), tags)),
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}

fn print(args: &Args, usual: &str, rows: Vec<Value>) -> Result<ExitCode, Failure> {
    if rows.is_empty() {
        return Ok(ExitCode::Success);
    }
    let layout = args.format.as_deref().filter(|format| *format != "table").unwrap_or(usual);
    let format = Format::parse("search", layout)?.within(output::room(args.no_trunc, args.format.as_deref()));
    output::print(&format.list(rows, &[], true, 4)?)?;
    Ok(ExitCode::Success)
}

/// One `--filter`.
enum Filter {
    Stars(u64),
    Official(bool),
    Automated(bool),
}

impl Filter {
    fn parse(text: &str) -> Result<Filter, Failure> {
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
        // Only "false" says no; nothing at all says yes.
        let yes = || value != Some("false");
        match (key, value) {
            ("stars", Some(value)) => value.parse().map(Filter::Stars).map_err(|_| {
                let quoted = go_quote(value);
                Failure::plain(format!(
                    "incorrect value type for stars filter: strconv.Atoi: parsing {quoted}: invalid syntax"
                ))
            }),
            ("is-official", _) => Ok(Filter::Official(yes())),
            ("is-automated", _) => Ok(Filter::Automated(yes())),
            _ => Err(Failure::plain(format!("invalid filter type {}", go_quote(text)))),
        }
    }

    fn fits(&self, found: &Found) -> bool {
        match self {
            Filter::Stars(least) => found.stars >= *least,
            Filter::Official(wanted) => found.official == *wanted,
            Filter::Automated(wanted) => found.automated == *wanted,
        }
    }
}
