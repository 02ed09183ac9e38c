//! `creel image mount`

use std::path::Path;

use containers::Engine;

use super::mount::is_json;
use crate::caller;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Value, table};
use crate::{object, output};

/// Mount the root file systems of images, read-only, and say where; without a name, show what is mounted
///
/// Only inside of "creel unshare", whose mounts they are.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Mount all images
    #[arg(short, long)]
    all: bool,
    /// Show as JSON
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Names or ids
    #[arg(value_name = "[IMAGE...]")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.all && !args.images.is_empty() {
        return Err(Failure::plain("when using the --all switch, you may not pass any images names or IDs"));
    }
    let json = is_json(args.format.as_deref())?;
    caller::must_be_inside("image mount")?;
    let engine = context.engine()?;
    if args.images.is_empty() && !args.all {
        return show(&engine, containers::mounted_images(&engine)?, json);
    }
    let images = match args.all {
        true => images::list(&engine.store)?,
        false => args.images.iter().map(|name| images::get(&engine.store, name)).collect::<Result<_, _>>()?,
    };
    let mut mounted = Vec::new();
    for image in &images {
        mounted.push((image.id.clone(), containers::mount_image(&engine, image)?));
    }
    if let ([(_, path)], false, false) = (mounted.as_slice(), json, args.all) {
        output::line(path.display())?;
        return Ok(ExitCode::Success);
    }
    show(&engine, mounted, json)
}

fn show(engine: &Engine, mounted: Vec<(String, std::path::PathBuf)>, json: bool) -> Result<ExitCode, Failure> {
    let names = |id: &str| -> Vec<String> {
        images::find(&engine.store, id).ok().flatten().map(|image| image.names).unwrap_or_default()
    };
    if json {
        let value = |(id, path): &(String, std::path::PathBuf)| value(engine, id, &names(id), path);
        output::print(&(Value::List(mounted.iter().map(value).collect()).json_indented(1) + "\n"))?;
        return Ok(ExitCode::Success);
    }
    let row = |(id, path): &(String, std::path::PathBuf)| {
        let name = names(id).first().cloned().unwrap_or_else(|| id.chars().take(12).collect());
        format!("{name}\t{}\n", path.display())
    };
    let text: String = mounted.iter().map(row).collect();
    output::print(&table::align(&text))?;
    Ok(ExitCode::Success)
}

fn value(engine: &Engine, id: &str, names: &[String], path: &Path) -> Value {
    let digest = images::find(&engine.store, id).ok().flatten().map(|image| image.digest.to_string());
    object! {
        "id" as "ID": id,
        "Names": Value::List(digest.into_iter().map(Value::from).collect()),
        "Repositories": Value::list(names),
        "mountpoint" as "Mountpoint": path,
    }
}
