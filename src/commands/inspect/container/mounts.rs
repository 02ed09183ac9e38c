//! `Mounts`, and the two lists of `HostConfig` that tell of the same.

use containers::{Container, Facts, MountFact, MountKind};

use super::path_or_empty;
use crate::format::Value;
use crate::object;

/// What the user mounts, without what is of no use to see.
pub fn mounts(facts: &[MountFact]) -> Vec<Value> {
    // Volumes first, as Podman has them.
    let of = |kinds: &'static [&'static str]| facts.iter().filter(move |mount| kinds.contains(&mount.kind));
    let shown = of(&["volume"]).chain(of(&["image", "bind"]));
    shown
        .map(|mount| {
            let mut options = mount.options.clone();
            options.retain(|option| *option != mount.propagation && !is_mode(option));
            if matches!(mount.kind, "bind" | "volume")
                && !options.iter().any(|option| matches!(option.as_str(), "bind" | "rbind"))
            {
                options.push("rbind".into());
            }
            object! {
                "Type": mount.kind,
                "Name"?: mount.name.clone().unwrap_or_default(),
                "Source": mount.source.as_path(),
                "Destination": mount.destination.as_path(),
                "Driver": mount.driver.clone().unwrap_or_default(),
                "Mode": mode(mount),
                "Options": Value::list(&options),
                "RW": mount.writable,
                "Propagation": mount.propagation.clone(),
                "SubPath"?: path_or_empty(mount.subpath.as_deref()),
            }
        })
        .collect()
}

/// The words about labels, which are told apart from the other options.
fn is_mode(option: &str) -> bool {
    matches!(option, "z" | "Z")
}

fn mode(mount: &MountFact) -> String {
    let words: Vec<&str> = mount.options.iter().map(String::as_str).filter(|option| is_mode(option)).collect();
    words.join(",")
}

/// Volumes and binds as `source:destination:options`.
pub fn binds(facts: &Facts) -> Value {
    let of = |kind: &'static str| facts.mounts.iter().filter(move |mount| mount.kind == kind);
    let shown = of("volume").chain(of("bind"));
    let text = shown.map(|mount| {
        let source = mount.name.clone().unwrap_or_else(|| mount.source.display().to_string());
        let mut options: Vec<&str> = if mount.writable { Vec::new() } else { vec!["ro"] };
        options.extend(mount.options.iter().map(String::as_str).filter(|option| is_mode(option)));
        options.push(mount.propagation.as_str());
        let plain = |option: &&str| *option != mount.propagation && !is_mode(option);
        options.extend(mount.options.iter().map(String::as_str).filter(plain));
        if !options.iter().any(|option| matches!(*option, "bind" | "rbind")) {
            options.push("rbind");
        }
        Value::from(format!("{source}:{}:{}", mount.destination.display(), options.join(",")))
    });
    Value::List(text.collect())
}

/// `{"/tmp": "size=64,rprivate,nosuid,nodev"}`.
pub fn tmpfs(container: &Container) -> Value {
    let all = container.spec().mounts.iter().filter_map(|mount| {
        let MountKind::Tmpfs { size, mode, copy_up } = &mount.kind else { return None };
        let mut options = mount.options.clone();
        options.extend(size.map(|size| format!("size={}", binary_size(size))));
        options.extend(mode.map(|mode| format!("mode={mode:o}")));
        if mount.read_only {
            options.push("ro".into());
        }
        for usual in ["rprivate", "nosuid", "nodev"] {
            if !options.iter().any(|option| option == usual) {
                options.push(usual.into());
            }
        }
        if *copy_up {
            options.push("tmpcopyup".into());
        }
        Some((mount.destination.display().to_string(), Value::from(options.join(","))))
    });
    Value::Map(all.collect())
}

/// A size in the largest unit in which it is a whole number, as people type it: `64m`.
fn binary_size(bytes: u64) -> String {
    let unit = [(1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")];
    let fits = unit.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| bytes.to_string(), |(unit, letter)| format!("{}{letter}", bytes / unit))
}
