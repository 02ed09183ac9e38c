//! Namespaces: `--pid`, `--ipc`, `--uts`, `--cgroupns`, `--userns` and the id maps.

use containers::{IpcMode, NamespaceMode, Namespaces, UserNamespace};

use super::{CreateArgs, Surroundings, id_maps};
use crate::arguments::go_quote;
use crate::error::Failure;

pub fn namespaces(args: &CreateArgs, around: &Surroundings<'_>) -> Result<Namespaces, Failure> {
    let config = around.config;
    let or_config = |flag: &Option<String>, key: &str| {
        flag.clone().or_else(|| config.text("containers", key).map(str::to_owned)).unwrap_or_default()
    };
    let user = match id_maps::private(args, around)? {
        Some(private) => private,
        None => {
            let mode = match &args.userns {
                Some(mode) => mode.clone(),
                None => crate::caller::variable("PODMAN_USERNS")
                    .or_else(|| config.text("containers", "userns").map(str::to_owned))
                    .unwrap_or_default(),
            };
            user(&mode, around)?
        }
    };
    Ok(Namespaces {
        pid: mode(&or_config(&args.pid, "pidns"))?,
        ipc: ipc(&or_config(&args.ipc, "ipcns"))?,
        uts: mode(&or_config(&args.uts, "utsns"))?,
        cgroup: mode(&or_config(&args.cgroupns, "cgroupns"))?,
        user,
    })
}

/// The container that a mode names, for the surface to look up: `container:NAME`.
pub fn join_reference(mode: &NamespaceMode) -> Option<&str> {
    match mode {
        NamespaceMode::Container(name) => Some(name),
        NamespaceMode::Private | NamespaceMode::Host | NamespaceMode::Path(_) => None,
    }
}

fn needs_value(kind: &str) -> Failure {
    Failure::plain(format!("invalid config provided: namespace mode {kind} requires a value"))
}

fn mode(text: &str) -> Result<NamespaceMode, Failure> {
    match text.split_once(':') {
        None => match text {
            "" | "private" => Ok(NamespaceMode::Private),
            "host" => Ok(NamespaceMode::Host),
            other => Err(Failure::plain(format!("unrecognized namespace mode {other} passed"))),
        },
        Some(("container", "")) => Err(needs_value("container")),
        Some(("ns", "")) => Err(needs_value("path")),
        Some(("container", name)) => Ok(NamespaceMode::Container(name.to_owned())),
        Some(("ns", path)) => Ok(NamespaceMode::Path(path.into())),
        Some(_) => Err(Failure::plain(format!("unrecognized namespace mode {text} passed"))),
    }
}

fn ipc(text: &str) -> Result<IpcMode, Failure> {
    Ok(match text {
        "" | "shareable" => IpcMode::Shareable,
        "private" => IpcMode::Private,
        "none" => IpcMode::None,
        other => match mode(other)? {
            NamespaceMode::Private => IpcMode::Private,
            NamespaceMode::Host => IpcMode::Host,
            NamespaceMode::Container(name) => IpcMode::Container(name),
            NamespaceMode::Path(path) => IpcMode::Path(path),
        },
    })
}

/// The grammar of `--userns`.
pub fn user(text: &str, around: &Surroundings<'_>) -> Result<UserNamespace, Failure> {
    let (word, options) = match text.split_once(':') {
        Some((word, options)) => (word, Some(options)),
        None => (text, None),
    };
    let uint = |value: &str| {
        value
            .parse::<u32>()
            .map_err(|_| Failure::plain(format!("strconv.ParseUint: parsing {}: invalid syntax", go_quote(value))))
    };
    match (word, options) {
        ("" | "host", None) => Ok(UserNamespace::Host),
        ("nomap", None) => Ok(UserNamespace::NoMap),
        ("private", None) => {
            Err(Failure::plain("must provide at least one UID or GID mapping to configure a user namespace"))
        }
        ("container", Some("") | None) => Err(needs_value("container")),
        ("ns", Some("") | None) => Err(needs_value("path")),
        ("container", Some(name)) => Ok(UserNamespace::Container(name.to_owned())),
        ("ns", Some(path)) => Ok(UserNamespace::Path(path.into())),
        ("keep-id", options) => {
            let (mut uid, mut gid, mut size) = (None, None, None);
            for option in options.into_iter().flat_map(|options| options.split(',')) {
                match option.split_once('=') {
                    Some(("uid", value)) => uid = Some(uint(value)?),
                    Some(("gid", value)) => gid = Some(uint(value)?),
                    Some(("size", value)) => size = Some(uint(value)?),
                    Some((key, _)) => {
                        return Err(Failure::plain(format!("unknown option specified: {}", go_quote(key))));
                    }
                    None => return Err(Failure::plain(format!("invalid option specified: {}", go_quote(option)))),
                }
            }
            Ok(UserNamespace::KeepId { uid, gid, size })
        }
        ("auto", options) => {
            let (mut size, mut uid_maps, mut gid_maps) = (None, Vec::new(), Vec::new());
            for option in options.into_iter().flat_map(|options| options.split(',')) {
                match option.split_once('=') {
                    Some(("size", value)) => size = Some(uint(value)?),
                    Some(("uidmapping", value)) => uid_maps.push(id_maps::mapping("uidmapping", value, around)?),
                    Some(("gidmapping", value)) => gid_maps.push(id_maps::mapping("gidmapping", value, around)?),
                    Some((key, _)) => {
                        return Err(Failure::plain(format!("unknown option specified: {}", go_quote(key))));
                    }
                    None => return Err(Failure::plain(format!("invalid option specified: {}", go_quote(option)))),
                }
            }
            Ok(UserNamespace::Auto { size, uid_maps, gid_maps })
        }
        _ => Err(Failure::plain(format!("unrecognized namespace mode {text} passed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::translate;
    use super::*;

    #[test]
    fn modes_are_read() {
        let spec =
            translate(&["--pid", "host", "--ipc", "none", "--uts", "container:x", "--cgroupns", "ns:/p", "i"]).unwrap();
        assert_eq!(spec.namespaces.pid, NamespaceMode::Host);
        assert_eq!(spec.namespaces.ipc, IpcMode::None);
        assert_eq!(spec.namespaces.uts, NamespaceMode::Container("x".into()));
        assert_eq!(spec.namespaces.cgroup, NamespaceMode::Path("/p".into()));
        assert_eq!(join_reference(&spec.namespaces.uts), Some("x"));
    }

    #[test]
    fn user_namespaces_are_read() {
        let table = [
            ("host", UserNamespace::Host),
            ("nomap", UserNamespace::NoMap),
            ("keep-id", UserNamespace::KeepId { uid: None, gid: None, size: None }),
            ("keep-id:uid=5,gid=6", UserNamespace::KeepId { uid: Some(5), gid: Some(6), size: None }),
            ("auto:size=10", UserNamespace::Auto { size: Some(10), uid_maps: vec![], gid_maps: vec![] }),
            ("container:x", UserNamespace::Container("x".into())),
        ];
        for (text, expected) in table {
            assert_eq!(translate(&["--userns", text, "i"]).unwrap().namespaces.user, expected);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("--pid", "foo", "unrecognized namespace mode foo passed"),
            ("--ipc", "ns:", "invalid config provided: namespace mode path requires a value"),
            ("--userns", "foo", "unrecognized namespace mode foo passed"),
            ("--userns", "keep-id:x", "invalid option specified: \"x\""),
            ("--userns", "keep-id:uid=a", "strconv.ParseUint: parsing \"a\": invalid syntax"),
            ("--userns", "auto:foo=1", "unknown option specified: \"foo\""),
            ("--userns", "private", "must provide at least one UID or GID mapping to configure a user namespace"),
            ("--userns", "ns:", "invalid config provided: namespace mode path requires a value"),
            (
                "--uidmap",
                "a",
                "initializing ID mappings: UID setting is malformed expected [\"[+ug]uint32:[@]uint32[:uint32]\"] : [\"a\"]",
            ),
            ("--uidmap", "a:b:c", "invalid mapping: [a b c]. Unknown flag 97"),
            ("--uidmap", "0:1000:x", "parsing id map value \"x\": strconv.ParseUint: parsing \"x\": invalid syntax"),
        ];
        for (flag, value, expected) in table {
            assert_eq!(translate(&[flag, value, "i"]).unwrap_err(), expected);
        }
    }
}
