//! What a flag or a position of the command line can be.

use clap::{Arg, Command};

use super::names::{self, Which};
use super::{Also, Offer};
use crate::context::Context;

const BOOL: &[&str] = &["true", "false"];
const SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGKILL",
    "SIGPIPE",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// What `commit` and `import` can change of an image.
const INSTRUCTIONS: &[&str] =
    &["CMD", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"];

/// The value of a flag, by its long name.
pub(super) fn of_flag(context: &Context, verb: &str, flag: &str, current: &str) -> Offer {
    let words: &[&str] = match (flag, verb) {
        ("network" | "net", "pod update") => return Offer::names(names::networks(context)),
        ("network" | "net", _) => {
            let mut words = names::networks(context);
            let modes = ["none", "host", "private", "container:", "ns:", "bridge", "slirp4netns", "pasta", "creel"];
            words.extend(modes.map(str::to_owned));
            return namespace(context, words, current);
        }
        ("cgroupns" | "uts" | "pid", _) => return namespace(context, words(&["host", "private"]), current),
        ("ipc", _) => return namespace(context, words(&["host", "none", "private", "shareable"]), current),
        ("userns", _) => return namespace(context, words(&["auto", "host", "keep-id", "nomap", "private"]), current),
        ("pod", _) => return Offer::names(names::pods(context)),
        ("volumes-from" | "requires", _) => return Offer::described(names::containers(context, Which::All, current)),
        ("secret", _) => return Offer::names(names::secrets(context)),
        ("volume", _) if !current.starts_with(['/', '.', '~']) => {
            let names = names::volumes(context).into_iter().map(|name| name + ":").collect();
            return Offer::names(names).and(Also::NoSpaceOrFiles);
        }
        ("volume", _) => return Offer::nothing_but(Also::Files),
        ("mount", _) => {
            return Offer::words(&["type=bind,", "type=image,", "type=tmpfs,", "type=volume,"])
                .and(Also::NoSpaceOrFiles);
        }
        ("filter", _) => return filter(context, verb, current),
        ("format", "save") => &["docker-archive", "oci-archive", "oci-dir", "docker-dir"],
        ("format", "commit" | "push" | "manifest push" | "build") => &["oci", "docker"],
        ("format", _) => return format(verb, current),
        ("change", _) => return Offer::words(INSTRUCTIONS).and(Also::NoSpaceOrFiles),
        ("detach-keys", _) => return Offer::words(&["ctrl-"]).and(Also::NoSpaceOrFiles),
        ("hosts-file", _) => return Offer::words(&["image", "none"]).and(Also::Files),
        ("init-ctr", _) => &["always", "once"],
        ("restart-policy", "generate systemd") => {
            &["no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"]
        }
        ("restart", "kube run") => &["Always", "Never", "OnFailure"],
        ("dry-run", "kube expose" | "kube run") => &["client", "none", "server"],
        ("type", "kube expose") => &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        ("protocol", "kube expose") => &["SCTP", "TCP", "UDP"],
        ("for", "kube wait") => {
            &["condition=Available", "condition=Complete", "condition=Failed", "condition=Ready", "create", "delete"]
        }
        ("sort-by", "kube top") => &["cpu", "memory"],
        ("types", "kube events") => &["Normal", "Warning"],
        ("for", "kube events") => return Offer::names(names::played(context)),
        ("address", "kube port-forward") => &["0.0.0.0", "localhost"],
        ("output", "kube get" | "kube ps") => &["json", "name", "wide", "yaml"],
        ("output", "kube expose" | "kube run") => &["json", "name", "yaml"],
        ("output", "kube delete") => &["name"],
        ("restart", _) => &["always", "no", "on-failure", "unless-stopped"],
        ("pull" | "policy", _) => &["always", "missing", "never", "newer"],
        ("log-driver", _) => &["journald", "json-file", "k8s-file", "none", "passthrough", "passthrough-tty"],
        ("log-level", _) => &["debug", "error", "fatal", "info", "panic", "trace", "warn"],
        ("log-opt", _) => return Offer::words(&["max-file=", "max-size=", "path=", "tag="]).and(Also::NoSpace),
        ("cgroups", _) => &["disabled", "enabled", "no-conmon", "split"],
        ("systemd", _) => &["always", "false", "true"],
        ("security-opt", _) => {
            let words = ["apparmor=", "label=", "mask=", "no-new-privileges", "proc-opts=", "seccomp=", "unmask="];
            return Offer::words(&words).and(Also::NoSpace);
        }
        ("cap-add" | "cap-drop", _) => CAPABILITIES,
        ("signal" | "stop-signal", _) => return signals(current),
        ("attach", _) => &["stderr", "stdin", "stdout"],
        ("sdnotify", _) => &["conmon", "container", "healthy", "ignore"],
        ("health-on-failure", _) => &["kill", "none", "restart", "stop"],
        ("image-volume", _) => &["anonymous", "bind", "ignore", "tmpfs"],
        ("arch", _) => &["amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x"],
        ("os", _) => &["linux"],
        ("platform", _) => {
            &["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/ppc64le", "linux/riscv64", "linux/s390x"]
        }
        ("compression-format", _) => &["gzip", "zstd"],
        ("profile", _) => &["baseline", "general", "netadmin", "restricted", "sysadmin"],
        ("storage-driver", _) => &["overlay", "vfs"],
        ("cgroup-manager", _) => &["cgroupfs", "systemd"],
        ("events-backend", _) => &["file", "journald", "none"],
        ("runtime", _) => &["crun", "runc", "youki"],
        ("type", "inspect") => &["all", "artifact", "container", "image", "network", "pod", "volume"],
        ("condition", _) => &[
            "configured",
            "created",
            "exited",
            "healthy",
            "initialized",
            "paused",
            "removing",
            "running",
            "stopped",
            "stopping",
            "unhealthy",
            "unknown",
        ],
        ("sort", "ps") => &["command", "created", "id", "image", "names", "runningfor", "size", "status"],
        ("sort", "images") => &["created", "id", "repository", "size", "tag"],
        ("sort", "pod ps") => &["created", "id", "name", "number", "status"],
        ("driver", "volume create") => &["local"],
        ("driver", "network create") => &["bridge"],
        ("driver", "secret create") => &["file"],
        _ => return by_value_name(context, verb, flag, current),
    };
    Offer::words(words)
}

/// What happens, in the words of `events`.
const EVENTS: &[&str] = &[
    "attach",
    "build",
    "cleanup",
    "commit",
    "connect",
    "create",
    "died",
    "disconnect",
    "exec",
    "exec_died",
    "export",
    "health_status",
    "import",
    "init",
    "kill",
    "loadfromarchive",
    "mount",
    "pause",
    "prune",
    "pull",
    "push",
    "refresh",
    "remove",
    "rename",
    "restart",
    "save",
    "start",
    "stop",
    "tag",
    "unmount",
    "unpause",
    "untag",
    "update",
];

/// A flag of which no more is known than what its value is called in the help.
fn by_value_name(context: &Context, verb: &str, flag: &str, current: &str) -> Offer {
    let command = crate::cli::verb(verb).map_or_else(crate::globals::command, |verb| verb.command());
    let globals = crate::globals::command();
    let find = |command: &Command| command.get_arguments().find(|arg| arg.get_long() == Some(flag)).cloned();
    match find(&command).or_else(|| find(&globals)) {
        Some(arg) if arg.get_num_args().is_some_and(|range| range.min_values() == 0) => Offer::words(BOOL),
        // Of processors and nodes, not of images.
        Some(arg) if value_name(&arg) == "LIST" => Offer::default(),
        Some(arg) => of_kind(context, verb, &value_name(&arg), current),
        None => Offer::default(),
    }
}

fn value_name(arg: &Arg) -> String {
    arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string()).unwrap_or_default()
}

/// An argument, by where it stands.
pub(super) fn of_position(context: &Context, verb: &str, command: &Command, typed: &[String], current: &str) -> Offer {
    let Some(arg) = command.get_positionals().next() else { return Offer::default() };
    let names = value_name(arg);
    let kinds: Vec<&str> = names.split(' ').collect();
    let repeats = kinds.last().is_some_and(|last| last.contains("..."));
    let kind = match kinds.get(typed.len()) {
        Some(&"[...]") => kinds[typed.len() - 1],
        Some(kind) => kind,
        None if repeats => kinds.iter().rfind(|kind| **kind != "[...]").unwrap_or(&""),
        None => return Offer::default(),
    };
    // `{CONTAINER|IMAGE}`: the names of all of them.
    let mut offer = Offer::default();
    for kind in kind.split('|').map(|kind| kind.trim_matches(['{', '}'])).filter(|kind| *kind != "-") {
        let more = of_kind(context, verb, kind, current);
        offer.candidates.extend(more.candidates);
        offer.also = more.also;
    }
    // `rm a b`: nobody names one twice.
    offer.candidates.retain(|(word, _)| !typed.contains(word));
    offer
}

fn of_kind(context: &Context, verb: &str, kind: &str, current: &str) -> Offer {
    let bare = kind.trim_matches(['[', ']', '.', '}']);
    match bare {
        "CONTAINER" => Offer::described(names::containers(context, Which::of_verb(verb), current)),
        "IMAGE" | "LIST" | "MANIFEST" | "TARGET_NAME" | "IMAGEORARTIFACT" => {
            Offer::names(names::images(context, current))
        }
        "VOLUME" => Offer::names(names::volumes(context)),
        "NETWORK" => Offer::names(names::networks(context)),
        "POD" if verb == "kube port-forward" => Offer::names(names::played(context)),
        "POD" => Offer::names(names::pods(context)),
        "SECRET" => Offer::names(names::secrets(context)),
        "KIND" if verb == "kube top" => Offer::words(&["pod"]),
        "KIND" | "KIND/NAME" => Offer::names(names::played(context)),
        "image" if verb == "kube set" => Offer::words(&["image"]),
        // What is pulled is not here yet.
        "ARTIFACT" if verb == "artifact pull" => Offer::default(),
        "ARTIFACT" => Offer::names(names::artifacts(context)),
        "NAME" if matches!(verb, "volume mount" | "volume unmount") => Offer::names(names::volumes(context)),
        "CONTAINER:]SRC_PATH" | "CONTAINER:]DEST_PATH" => {
            let names = names::containers(context, Which::All, current);
            let offer = Offer::described(names.into_iter().map(|(name, of)| (name + ":", of)).collect());
            if current.contains(['/', ':']) { Offer::nothing_but(Also::Files) } else { offer.and(Also::NoSpaceOrFiles) }
        }
        "SHELL" => Offer::words(&["bash", "fish", "powershell", "zsh"]),
        "SIGNAL" => signals(current),
        "BOOL" => Offer::words(BOOL),
        "FILE"
        | "KUBEFILE"
        | "SOURCE"
        | "PATH"
        | "KUBE-FILE"
        | "QUADLET-PATH-OR-URL"
        | "FILES-PATH-OR-URL"
        | "COMMAND"
        | "ARG"
        | "ARGS"
        | "CONTEXT" => Offer::nothing_but(Also::Files),
        "DIR" | "DIRECTORY" => Offer::nothing_but(Also::Directories),
        _ => Offer::default(),
    }
}

fn first_of(candidates: Vec<(String, String)>) -> Vec<String> {
    candidates.into_iter().map(|(word, _)| word).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A namespace: one of the words, that of a container, or one that a file keeps.
fn namespace(context: &Context, mut words: Vec<String>, current: &str) -> Offer {
    if current.starts_with("container:") {
        let names = names::containers(context, Which::All, "").into_iter();
        return Offer::names(names.map(|(name, _)| format!("container:{name}")).collect());
    }
    if current.starts_with("ns:") {
        return Offer::nothing_but(Also::Files);
    }
    for more in ["container:", "ns:"].map(str::to_owned) {
        if !words.contains(&more) {
            words.push(more);
        }
    }
    Offer::names(words).and(Also::NoSpace)
}

/// Their short names, unless the long one has begun.
fn signals(current: &str) -> Offer {
    let long = current.starts_with("SI");
    Offer::names(SIGNALS.iter().map(|name| if long { *name } else { &name["SIG".len()..] }.to_owned()).collect())
}

fn filter(context: &Context, verb: &str, current: &str) -> Offer {
    let (group, word) = verb.split_once(' ').unwrap_or(("", verb));
    let keys: &[&str] = match (group, word) {
        ("container" | "image" | "network", "prune") => &["label", "until"],
        ("", "images") => &[
            "after",
            "before",
            "containers",
            "dangling",
            "digest",
            "id",
            "intermediate",
            "label",
            "manifest",
            "readonly",
            "reference",
            "since",
            "until",
        ],
        ("volume", _) => &["after", "dangling", "driver", "label", "name", "opt", "scope", "until"],
        ("network", _) => &["dangling", "driver", "id", "label", "name", "until"],
        ("secret", _) => &["id", "name"],
        ("pod", _) => {
            &["ctr-ids", "ctr-names", "ctr-number", "ctr-status", "id", "label", "name", "network", "status", "until"]
        }
        ("", "events") => &["container", "event", "image", "label", "pod", "type", "volume"],
        ("", "search") => &["is-automated", "is-official", "stars"],
        ("system", "prune") => &["label", "until"],
        _ => &[
            "ancestor",
            "before",
            "command",
            "exited",
            "health",
            "id",
            "label",
            "name",
            "network",
            "pod",
            "restart-policy",
            "should-start-on-boot",
            "since",
            "status",
            "until",
            "volume",
        ],
    };
    let Some((key, _)) = current.split_once('=') else {
        let keys: Vec<String> = keys.iter().map(|key| format!("{key}=")).collect();
        return Offer::names(keys).and(Also::NoSpace);
    };
    let known = words;
    let values: Vec<String> = match (key, group, word) {
        ("status", "", _) => known(&[
            "created",
            "exited",
            "initialized",
            "paused",
            "removing",
            "running",
            "stopped",
            "stopping",
            "unknown",
        ]),
        ("status", "pod", _) => known(&["created", "dead", "degraded", "exited", "paused", "running", "stopped"]),
        ("health", ..) => known(&["healthy", "none", "starting", "unhealthy"]),
        ("restart-policy", ..) => known(&["always", "no", "on-failure", "unless-stopped"]),
        ("dangling" | "readonly" | "intermediate" | "is-official" | "is-automated", ..) => known(BOOL),
        ("event", "", "events") => known(EVENTS),
        ("type", "", "events") => known(&["container", "image", "network", "pod", "secret", "system", "volume"]),
        ("ancestor" | "reference" | "image", ..) => names::images(context, ""),
        ("before" | "since", "", "images") => names::images(context, ""),
        ("before" | "since" | "container", ..) => first_of(names::containers(context, Which::All, "")),
        ("name", "", "ps") => first_of(names::containers(context, Which::All, "")),
        ("volume", ..) | ("name", "volume", _) => names::volumes(context),
        ("network", ..) | ("name", "network", _) => names::networks(context),
        ("pod", ..) | ("name", "pod", _) => names::pods(context),
        ("name", "secret", _) => names::secrets(context),
        _ => Vec::new(),
    };
    Offer::names(values.into_iter().map(|value| format!("{key}={value}")).collect())
}

/// `json`, or the fields of the command's rows once a template has begun.
fn format(verb: &str, current: &str) -> Offer {
    match super::fields::complete(verb, current) {
        Some(templates) => Offer::names(templates).and(Also::NoSpace),
        None => Offer::words(&["json"]),
    }
}
