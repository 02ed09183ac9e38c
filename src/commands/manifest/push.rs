use images::Progress;
use images::lists::{self, ListPushOptions};

use super::ListAccess;
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::transfer::{Form, Signing};

/// Send a manifest list with its images to a registry
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    access: ListAccess,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    form: Form,
    /// Send each image compressed like this, too (gzip, zstd, zstd:chunked)
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    add_compression: Vec<String>,
    /// Send the images, too
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    all: bool,
    /// Type of the list: oci or v2s2
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// The same as --rm
    #[arg(short, long, hide = true)]
    purge: bool,
    /// Say nothing
    #[arg(short, long)]
    quiet: bool,
    /// Remove the list here when it has been sent
    #[arg(long)]
    rm: bool,
    #[arg(value_name = "LIST [DESTINATION]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.words, 1, 2)?;
    let mut push = args.access.for_push()?;
    args.signing.apply(&mut push);
    args.form.apply(context, &mut push)?;
    push.format = args.format.map(|format| list_format(&format)).transpose()?;
    if args.quiet {
        push.progress = Progress::Quiet;
    }
    let add_compression = match args.add_compression.is_empty() {
        true => context.config()?.list("engine", "add_compression"),
        false => args.add_compression,
    };
    check_algorithms(&add_compression, args.all, push.format.as_deref())?;
    let engine = context.engine()?;
    let options = ListPushOptions { all: args.all, add_compression, push };
    let name = &args.words[0];
    lists::push(&engine.store, name, args.words.get(1).map(String::as_str), &options)?;
    if args.rm || args.purge {
        let removed = lists::remove(&engine.store, &[name], false)?;
        removed.errors.into_iter().next().map_or(Ok(()), Err)?;
    }
    Ok(ExitCode::Success)
}

fn check_algorithms(names: &[String], all: bool, format: Option<&str>) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|name| !matches!(name.as_str(), "gzip" | "zstd" | "zstd:chunked")) {
        return Err(Failure::plain(format!(
            "requested algorithm {unknown} is not supported for replication: cannot find compressor for {}",
            arguments::go_quote(unknown)
        ))
        .hint("the algorithms are gzip, zstd and zstd:chunked"));
    }
    if !names.is_empty() && !all {
        return Err(Failure::plain("--add-compression compresses the images, which --all=false does not send"));
    }
    match names.iter().find(|name| *name != "gzip") {
        Some(name) if format == Some("v2s2") => Err(Failure::plain(format!(
            "compression using {name} required together with format \
             application/vnd.docker.distribution.manifest.v2+json, which does not support it"
        ))),
        _ => Ok(()),
    }
}

fn list_format(text: &str) -> Result<String, Failure> {
    match text {
        "oci" | "v2s2" => Ok(text.to_owned()),
        "docker" => Ok("v2s2".to_owned()),
        other => Err(Failure::plain(format!(
            "unknown format {}: choose one of the supported formats: 'oci' or 'v2s2'",
            arguments::go_quote(other)
        ))),
    }
}
