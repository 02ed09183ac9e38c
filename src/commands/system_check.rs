use std::time::Duration;

use containers::{Engine, RemoveRequest};
use images::{RemoveOptions, artifacts};
use storage::{Depth, Finding, Used};

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Look for damage in the store, and repair it
#[derive(clap::Args)]
pub struct Args {
    /// With --repair: remove damaged containers, images and artifacts, too
    #[arg(short, long)]
    force: bool,
    /// Accepted for scripts: what is being written is recognised without an age
    #[arg(short, long, value_name = "DURATION", hide = true, value_parser = duration)]
    max: Option<String>,
    /// Names and records only, not the content of blobs
    #[arg(short, long)]
    quick: bool,
    /// Repair what was found
    #[arg(short, long)]
    repair: bool,
    words: Vec<String>,
}

fn duration(text: &str) -> Result<String, String> {
    crate::format::human::parse_duration(text).map(|_| text.to_owned())
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "system check")?;
    let engine = context.engine()?;
    let depth = if args.quick { Depth::Records } else { Depth::Content };
    let mut found = look(&engine, depth)?;
    forget_what_passes(&mut found, PAUSE, || look(&engine, Depth::Records))?;
    for finding in &found {
        output::line(describe(finding))?;
    }
    if found.is_empty() {
        return Ok(ExitCode::Success);
    }
    if !(args.repair || args.force) {
        let failure = Failure::plain("damage detected in local storage");
        return Err(failure.hint("creel system check --repair repairs what can be repaired"));
    }
    // A repair may bring new things to light: a record set aside leaves layers that nothing needs.
    for _ in 0..8 {
        let left = engine.store.repair(&found)?;
        release_names(&engine, &found)?;
        if args.force && left.iter().any(is_missing) {
            remove_incomplete(&engine, &left)?;
        }
        found = look(&engine, depth)?;
        if found.is_empty() || found == left {
            break;
        }
    }
    found.retain(|finding| !matches!(finding, Finding::Stranger { .. }));
    if found.is_empty() {
        output::line("all of it was repaired")?;
        return Ok(ExitCode::Success);
    }
    for finding in &found {
        output::line(format!("left: {}", describe(finding)))?;
    }
    let failure = Failure::plain("damage detected in local storage that has no repair");
    Err(failure.hint("pull the images in question again, or remove them: creel system check --repair --force"))
}

/// How often, and after which pause, findings are looked at again.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// A command that removes something takes several steps, and what is between two of them looks like damage: what is found
/// is looked for again until that has had its time. Content is read only once: it does not mend itself.
fn forget_what_passes(
    found: &mut Vec<Finding>,
    pause: Duration,
    look: impl Fn() -> Result<Vec<Finding>, Failure>,
) -> Result<(), Failure> {
    let lasts = |finding: &Finding| matches!(finding, Finding::DamagedBlob { .. });
    for _ in 0..LOOKS {
        if found.iter().all(lasts) {
            break;
        }
        std::thread::sleep(pause);
        let again = look()?;
        found.retain(|finding| lasts(finding) || again.contains(finding));
    }
    Ok(())
}

/// What is wrong. A damaged record of an image hides what the image needs, so it comes alone.
fn look(engine: &Engine, depth: Depth) -> Result<Vec<Finding>, Failure> {
    let used = || {
        let reachable = images::reachable(&engine.store)?;
        Ok::<Used, images::Error>(Used { layers: reachable.layers, blobs: reachable.blobs, needed: reachable.needed })
    };
    match engine.store.check(depth, used) {
        Err(images::Error::Storage(storage::Error::Damaged { path, why })) => {
            Ok(vec![Finding::DamagedRecord { path, why }])
        }
        other => Ok(other?),
    }
}

/// The names of containers whose record is gone are free.
fn release_names(engine: &Engine, repaired: &[Finding]) -> Result<(), Failure> {
    let dir = engine.store.path("names");
    for (name, holder) in storage::names::list(&dir)? {
        let place = engine.store.containers_dir().join(&holder);
        let was_removed = repaired.iter().any(|finding| match finding {
            Finding::DamagedRecord { path, .. } | Finding::NoRecord { path } => path.starts_with(&place),
            _ => false,
        });
        if was_removed && !place.join("container.json").exists() {
            storage::names::release(&dir, &name, &holder)?;
        }
    }
    Ok(())
}

fn is_missing(finding: &Finding) -> bool {
    matches!(finding, Finding::MissingLayer { .. } | Finding::MissingBlob { .. })
}

/// Images and artifacts that lack something go, and the containers that stand on such images.
fn remove_incomplete(engine: &Engine, missing: &[Finding]) -> Result<(), Failure> {
    let request = RemoveRequest { force: true, volumes: true, depend: true, timeout: Some(0), with_pod: true };
    for image in images::list(&engine.store)? {
        let lacks = |finding: &Finding| match finding {
            Finding::MissingLayer { chain_id } => image.layers.contains(chain_id),
            Finding::MissingBlob { digest } => {
                let blobs = image.manifest.layers().iter().map(|layer| layer.digest().to_string());
                blobs
                    .chain([image.digest.to_string(), format!("sha256:{}", image.id)])
                    .any(|blob| blob == digest.to_string())
            }
            _ => false,
        };
        if !missing.iter().any(lacks) {
            continue;
        }
        for container in containers::list_with_working(engine)? {
            let containers::Source::Image { id, .. } = &container.spec().source else { continue };
            if *id == image.id {
                match containers::remove(engine, &container, &request) {
                    Ok(_) | Err(containers::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let options = RemoveOptions { force: true, ..RemoveOptions::default() };
        images::remove(&engine.store, &[&image.id], &options, || containers::image_users(engine))?;
        output::line(format!("removed image {}", image.id))?;
    }
    for artifact in artifacts::list(&engine.store)? {
        let lacks = |finding: &Finding| matches!(finding, Finding::MissingBlob { digest } if artifact.needs().any(|blob| blob == digest));
        if missing.iter().any(lacks) {
            artifacts::remove(&engine.store, &artifact.name)?;
            output::line(format!("removed artifact {}", artifact.name))?;
        }
    }
    Ok(())
}

fn describe(finding: &Finding) -> String {
    match finding {
        Finding::DamagedRecord { path, why } => format!("{}: damaged record: {why}", path.display()),
        Finding::IncompleteLayer { path } => format!("{}: incomplete layer", path.display()),
        Finding::MissingLayer { chain_id } => format!("layer {chain_id}: missing"),
        Finding::MissingBlob { digest } => format!("blob {digest}: missing"),
        Finding::DamagedBlob { digest } => format!("blob {digest}: content differs from its digest"),
        Finding::UnusedLayer { chain_id } => format!("layer {chain_id}: not used by any image"),
        Finding::UnusedBlob { digest } => format!("blob {digest}: not used by any image"),
        Finding::NoRecord { path } => format!("{}: no record", path.display()),
        Finding::Stranger { path } => format!("{}: not creel's", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_at_the_second_look_is_no_damage() {
        let [passing, lasting] = ["passing", "lasting"].map(|name| Finding::NoRecord { path: name.into() });
        let content = Finding::DamagedBlob { digest: storage::Digest::of(b"x") };
        let mut found = vec![passing, lasting.clone(), content.clone()];
        forget_what_passes(&mut found, Duration::ZERO, || Ok(vec![lasting.clone()])).unwrap();
        assert_eq!(found, [lasting, content]);
    }
}
