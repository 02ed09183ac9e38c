//! A plan becomes reality: records, pods, Services, and the one process that keeps them so.
//!
//! Modules call those of groups above their own alone; a test holds it.

mod error;
pub(crate) mod mark;
mod status;

mod sources;

mod place;
mod secrets;
mod volumes;

mod objects;

mod networks;
mod start;

mod observe;

mod happened;
mod launch;
mod services;
mod zone;

mod child;
mod debug;
mod forward;
mod routes;

mod supervisor;

mod change;
mod down;
mod play;
mod resume;

pub use change::{Noted, Notes, note, pause, restart, scale, set_images, undo};
pub use child::pod_main;
pub use debug::debug;
pub use down::{Claims, Down, Meant, down, played_from, remove_pods};
pub use error::{Error, Result};
pub use forward::PortForward;
pub use happened::{Chronicle, trouble};
pub use launch::{FindImage, Launched, PodRequest, Start, WantedImage, node_name};
pub use objects::{Body, Object, Shelf, Waits};
pub use observe::{Seen, owner_of, pod_manifest, pod_uid, pods, template_of, uid_of};
pub use play::{Actor, PlayOptions, Played, ShowProgress, have_ended, play, preview};
pub use resume::resume;
pub use routes::{behind, endpoints, published, served_higher, target};
pub use sources::{STANDARD_INPUT, Sources};
pub use status::Kept;
pub use supervisor::{end_supervisor, is_needed, start_supervisor, supervisor_main};

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The groups of the list above, and in each the modules.
    fn groups(text: &str) -> Vec<Vec<&str>> {
        let list = text.split("pub use").next().unwrap_or_default();
        let module = |line| str::strip_suffix(str::strip_prefix(line, "mod ")?, ";");
        list.split("\n\n").map(|group| group.lines().filter_map(module).collect()).collect()
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn modules_call_those_above_alone() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/act");
        let text = fs::read_to_string(root.with_extension("rs")).unwrap();
        let groups = groups(&text);
        let level =
            |name: &str| groups.iter().position(|group| group.contains(&name)).unwrap_or_else(|| panic!("{name}"));
        for path in files(&root) {
            let place = path.strip_prefix(&root).unwrap().with_extension("");
            let mut parts = place.iter().map(|part| part.to_str().unwrap());
            let (own, is_top) = (parts.next().unwrap(), parts.next().is_none());
            let text = fs::read_to_string(&path).unwrap();
            for other in groups.iter().flatten().filter(|other| **other != own) {
                let of_top = is_top && text.contains(&format!("super::{other}"));
                let listed = text.lines().any(|line| {
                    let list = line.strip_prefix(if is_top { "use super::{" } else { "use crate::act::{" });
                    list.is_some_and(|list| list.trim_end_matches("};").split(", ").any(|word| word == *other))
                });
                if of_top || listed || text.contains(&format!("crate::act::{other}")) {
                    assert!(level(other) < level(own), "{own} uses {other}");
                }
            }
        }
    }
}
