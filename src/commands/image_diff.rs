use containers::Subject;
use images::Image;
use storage::{Change, Store};

use super::diff::{as_json, as_lines};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Show which files an image's last layer added (A), changed (C) and deleted (D)
#[derive(clap::Args)]
pub struct Args {
    /// Show as JSON
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The image, and one to compare it with
    #[arg(value_name = "IMAGE [IMAGE]")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::between(&args.images, 1, 2)?;
    let json = match args.format.as_deref() {
        None | Some("") => false,
        Some("json") => true,
        Some(_) => return Err(Failure::plain("only supported value for '--format' is 'json'")),
    };
    // Layers are of many owners.
    let engine = context.engine()?;
    let store = &engine.store;
    let get = |name: &String| {
        images::get(store, name).map_err(|error| Failure::from(error).context(format!("{name} not found")))
    };
    let image = get(&args.images[0])?;
    let below = &image.layers[..image.layers.len().saturating_sub(1)];
    let mut changes = match args.images.get(1).map(get).transpose()? {
        Some(other) if other.layers != below => {
            containers::difference(&engine, Subject::Image(&image), Some(Subject::Image(&other)))?
        }
        Some(_) | None => changes(store, &image)?,
    };
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    output::print(&if json { as_json(&changes) } else { as_lines(&changes) })?;
    Ok(ExitCode::Success)
}

/// What the topmost layer changed in those below it.
pub fn changes(store: &Store, image: &Image) -> Result<Vec<Change>, Failure> {
    let Some((top, below)) = image.layers.split_last() else { return Ok(Vec::new()) };
    let lower: Vec<_> = below.iter().rev().map(|layer| store.layer_path(layer)).collect();
    let mut changes = storage::changes(&store.layer_path(top), &lower)?;
    changes.retain(|change| !containers::is_made_by_creel(&change.path));
    Ok(changes)
}
