//! The names that are there right now.

use containers::{Container, State};
use kube_play::Kind;
use kube_play::act;

use crate::context::Context;

/// Which containers a command can do something with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Running,
    /// Running and not paused.
    Pausable,
    Paused,
    Stopped,
    Created,
}

impl Which {
    pub(super) fn of_verb(verb: &str) -> Which {
        match verb {
            "start" => Which::Stopped,
            "stop" | "kill" | "exec" | "attach" | "healthcheck run" | "stats" => Which::Running,
            "pause" | "container checkpoint" => Which::Pausable,
            "unpause" => Which::Paused,
            "init" => Which::Created,
            _ => Which::All,
        }
    }

    fn has(self, container: &Container) -> bool {
        let running = containers::running(container);
        let paused = running && containers::paused(container);
        match self {
            Which::All => true,
            Which::Running => running,
            Which::Pausable => running && !paused,
            Which::Paused => paused,
            Which::Stopped => !running,
            Which::Created => matches!(container.state(), State::Created),
        }
    }
}

/// Names with their images; ids only where one is being typed.
pub(super) fn containers(context: &Context, which: Which, current: &str) -> Vec<(String, String)> {
    let Ok(engine) = context.reader() else { return Vec::new() };
    let Ok(mut all) = containers::list(&engine) else { return Vec::new() };
    all.retain(|container| which.has(container));
    // The oldest first, as everywhere.
    let mut names: Vec<(String, String)> =
        all.iter().map(|container| (container.name().to_owned(), image_of(container))).collect();
    if names.iter().all(|(name, _)| !name.starts_with(current)) && current.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        names = all
            .iter()
            .map(|container| (container.id().as_str()[..12].to_owned(), container.name().to_owned()))
            .collect();
    }
    names
}

fn image_of(container: &Container) -> String {
    container.record.image.as_ref().map(|image| image.name.clone()).unwrap_or_default()
}

/// Names with tags, of manifest lists too, without `localhost/` where that is how one begins; ids where one is being typed.
pub(super) fn images(context: &Context, current: &str) -> Vec<String> {
    let Ok(store) = context.store() else { return Vec::new() };
    let Ok(all) = images::everything(&store) else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for image in &all {
        for name in &image.names {
            names.push(name.to_string());
            // The short name is what people type.
            if !current.is_empty()
                && let Some(short) = name.to_string().strip_prefix("localhost/")
            {
                names.push(short.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    if names.iter().all(|name| !name.starts_with(current)) && current.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        names = all.iter().map(|image| image.id.to_string().trim_start_matches("sha256:")[..12].to_owned()).collect();
    }
    names
}

pub(super) fn volumes(context: &Context) -> Vec<String> {
    let Ok(store) = context.store() else { return Vec::new() };
    store.volumes().map(|all| all.into_iter().map(|(name, _)| name).collect()).unwrap_or_default()
}

pub(super) fn secrets(context: &Context) -> Vec<String> {
    let Ok(store) = context.store() else { return Vec::new() };
    let all = store.secrets().unwrap_or_default();
    let mut names: Vec<String> = all.into_iter().filter_map(|(_, secret)| Some(secret.ok()?.name)).collect();
    names.sort();
    names
}

pub(super) fn artifacts(context: &Context) -> Vec<String> {
    let Ok(store) = context.store() else { return Vec::new() };
    let all = images::artifacts::list(&store).unwrap_or_default();
    all.into_iter().map(|artifact| artifact.name).collect()
}

/// One file each, and the one that is always there.
pub(super) fn networks(context: &Context) -> Vec<String> {
    let usual = context.config().ok().and_then(|config| config.text("network", "default_network"));
    let mut names = vec![usual.unwrap_or("podman").to_owned()];
    if let Ok(store) = context.store() {
        let elsewhere = context.network_config_dir().unwrap_or_default();
        let dir = elsewhere.unwrap_or_else(|| store.path("networks"));
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        names.extend(entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned())));
    }
    names.sort();
    names.dedup();
    names
}

pub(super) fn pods(context: &Context) -> Vec<String> {
    let Ok(store) = context.store() else { return Vec::new() };
    let all = storage::names::list(&store.path("pods/names")).unwrap_or_default();
    all.into_iter().map(|(name, _)| name).collect()
}

/// What was played, as KIND/NAME, in the namespace where objects lie that name none.
pub(super) fn played(context: &Context) -> Vec<String> {
    const NAMESPACE: &str = "default";
    let Ok(engine) = context.reader() else { return Vec::new() };
    let pods = act::pods(&engine).unwrap_or_default().into_iter().filter(|pod| pod.namespace == NAMESPACE);
    let stored = act::Shelf::new(&engine).all(NAMESPACE).unwrap_or_default();
    let ids = stored.iter().filter_map(|object| object.body.meta()).map(|meta| &meta.id);
    let others = ids.filter(|id| id.kind != Kind::Pod);
    let mut names: Vec<String> =
        others.map(|id| format!("{}/{}", id.kind.word().to_ascii_lowercase(), id.name)).collect();
    names.extend(pods.map(|pod| format!("pod/{}", pod.name)));
    names.sort();
    names
}
