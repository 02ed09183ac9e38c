//! Images nobody needs go away.

use std::collections::BTreeMap;

use storage::Store;

use crate::collect::{collect_garbage, forget_pulls};
use crate::error::{Error, Result};
use crate::filter::{Filter, FilterContext};
use crate::remove::{ImageUser, RemoveOptions, Removed, delete};
use crate::{find, lists};

#[derive(Clone, Debug, Default)]
pub struct PruneOptions {
    /// Also images that have a name but no container.
    pub all: bool,
    pub filters: Vec<Filter>,
}

#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// Ids.
    pub deleted: Vec<String>,
    pub untagged: Vec<String>,
    /// Bytes given back.
    pub reclaimed: u64,
}

/// Removes untagged images that no container and no other image needs; with `all` every image without a container.
/// What interrupted pulls have brought goes too. While a build goes on, untagged images stay: what it has come to so far is
/// among them. `users` is asked as [`remove`](crate::remove) asks it.
pub fn prune<E: From<Error>>(
    store: &Store,
    options: &PruneOptions,
    users: impl Fn() -> Result<Vec<ImageUser>, E>,
) -> Result<Pruned, E> {
    let mut removed = Removed::default();
    // What was kept for an image that goes may go in the next round.
    loop {
        let lock = store.lock().map_err(Error::from)?;
        let users = users()?;
        let context = FilterContext { containers: count(&users) };
        let alone = store.try_building_alone().map_err(Error::from)?;
        let images = find::everything(store)?;
        let parents: Vec<String> = images.iter().filter_map(|image| image.parent.clone()).collect();
        let candidates = images
            .into_iter()
            .filter(|image| !image.is_read_only && !context.containers.contains_key(&image.id))
            .filter(|image| alone.is_some() || !image.is_untagged())
            .filter(|image| options.all || (image.is_untagged() && !parents.contains(&image.id)))
            .collect();
        let going = Filter::apply(&options.filters, candidates, &context)?;
        if going.is_empty() {
            break;
        }
        for image in going {
            if let Some(list) = image.is_list.then(|| lists::load(store, &image.id)).transpose()?.flatten() {
                lists::delete(store, &list, "", &mut removed)?;
                continue;
            }
            // The parents are candidates by themselves.
            delete(
                store,
                image,
                "",
                &RemoveOptions { no_prune: true, ..RemoveOptions::default() },
                &users,
                &mut removed,
            )?;
        }
        drop(alone);
        drop(lock);
    }
    forget_pulls(store)?;
    let reclaimed = collect_garbage(store)?;
    store.sweep().map_err(Error::from)?;
    Ok(Pruned { deleted: removed.deleted, untagged: removed.untagged, reclaimed })
}

fn count(users: &[ImageUser]) -> BTreeMap<String, usize> {
    let mut containers = BTreeMap::new();
    for user in users {
        *containers.entry(user.image_id.clone()).or_default() += 1;
    }
    containers
}
