use images::RemoveOptions;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Remove images
#[derive(clap::Args)]
pub struct Args {
    /// Remove all images
    #[arg(short, long)]
    all: bool,
    /// Remove the containers that use them, too
    #[arg(short, long)]
    force: bool,
    /// Do not mind images that do not exist
    #[arg(short, long)]
    ignore: bool,
    /// Leave untagged parents
    #[arg(long)]
    no_prune: bool,
    #[arg(value_name = "IMAGE [IMAGE...]")]
    images: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.images.is_empty() && !args.all {
        return Err(Failure::plain("image name or ID must be specified"));
    }
    if !args.images.is_empty() && args.all {
        return Err(Failure::plain("when using the --all switch, you may not pass any images names or IDs"));
    }
    let engine = context.engine()?;
    if args.force {
        remove_users(&engine, &args)?;
    }
    let options = RemoveOptions { force: args.force, ignore: args.ignore, no_prune: args.no_prune, all: args.all };
    let names: Vec<&str> = args.images.iter().map(String::as_str).collect();
    let removed = images::remove(&engine.store, &names, &options, || containers::image_users(&engine))?;
    for name in &removed.untagged {
        output::line(format!("Untagged: {name}"))?;
    }
    for id in &removed.deleted {
        output::line(format!("Deleted: {id}"))?;
    }
    conclude(removed.errors)
}

/// Several failures are one list, what is not there first.
pub fn conclude(mut errors: Vec<images::Error>) -> Result<ExitCode, Failure> {
    let is_missing = |error: &images::Error| matches!(error, images::Error::NotFound { .. });
    let is_used =
        |error: &images::Error| matches!(error, images::Error::InUse { .. } | images::Error::HasChildren { .. });
    let code = match () {
        () if errors.iter().any(is_used) => ExitCode::InUse,
        () if errors.iter().all(is_missing) => ExitCode::No,
        () => ExitCode::Failed,
    };
    errors.sort_by_key(|error| !is_missing(error));
    match errors.len() {
        0 => Ok(ExitCode::Success),
        1 => Err(Failure::from(errors.remove(0)).code(code)),
        several => {
            let mut text = format!("{several} errors occurred:");
            for error in errors {
                text.push_str(&format!("\n\t* {}", Failure::from(error)));
            }
            Err(Failure::plain(text).code(code))
        }
    }
}

/// With force the containers of the images go first.
fn remove_users(engine: &containers::Engine, args: &Args) -> Result<(), Failure> {
    let mut ids = Vec::new();
    for name in &args.images {
        ids.extend(images::find(&engine.store, name)?.map(|image| image.id));
    }
    let request =
        containers::RemoveRequest { force: true, volumes: true, depend: true, timeout: Some(0), ..Default::default() };
    for container in containers::list_with_working(engine)? {
        let containers::Source::Image { id, .. } = &container.spec().source else { continue };
        if args.all || ids.contains(id) {
            match containers::remove(engine, &container, &request) {
                Ok(_) | Err(containers::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
