//! The table of commands: how each is called, what it accepts, and which of Podman's are not there.

use clap::{ArgMatches, Command, FromArgMatches as _};

use crate::arguments::{self, Order, Tolerance};
use crate::commands;
use crate::context::Context;
use crate::error::{ExitCode, Failure};

/// One command and all the ways to call it.
#[derive(Clone, Copy)]
pub struct Verb {
    /// The first is the one that help shows.
    pub names: &'static [&'static str],
    arguments: fn(Command) -> Command,
    pub run: fn(&Context, &ArgMatches) -> Result<ExitCode, Failure>,
    pub order: Order,
    pub tolerance: Tolerance,
    /// Not in the list of commands.
    pub hidden: bool,
}

impl Verb {
    /// Its flags and arguments, as clap knows them.
    pub fn command(&self) -> Command {
        let bare = Command::new(self.names[0])
            .bin_name(format!("creel {}", self.names[0]))
            .disable_help_flag(true)
            .disable_version_flag(true)
            .no_binary_name(true);
        (self.arguments)(bare)
    }
}

const PLAIN: Verb = Verb {
    names: &[],
    arguments: |command| command,
    run: |_, _| Ok(ExitCode::Success),
    order: Order::Mixed,
    tolerance: Tolerance { not_yet: &[], no_op: &[], obsolete: &[] },
    hidden: false,
};

macro_rules! verb {
    ($($module:ident)::+, [$($name:literal),+] $(, $field:ident: $value:expr)* $(,)?) => {
        Verb {
            names: &[$($name),+],
            arguments: |command| <commands::$($module)::+::Args as clap::Args>::augment_args(command),
            run: |context, matches| {
                let args = commands::$($module)::+::Args::from_arg_matches(matches)
                    .map_err(|error| Failure::plain(error.to_string()))?;
                commands::$($module)::+::run(context, args)
            },
            $($field: $value,)*
            ..PLAIN
        }
    };
}

const CREATE_TOLERANCE: Tolerance = Tolerance {
    not_yet: &[
        "rdt-class",
        "cpu-count",
        "cpu-percent",
        "io-maxbandwidth",
        "io-maxiops",
        "isolation",
        "link",
        "link-local-ip",
        "storage-opt",
        "use-api-socket",
        "volume-driver",
    ],
    no_op: &["disable-content-trust"],
    obsolete: &["cpu-rt-period", "cpu-rt-runtime", "kernel-memory", "memory-swappiness", "oom-kill-disable"],
};

const BUILD_TOLERANCE: Tolerance = Tolerance {
    not_yet: &[
        "cw",
        "hooks-dir",
        "runtime-flag",
        "sbom",
        "sbom-image-output",
        "sbom-image-purl-output",
        "sbom-merge-strategy",
        "sbom-output",
        "sbom-purl-output",
        "sbom-scanner-command",
        "sbom-scanner-image",
        "sign-by",
        "userns-gid-map",
        "userns-gid-map-group",
        "userns-uid-map",
        "userns-uid-map-user",
    ],
    no_op: &["compress", "disable-compression", "disable-content-trust", "load"],
    obsolete: &[],
};

const PULL_TOLERANCE: Tolerance =
    Tolerance { not_yet: &["tls-details"], no_op: &["disable-content-trust"], obsolete: &[] };

const PUSH_TOLERANCE: Tolerance = Tolerance { not_yet: &[], no_op: &["disable-content-trust"], obsolete: &[] };

const MANIFEST_ARTIFACTS: &[&str] = &[
    "artifact",
    "artifact-config",
    "artifact-config-type",
    "artifact-exclude-titles",
    "artifact-layer-type",
    "artifact-subject",
    "artifact-type",
];

/// Every command that creel has.
pub static VERBS: &[Verb] = &[
    verb!(artifact::add, ["artifact add"]),
    verb!(artifact::extract, ["artifact extract"]),
    verb!(artifact::inspect, ["artifact inspect"]),
    verb!(artifact::ls, ["artifact ls"]),
    verb!(artifact::pull, ["artifact pull"]),
    verb!(artifact::push, ["artifact push"]),
    verb!(artifact::rm, ["artifact rm"]),
    verb!(attach, ["attach", "container attach"]),
    verb!(auto_update, ["auto-update"]),
    verb!(build, ["build", "image build", "builder build", "buildx build"], tolerance: BUILD_TOLERANCE),
    verb!(commit, ["commit", "container commit"]),
    verb!(compose, ["compose"], order: Order::Verbatim),
    verb!(container_cleanup, ["container cleanup"]),
    verb!(container_clone, ["container clone"],
        tolerance: Tolerance { obsolete: &["cpu-rt-period", "cpu-rt-runtime", "memory-swappiness"], ..PLAIN.tolerance }),
    verb!(container_exists, ["container exists"]),
    verb!(container_prune, ["container prune"]),
    verb!(container_runlabel, ["container runlabel"]),
    verb!(cp, ["cp", "container cp"], tolerance: Tolerance { no_op: &["extract", "pause"], ..PLAIN.tolerance }),
    verb!(create, ["create", "container create"], order: Order::FlagsFirst, tolerance: CREATE_TOLERANCE),
    verb!(debug, ["debug", "container debug"], order: Order::FlagsFirst),
    verb!(diff, ["diff", "container diff"]),
    verb!(events, ["events", "system events"]),
    verb!(doctor, ["doctor"]),
    verb!(exec, ["exec", "container exec"], order: Order::FlagsFirst,
        tolerance: Tolerance { not_yet: &[], no_op: &["no-session"], obsolete: &[] }),
    verb!(export, ["export", "container export"]),
    verb!(healthcheck_run, ["healthcheck run"]),
    verb!(history, ["history", "image history"]),
    verb!(image_diff, ["image diff"]),
    verb!(image_exists, ["image exists"]),
    verb!(image_inspect, ["image inspect"]),
    verb!(image_mount, ["image mount"]),
    verb!(buildx::inspect, ["buildx inspect", "builder inspect"]),
    verb!(buildx::version, ["buildx version", "builder version"]),
    verb!(image_prune, ["image prune", "builder prune", "buildx prune"]),
    verb!(image_scp, ["image scp"]),
    verb!(image_sign, ["image sign"]),
    verb!(image_tree, ["image tree"]),
    verb!(image_trust, ["image trust"]),
    verb!(image_unmount, ["image unmount"]),
    verb!(images, ["images", "image list"]),
    verb!(import, ["import", "image import"]),
    verb!(info, ["info", "system info"]),
    verb!(init, ["init", "container init"]),
    verb!(inspect, ["inspect"]),
    verb!(inspect::container, ["container inspect"]),
    verb!(generate_systemd, ["generate systemd"]),
    verb!(kill, ["kill", "container kill"]),
    verb!(kube::apply, ["kube apply"]),
    verb!(kube::annotate, ["kube annotate"]),
    verb!(kube::cp, ["kube cp"]),
    verb!(kube::debug, ["kube debug"]),
    verb!(kube::delete, ["kube delete"]),
    verb!(kube::describe, ["kube describe"]),
    verb!(kube::down, ["kube down"]),
    verb!(kube::events, ["kube events"]),
    verb!(kube::exec, ["kube exec"]),
    verb!(kube::explain, ["kube explain"]),
    verb!(kube::expose, ["kube expose"]),
    verb!(kube::get, ["kube get"]),
    verb!(kube::label, ["kube label"]),
    verb!(kube::logs, ["kube logs"]),
    verb!(kube::play, ["kube play", "play kube"]),
    verb!(kube::port_forward, ["kube port-forward"]),
    verb!(kube::ps, ["kube ps"]),
    verb!(kube::resume, ["kube resume"]),
    verb!(kube::rollout, ["kube rollout"]),
    verb!(kube::run, ["kube run"]),
    verb!(kube::scale, ["kube scale"]),
    verb!(kube::set, ["kube set"]),
    verb!(kube::top, ["kube top"]),
    verb!(kube::wait, ["kube wait"]),
    verb!(kube_generate, ["kube generate", "generate kube"],
        tolerance: Tolerance { no_op: &["no-trunc"], ..PLAIN.tolerance }),
    verb!(load, ["load", "image load"]),
    verb!(login, ["login"]),
    verb!(logout, ["logout"]),
    verb!(logs, ["logs", "container logs"]),
    verb!(manifest::add, ["manifest add"], tolerance: Tolerance { not_yet: MANIFEST_ARTIFACTS, ..PLAIN.tolerance }),
    verb!(manifest::annotate, ["manifest annotate"]),
    verb!(manifest::create, ["manifest create"]),
    verb!(manifest::exists, ["manifest exists"]),
    verb!(manifest::inspect, ["manifest inspect"]),
    verb!(manifest::push, ["manifest push"]),
    verb!(manifest::remove, ["manifest remove"]),
    verb!(manifest::rm, ["manifest rm"]),
    verb!(network::connect, ["network connect"]),
    verb!(network::create, ["network create"]),
    verb!(network::disconnect, ["network disconnect"]),
    verb!(network::exists, ["network exists"]),
    verb!(network::inspect, ["network inspect"]),
    verb!(network::ls, ["network ls"]),
    verb!(network::prune, ["network prune"]),
    verb!(network::reload, ["network reload"]),
    verb!(network::rm, ["network rm"]),
    verb!(network::update, ["network update"]),
    verb!(mount, ["mount", "container mount"]),
    verb!(pause, ["pause", "container pause"]),
    verb!(pod::clone, ["pod clone"]),
    verb!(pod::create, ["pod create"]),
    verb!(pod::exists, ["pod exists"]),
    verb!(pod::inspect, ["pod inspect"]),
    verb!(pod::kill, ["pod kill"]),
    verb!(pod::logs, ["pod logs"]),
    verb!(pod::pause, ["pod pause"]),
    verb!(pod::prune, ["pod prune"]),
    verb!(pod::ps, ["pod ps"]),
    verb!(pod::restart, ["pod restart"]),
    verb!(pod::rm, ["pod rm"]),
    verb!(pod::start, ["pod start"]),
    verb!(pod::stats, ["pod stats"]),
    verb!(pod::stop, ["pod stop"]),
    verb!(pod::top, ["pod top"], order: Order::FlagsFirst),
    verb!(pod::unpause, ["pod unpause"]),
    verb!(pod::update, ["pod update"]),
    verb!(port, ["port", "container port"]),
    verb!(ps, ["ps", "container ps", "container list"]),
    verb!(pull, ["pull", "image pull"], tolerance: PULL_TOLERANCE),
    verb!(push, ["push", "image push"], tolerance: PUSH_TOLERANCE),
    verb!(rename, ["rename", "container rename"]),
    verb!(restart, ["restart", "container restart"]),
    verb!(rm, ["rm", "container rm"]),
    verb!(rmi, ["rmi", "image rm"]),
    verb!(run, ["run", "container run"], order: Order::FlagsFirst, tolerance: CREATE_TOLERANCE),
    verb!(save, ["save", "image save"]),
    verb!(quadlet::check, ["quadlet check"]),
    verb!(quadlet::install, ["quadlet install"]),
    verb!(quadlet::list, ["quadlet list"]),
    verb!(quadlet::print, ["quadlet print"]),
    verb!(quadlet::rm, ["quadlet rm"]),
    verb!(secret::create, ["secret create"]),
    verb!(secret::exists, ["secret exists"]),
    verb!(secret::inspect, ["secret inspect"]),
    verb!(secret::ls, ["secret ls"]),
    verb!(secret::rm, ["secret rm"]),
    verb!(secret::update, ["secret update"]),
    verb!(search, ["search", "image search"]),
    verb!(start, ["start", "container start"]),
    verb!(stats, ["stats", "container stats"]),
    verb!(stop, ["stop", "container stop"]),
    verb!(system_check, ["system check"]),
    verb!(system_df, ["system df"]),
    verb!(system_migrate, ["system migrate"], hidden: true),
    verb!(system_migrate, ["system renumber"], hidden: true),
    verb!(system_prune, ["system prune"]),
    verb!(system_reset, ["system reset"]),
    verb!(system_service, ["system service"]),
    verb!(tag, ["tag", "image tag"]),
    verb!(top, ["top", "container top"], order: Order::FlagsFirst),
    verb!(unmount, ["unmount", "container unmount"]),
    verb!(unpause, ["unpause", "container unpause"]),
    verb!(unshare, ["unshare"], order: Order::FlagsFirst),
    verb!(untag, ["untag", "image untag"]),
    verb!(update, ["update", "container update"],
        tolerance: Tolerance { obsolete: &["cpu-rt-period", "cpu-rt-runtime", "memory-swappiness"], ..PLAIN.tolerance }),
    verb!(version, ["version"]),
    verb!(volume::create, ["volume create"]),
    verb!(volume::exists, ["volume exists"]),
    verb!(volume::export, ["volume export"]),
    verb!(volume::import, ["volume import"]),
    verb!(volume::inspect, ["volume inspect"]),
    verb!(volume::ls, ["volume ls"]),
    verb!(volume::mount, ["volume mount"]),
    verb!(volume::prune, ["volume prune"]),
    verb!(volume::reload, ["volume reload"]),
    verb!(volume::rm, ["volume rm"]),
    verb!(volume::unmount, ["volume unmount"]),
    verb!(wait, ["wait", "container wait"]),
    verb!(completion, ["completion"]),
    verb!(man, ["man"]),
];

/// Podman's commands that need real root, with what Podman says to everybody else.
const ROOTS_OWN: &[(&str, &str)] = &[
    ("container checkpoint", "checkpointing a container requires root"),
    ("container restore", "restoring a container requires root"),
];

/// Commands of Podman and Docker that creel will not have, and why.
const NEVER: &[(&str, &str)] = &[
    ("context", "it works on this machine, without a server to choose"),
    (
        "generate spec",
        "it is the input of Podman's own API, which creel does not speak; generate kube writes a manifest",
    ),
    ("farm", "it builds on this machine only"),
    ("machine", "it runs on this machine, without a virtual one"),
    ("system connection", "it has no remote connections; run it on the other machine, over ssh"),
    ("system locks", "its locks belong to open files and go with whoever holds them"),
];

/// Groups of commands, with what they are about.
pub const GROUPS: &[(&str, &str)] = &[
    ("artifact", "Manage OCI artifacts"),
    ("container", "Manage containers"),
    ("generate", "Generate structured data based on containers, pods or volumes"),
    ("healthcheck", "Manage health checks on containers"),
    ("image", "Manage images"),
    ("kube", "Play containers, pods or volumes from a structured file"),
    ("manifest", "Manipulate manifest lists and image indexes"),
    ("network", "Manage networks"),
    ("pod", "Manage pods"),
    ("quadlet", "Manage Quadlets"),
    ("secret", "Manage secrets"),
    ("system", "Manage creel"),
    ("volume", "Manage volumes"),
];

/// Groups that are not in the list of commands: what is in them is in others, too.
const SECOND_GROUPS: &[(&str, &str)] = &[
    ("builder", "Manage builds"),
    ("buildx", "Build images"),
    ("play", "Play containers, pods or volumes from a structured file"),
];

/// Names with their other spellings, as help shows them.
const ALIASES: &[(&str, &[&str])] = &[
    ("artifact ls", &["list"]),
    ("artifact rm", &["remove"]),
    ("container list", &["ls"]),
    ("container unmount", &["umount"]),
    ("image list", &["ls"]),
    ("image unmount", &["umount"]),
    ("network ls", &["list"]),
    ("network rm", &["remove"]),
    ("pod ps", &["ls", "list"]),
    ("quadlet print", &["cat"]),
    ("secret ls", &["list"]),
    ("unmount", &["umount"]),
    ("volume ls", &["list"]),
    ("volume rm", &["remove"]),
];

/// Those that help does not show: Podman does not have them.
const UNLISTED_ALIASES: &[(&str, &[&str])] = &[("image rm", &["remove"]), ("volume unmount", &["umount"])];

/// The other spellings of a command's last word.
pub fn aliases(name: &str) -> &'static [&'static str] {
    ALIASES.iter().find(|(known, _)| *known == name).map_or(&[], |(_, aliases)| aliases)
}

/// The name whose other spelling this is.
fn aliased(name: &str) -> Option<&'static str> {
    let (group, word) = name.rsplit_once(' ').unwrap_or(("", name));
    let of = |known: &str| known.rsplit_once(' ').map_or("", |(group, _)| group) == group;
    let mut all = ALIASES.iter().chain(UNLISTED_ALIASES);
    all.find(|(known, aliases)| of(known) && aliases.contains(&word)).map(|(known, _)| *known)
}

/// Spellings that mean another name of the table.
pub fn canonical(name: &str) -> String {
    aliased(name).unwrap_or(name).to_owned()
}

/// The command of that name, in any spelling.
pub fn verb(name: &str) -> Option<&'static Verb> {
    let name = canonical(name);
    VERBS.iter().find(|verb| verb.names.contains(&name.as_str()))
}

pub fn is_group(word: &str) -> bool {
    about_group(word).is_some()
}

/// What the group of that name is about.
pub fn about_group(word: &str) -> Option<&'static str> {
    GROUPS.iter().chain(SECOND_GROUPS).find(|(group, _)| *group == word).map(|(_, about)| *about)
}

/// The names that can stand first, or after a group's name, with what they are about.
pub fn command_names(group: Option<&str>) -> Vec<(String, String)> {
    let about = |verb: &Verb| verb.command().get_about().map(ToString::to_string).unwrap_or_default();
    let mut names = Vec::new();
    for verb in VERBS.iter().filter(|verb| !verb.hidden) {
        for name in verb.names {
            match (name.split_once(' '), group) {
                (Some((of, name)), Some(group)) if of == group => names.push((name.to_owned(), about(verb))),
                (None, None) => names.push(((*name).to_owned(), about(verb))),
                _ => {}
            }
        }
    }
    if group.is_none() {
        names.extend(GROUPS.iter().map(|&(name, about)| (name.into(), about.into())));
        names.push(("help".into(), "Show help of a command".into()));
    }
    names.sort();
    names
}

/// Why there is no command of that name, with what may have been meant.
pub fn unknown(program: &str, name: &str) -> Failure {
    if let Some((_, why)) = ROOTS_OWN.iter().find(|(roots, _)| *roots == name) {
        return Failure::plain(*why);
    }
    if let Some((_, why)) = NEVER.iter().find(|(never, _)| *never == name) {
        return Failure::plain(format!("creel has no \"{name}\": {why}"));
    }
    let (group, word) = name.split_once(' ').unwrap_or(("", name));
    let mut similar: Vec<&str> = VERBS
        .iter()
        .filter(|verb| !verb.hidden)
        .flat_map(|verb| verb.names)
        .filter_map(|known| match known.split_once(' ') {
            Some((known_group, known)) if known_group == group => Some(known),
            None if group.is_empty() => Some(*known),
            _ => None,
        })
        .chain(GROUPS.iter().filter(|_| group.is_empty()).map(|(group, _)| *group))
        // In a group every short name would be near.
        .filter(|known| {
            let near = group.is_empty() || word.len() > 3;
            near && arguments::distance(word, known) <= 2 || known.starts_with(word)
        })
        .collect();
    similar.sort_unstable();
    similar.dedup();
    let full = if group.is_empty() { program.to_owned() } else { format!("{program} {group}") };
    let mut text = format!("unrecognized command `{full} {word}`\n");
    if !similar.is_empty() {
        text.push_str("\nDid you mean this?\n");
        for known in &similar {
            text.push_str(&format!("\t{known}\n"));
        }
        text.push('\n');
    }
    text.push_str(&format!("Try '{full} --help' for more information"));
    Failure::plain(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_in_two_places() {
        let mut names: Vec<&str> = VERBS.iter().flat_map(|verb| verb.names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn unknown_commands_get_a_suggestion() {
        let text = unknown("creel", "runn").to_string();
        assert!(text.starts_with("unrecognized command `creel runn`\n\nDid you mean this?\n\trun\n"), "{text}");
        assert!(
            unknown("creel", "container zzzz")
                .to_string()
                .ends_with("Try 'creel container --help' for more information")
        );
    }

    #[test]
    fn commands_that_never_come_say_why() {
        assert!(
            unknown("creel", "machine").to_string().starts_with("creel has no \"machine\": it runs on this machine")
        );
    }

    #[test]
    fn flags_have_no_two_meanings() {
        for verb in VERBS {
            verb.command().debug_assert();
            let command = verb.command();
            for name in verb.tolerance.not_yet.iter().chain(verb.tolerance.no_op).chain(verb.tolerance.obsolete) {
                assert!(command.get_arguments().all(|arg| arg.get_long() != Some(name)), "{}: --{name}", verb.names[0]);
            }
        }
    }

    #[test]
    fn every_group_has_members() {
        for (group, _) in GROUPS {
            assert!(!command_names(Some(group)).is_empty(), "{group}");
        }
    }
}
