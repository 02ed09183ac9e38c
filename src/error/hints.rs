//! The errors of the libraries, each with its exit code, what to do about it, and what may be to blame.

use super::{ExitCode, Failure, Suspect, folded, go_words};

impl From<sys::userns::Error> for Failure {
    fn from(error: sys::userns::Error) -> Failure {
        let hint = match &error {
            sys::userns::Error::Refused { .. } => {
                "the administrator may have to allow user namespaces: sysctl user.max_user_namespaces, \
                 kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns"
            }
            sys::userns::Error::IdMap { .. } => {
                "look at /etc/subuid and /etc/subgid, and that newuidmap is setuid root"
            }
            sys::userns::Error::State { .. } => "look at XDG_RUNTIME_DIR: it must be a directory of yours",
            sys::userns::Error::Join { .. } => "stop the running containers and try again",
        };
        Failure::plain(folded(&error)).hint(hint).suspect(Suspect::UserNamespace)
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Failure {
        if let storage::Error::NotFound { kind: "secret", name } = &error {
            let quoted = crate::arguments::go_quote(name);
            return Failure::plain(format!("no secret with name or id {quoted}: no such secret"))
                .missing("secret", name);
        }
        let failure = Failure::plain(folded(&error));
        let failure = match &error {
            storage::Error::NotFound { kind, name } => failure.missing(kind, name),
            storage::Error::NoSpace { .. } | storage::Error::Io { .. } => failure.suspect(Suspect::Store),
            storage::Error::Unsupported { .. } => failure.suspect(Suspect::RootFileSystem),
            _ => failure,
        };
        match error {
            storage::Error::TooNew { .. } => failure.hint("use the creel that wrote the store, or another one with --root"),
            storage::Error::UnmappedId { .. } => failure.hint(
                "give the user more sub-ids in /etc/subuid and /etc/subgid, or use --storage-opt ignore_chown_errors=true",
            ),
            storage::Error::NoSpace { .. } => failure.hint("free some space: creel system prune"),
            storage::Error::Damaged { .. } => failure.hint("creel system check --repair sets damaged records aside"),
            storage::Error::Limit { setting, .. } => failure.hint(format!("the environment variable {setting} raises the limit")),
            storage::Error::NotFound { .. }
            | storage::Error::NameTaken { .. }
            | storage::Error::Invalid { .. }
            | storage::Error::BadArchive { .. }
            | storage::Error::Mismatch { .. }
            | storage::Error::Unsupported { .. }
            | storage::Error::Io { .. } => failure,
        }
    }
}

impl From<images::Error> for Failure {
    fn from(error: images::Error) -> Failure {
        use images::Error;
        if let Error::Storage(error) = error {
            return error.into();
        }
        let failure = Failure::plain(folded(&error));
        match &error {
            Error::NotFound { name } => failure.missing("image", name),
            Error::PullForbidden { .. } => failure.hint("pull it first, or leave --pull=never out"),
            Error::ShortName { name, candidates } => match candidates.first() {
                Some(first) => failure.hint(format!("write the full name, e.g. {first}")),
                None => Failure::plain(format!(
                    "short-name {name:?} did not resolve to an alias and no unqualified-search registries are defined in \
                     registries.conf"
                ))
                .hint(
                    "write the full name with its registry, or list registries in unqualified-search-registries of \
                     ~/.config/containers/registries.conf",
                ),
            },
            Error::Denied { .. } => failure.hint("log in with creel login, and look at the spelling of the name"),
            Error::Unreachable { .. } => failure.hint("look at the network connection and the registry's name"),
            Error::Tls { .. } => {
                failure.hint("for a registry without TLS use --tls-verify=false or insecure=true in registries.conf")
            }
            Error::ArtifactNotFound { name } => failure.missing("artifact", name),
            Error::ArtifactExists { .. } => failure.hint("use --append to add to it, or --replace"),
            Error::SkopeoLacks { .. } => failure.hint("install a newer skopeo, or leave the flag out"),
            Error::Signing { .. } => failure.hint("gpg --list-secret-keys shows the keys that --sign-by can name"),
            Error::Policy { .. } => failure.hint("see containers-policy.json(5)"),
            Error::SkopeoMissing | Error::SkopeoTooOld { .. } => {
                failure.hint("install the package skopeo of your distribution").suspect(Suspect::Skopeo)
            }
            Error::NoSpace { .. } => failure.hint("free some space: creel system prune").suspect(Suspect::Store),
            Error::InUse { .. } => failure.code(ExitCode::InUse).hint("rm the containers first, or use rmi --force"),
            Error::HasChildren { .. } => {
                failure.code(ExitCode::InUse).hint("creel image tree --whatrequires shows what was built on it")
            }
            Error::NoPlatform { .. } => failure.hint("ask for another one with --platform"),
            _ => failure,
        }
    }
}

impl From<network::Error> for Failure {
    fn from(error: network::Error) -> Failure {
        use network::Error;
        let failure = Failure::plain(folded(&error));
        match error {
            Error::PortInUse { .. } => failure.hint("publish another host port, or end the process that has this one"),
            Error::PortPrivileged { .. } => {
                failure.hint("publish a higher port, or: sysctl net.ipv4.ip_unprivileged_port_start")
            }
            Error::Storage(error) => error.into(),
            Error::NoSuchNetwork(_) => failure.hint("creel network ls shows the networks that are there"),
            Error::Silent { pid, .. } => {
                let hint = format!("kill -KILL {pid}: another one takes its place, and members keep their addresses");
                failure.hint(hint)
            }
            Error::NoUplink(_) => failure.hint("--network creel needs no package").suspect(Suspect::Network),
            Error::Invalid { .. }
            | Error::NotSupported(_)
            | Error::Listen { .. }
            | Error::NoFreePort { .. }
            | Error::Uplink { .. }
            | Error::Forwarder(_)
            | Error::NetworkExists(_)
            | Error::Refused(_)
            | Error::Holder { .. }
            | Error::Kernel { .. } => failure,
        }
    }
}

impl From<containers::Error> for Failure {
    fn from(error: containers::Error) -> Failure {
        use containers::Error;
        match error {
            Error::Storage(error) => error.into(),
            Error::Image(error) => error.into(),
            Error::Network(error) => error.into(),
            Error::Runtime(error) => {
                let code = ExitCode::from_number(error.exit_code().into());
                Failure::plain(folded(&error)).code(code)
            }
            Error::StartFailed { message, exit_code } => {
                let failure = Failure::plain(go_words(message)).code(ExitCode::from_number(exit_code));
                match start_suspect(&failure) {
                    Some(suspect) => failure.suspect(suspect),
                    None => failure,
                }
            }
            Error::NameTaken { .. } => {
                // Podman's sentence goes on; scripts match on both halves.
                Failure::plain(format!("{error}, or use --replace to instruct creel to do so."))
            }
            Error::NotFound { name } => {
                let failure = Failure::plain(folded(&Error::NotFound { name: name.clone() }));
                failure.missing("container", &name)
            }
            other => Failure::plain(folded(&other)),
        }
    }
}

impl From<build::Error> for Failure {
    fn from(error: build::Error) -> Failure {
        use build::Error;
        match error {
            Error::Containers(error) => error.into(),
            Error::Images(error) => error.into(),
            Error::Base(error) => Failure::from(error).context("creating build container"),
            Error::Storage(error) => error.into(),
            Error::Containerfile { ref problem, .. } => {
                let failure = Failure::plain(error.to_string());
                match &problem.meant {
                    Some(meant) => failure.hint(format!("did you mean {meant}?")),
                    None => failure,
                }
            }
            Error::Exit { code, .. } | Error::Start { code, .. } => {
                Failure::plain(go_words(error.to_string())).code(ExitCode::from_number(code))
            }
            Error::Step { .. } | Error::Invalid(_) | Error::Io { .. } => Failure::plain(go_words(folded(&error))),
        }
    }
}

/// What may be to blame for a start that failed: what the monitor said of it is text only.
fn start_suspect(failure: &Failure) -> Option<Suspect> {
    let is_machines = failure.code != ExitCode::NotFound && !failure.text.ends_with("OCI permission denied");
    let says = |words: &[&str]| is_machines && words.iter().any(|word| failure.text.contains(word));
    if says(&["slirp4netns", "pasta", "/dev/net/tun"]) {
        Some(Suspect::Network)
    } else if says(&["overlay", "/dev/fuse"]) {
        Some(Suspect::RootFileSystem)
    } else {
        None
    }
}
