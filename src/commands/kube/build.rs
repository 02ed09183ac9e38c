//! `kube play --build`: images that are made here, each from a directory of its name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use containers::Engine;
use kube_play::Plan;

use crate::commands::build;
use crate::context::Context;
use crate::error::Failure;
use crate::output;

const FILES: [&str; 2] = ["Containerfile", "Dockerfile"];

/// The images of a plan that have a directory with a Containerfile below `root` (the working directory where nothing is
/// said), each with that file.
pub fn directories(plan: &Plan, root: Option<&Path>) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let root = std::path::absolute(root.unwrap_or(Path::new(".")))?;
    let images = plan.templates().flat_map(|(_, template)| template.all_containers());
    let file = |image: &str| {
        let directory = root.join(directory_name(image)?);
        FILES.iter().map(|name| directory.join(name)).find(|path| path.is_file())
    };
    Ok(images.filter_map(|container| Some((container.image.clone(), file(&container.image)?))).collect())
}

/// The last part of an image's name, without tag and digest.
fn directory_name(image: &str) -> Option<&str> {
    let name = image.split('@').next()?.rsplit('/').next()?;
    name.split(':').next().filter(|name| !name.is_empty() && !name.starts_with('.'))
}

/// Builds those images (`wanted`), none of them, or those that are not there (`None`). The ids of all that are there then.
pub fn images(
    context: &Context,
    engine: &Engine,
    files: &BTreeMap<String, PathBuf>,
    wanted: Option<bool>,
    flags: &build::Args,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut ids = BTreeMap::new();
    for (name, file) in files {
        let image = match (wanted, images::find(&engine.store, name)?) {
            (None | Some(false), Some(known)) => known,
            (Some(false), None) => continue,
            (Some(true), _) | (None, None) => {
                let directory = file.parent().unwrap_or(Path::new(".")).display().to_string();
                let args = build::Args {
                    tag: vec![name.clone()],
                    file: vec![file.display().to_string()],
                    words: vec![directory],
                    ..flags.clone()
                };
                let image = build::make(context, &args)?;
                output::line(&image.id)?;
                image
            }
        };
        ids.insert(name.clone(), image.id);
    }
    Ok(ids)
}

/// What `build` without flags has.
pub fn flags() -> build::Args {
    build::Args { force_rm: true, rm: true, skip_unused_stages: true, ..build::Args::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_called_like_the_last_part_of_an_image() {
        for image in ["web", "web:1.2", "localhost/web", "registry:5000/team/web:1", "web@sha256:0"] {
            assert_eq!(directory_name(image), Some("web"), "{image}");
        }
        assert_eq!(directory_name("a/.."), None);
    }
}
