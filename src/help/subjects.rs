//! What belongs together in help: examples of each command, flags by subject, commands by chapter.

use clap::Arg;

/// Command lines that show what a command is for, each with what it does.
const EXAMPLES: &[(&str, &str)] = &[
    ("run --rm -it alpine sh", "a shell in a new container, which is gone afterwards"),
    ("run -d --name web -p 8080:80 -v ./site:/usr/share/nginx/html:ro nginx", "a web server for the files in ./site"),
    ("run --rm --memory 256m --network none alpine sleep 10", "with little memory and no network"),
    ("create --name job alpine echo done", "start it later: start --attach job"),
    ("exec -it web sh", "a shell in a running container"),
    ("ps --all --filter status=exited", "the containers that have ended"),
    ("ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'", "columns of one's own"),
    ("logs --follow --tail 20 web", "the last lines, and those to come"),
    ("inspect --format '{{.State.Status}} {{.NetworkSettings.Ports}}' web", "two facts of many"),
    ("images --filter dangling=true", "images without a name"),
    ("pull docker.io/library/alpine:3", "the name is written in full"),
    ("cp web:/etc/nginx/nginx.conf .", "out of a container"),
    ("cp ./nginx.conf web:/etc/nginx/", "into a container"),
    ("stop --time 5 web", "kill it when it does not end within five seconds"),
    ("start --all --filter restart-policy=always", "what should run after a reboot"),
    ("save -o alpine.tar alpine", "for load on another machine"),
    ("commit --change 'CMD [\"/bin/app\"]' web localhost/app", "an image of what a container has become"),
    ("volume create data", "then: run -v data:/var/lib/data ..."),
    ("system prune --all --volumes", "everything that nothing uses"),
    ("system df --verbose", "what takes the space"),
    ("doctor", "why does it not run here?"),
    ("events --since 1h --stream=false", "what happened in the last hour"),
    ("completion bash", "source <(creel completion bash)"),
];

/// The flags of `run` and `create` by subject, in the order in which people look for them. A star stands for any end; a
/// name that is written out wins.
const SUBJECTS: &[(&str, &[&str])] = &[
    (
        "Life",
        &[
            "detach",
            "interactive",
            "tty",
            "rm",
            "rmi",
            "name",
            "replace",
            "restart",
            "stop-*",
            "timeout",
            "init*",
            "cidfile",
            "pidfile",
            "requires",
            "sig-proxy",
            "attach",
            "detach-keys",
            "sdnotify",
            "systemd",
            "log-driver",
            "log-opt",
        ],
    ),
    (
        "Files",
        &[
            "volume*",
            "mount",
            "tmpfs",
            "read-only*",
            "workdir",
            "rootfs",
            "secret",
            "image-volume",
            "shm-size*",
            "device*",
            "chrootdirs",
            "gpus",
        ],
    ),
    (
        "Environment",
        &["env*", "unsetenv*", "http-proxy", "entrypoint", "tz", "label*", "annotation", "hostname", "domainname"],
    ),
    (
        "Network",
        &[
            "network*",
            "publish*",
            "expose",
            "dns*",
            "add-host",
            "ip",
            "ip6",
            "mac-address",
            "no-host*",
            "hosts-file",
            "pod",
        ],
    ),
    (
        "Users and rights",
        &[
            "user",
            "group-*",
            "cap-*",
            "privileged",
            "security-opt",
            "seccomp-policy",
            "uid*",
            "gid*",
            "subuid*",
            "subgid*",
            "passwd*",
            "hostuser",
            "umask",
            "personality",
        ],
    ),
    ("Namespaces", &["ipc", "pid", "uts", "userns", "cgroupns"]),
    (
        "Limits",
        &[
            "memory*",
            "cpu*",
            "pids-limit",
            "ulimit",
            "blkio*",
            "oom*",
            "cgroup*",
            "sysctl",
            "device-read-*",
            "device-write-*",
        ],
    ),
    ("Health", &["health-*", "no-healthcheck"]),
    (
        "Image",
        &[
            "pull",
            "arch",
            "os",
            "platform",
            "variant",
            "quiet",
            "tls-verify",
            "authfile",
            "creds",
            "cert-dir",
            "retry*",
            "decryption-key",
        ],
    ),
];

/// The commands of `creel --help`; what is in none of the lists comes last.
pub(super) const CHAPTERS: &[(&str, &[&str])] = &[
    ("Every day", &["run", "exec", "ps", "logs", "stop", "start", "restart", "rm", "images", "pull", "build"]),
    (
        "Containers",
        &[
            "create", "init", "kill", "pause", "unpause", "wait", "attach", "debug", "cp", "diff", "export", "commit",
            "rename", "update", "inspect", "top", "stats", "port", "mount", "unmount", "events",
        ],
    ),
    ("Images", &["push", "tag", "untag", "rmi", "save", "load", "import", "history", "search", "login", "logout"]),
    ("Groups of commands", &[]),
    ("This machine", &["doctor", "info", "version", "unshare", "auto-update", "compose", "completion", "help"]),
];

/// Flags under their headings. Only `run` and `create` have so many that they need any.
pub(super) fn by_subject<'a>(path: &str, flags: Vec<&'a Arg>) -> Vec<(&'static str, Vec<&'a Arg>)> {
    let verb = path.rsplit(' ').next().unwrap_or(path);
    if !matches!(verb, "run" | "create") || flags.len() < 60 {
        return vec![("Options", flags)];
    }
    let mut subjects: Vec<(&str, Vec<&Arg>)> = SUBJECTS.iter().map(|(subject, _)| (*subject, Vec::new())).collect();
    let mut others = Vec::new();
    for flag in flags {
        let name = flag.get_long().unwrap_or_default();
        // The longest key that fits: `device-read-*` before `device*`, a whole name before all.
        let fit = |key: &str| match key.strip_suffix('*') {
            Some(begin) => name.starts_with(begin).then_some(begin.len()),
            None => (key == name).then_some(usize::MAX),
        };
        let best = |keys: &[&str]| keys.iter().filter_map(|key| fit(key)).max();
        let place = SUBJECTS.iter().enumerate().filter_map(|(place, (_, keys))| Some((best(keys)?, place))).max();
        match place {
            Some((_, place)) => subjects[place].1.push(flag),
            None => others.push(flag),
        }
    }
    subjects.push(("Other options", others));
    subjects.retain(|(_, flags)| !flags.is_empty());
    subjects
}

/// The examples of a command.
pub(super) fn examples(path: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> + '_ {
    let name = path.split_once(' ').map_or("", |(_, name)| name);
    let name = name.strip_prefix("container ").or(name.strip_prefix("image ")).unwrap_or(name);
    EXAMPLES.iter().filter(move |(line, _)| {
        !name.is_empty() && (*line == name || line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::normalise;
    use crate::{cli, globals};

    #[test]
    fn examples_are_command_lines_that_are_understood() {
        for (line, _) in EXAMPLES {
            let words: Vec<String> = line.replace('\'', "").split(' ').map(str::to_owned).collect();
            let verb =
                cli::verb(&words[0]).map(|verb| (verb, 1)).or_else(|| Some((cli::verb(&words[..2].join(" "))?, 2)));
            let (verb, own) = verb.unwrap_or_else(|| panic!("{line}"));
            let read = normalise(&verb.command(), &globals::command(), &words[own..], verb.order, &Default::default());
            assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
        }
    }
}
