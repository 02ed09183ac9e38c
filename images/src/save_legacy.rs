//! What a docker-archive has for readers from before `manifest.json`: a directory for each layer, and `repositories`,
//! which says of each name the layer that is its topmost.

use std::collections::HashSet;
use std::io::Write;

use serde_json::{Map, Value, json};
use storage::Digest;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::reference::Reference;
use crate::save::add_bytes;

/// The directories of one image's layers, from the lowest on; returns the name of the topmost. `members` are the
/// layers' files in the archive, `written` is what the archive has.
pub(crate) fn directories(
    archive: &mut tar::Builder<&mut dyn Write>,
    written: &mut HashSet<String>,
    image: &Image,
    members: &[String],
) -> Result<Option<String>> {
    let mut parent: Option<String> = None;
    for (at, member) in members.iter().enumerate() {
        let is_top = at + 1 == members.len();
        // Two images may share a layer and what lies below it, but what is said of a topmost one is its image's.
        let above = if is_top { image.id.as_str() } else { "" };
        let id = Digest::of(format!("{} {member} {above}", parent.as_deref().unwrap_or_default()).as_bytes());
        let id = id.hex().to_owned();
        if written.insert(id.clone()) {
            let mut about = match (&image.raw_config, is_top) {
                (Value::Object(config), true) => config.clone(),
                _ => Map::new(),
            };
            about.retain(|key, _| key != "rootfs" && key != "history");
            about.insert("id".to_owned(), json!(id));
            if let Some(parent) = &parent {
                about.insert("parent".to_owned(), json!(parent));
            }
            link(archive, &format!("{id}/layer.tar"), &format!("../{member}"))?;
            add_bytes(archive, &format!("{id}/VERSION"), b"1.0")?;
            add_bytes(archive, &format!("{id}/json"), Value::Object(about).to_string().as_bytes())?;
        }
        parent = Some(id);
    }
    Ok(parent)
}

fn link(archive: &mut tar::Builder<&mut dyn Write>, name: &str, target: &str) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_size(0);
    header.set_mtime(0);
    archive.append_link(&mut header, name, target).map_err(Error::file("the archive"))
}

/// Notes in `repositories` that these names mean the layer `top`.
pub(crate) fn note(repositories: &mut Map<String, Value>, names: &[String], top: &str) {
    for name in names {
        let Ok(reference) = name.parse::<Reference>() else { continue };
        if let Some(tag) = reference.tag() {
            let tags = repositories.entry(reference.repository()).or_insert_with(|| json!({}));
            tags[tag] = json!(top);
        }
    }
}
