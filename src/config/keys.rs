//! Every key of containers.conf(5), and whether creel does what it says. docs/configuration.md is written from this.

use super::shape::Shape;

/// One key.
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub is: Is,
    /// What its value looks like; keys without effect may be anything.
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    Honoured,
    /// And why not.
    Ignored(&'static str),
}

const fn yes(section: &'static str, name: &'static str, shape: Shape) -> Key {
    Key { section, name, is: Is::Honoured, shape }
}

const fn no(section: &'static str, name: &'static str, why: &'static str) -> Key {
    Key { section, name, is: Is::Ignored(why), shape: Shape::Any }
}

const NO_CONMON: &str = "creel is its own monitor";
const NO_MACHINE: &str = "creel runs on this machine";
const NO_REMOTE: &str = "creel has no remote connections";
const NO_BACKEND: &str = "networks are creel's own";

pub static KEYS: &[Key] = &[
    yes("containers", "annotations", Shape::Texts),
    yes("containers", "apparmor_profile", Shape::Text),
    yes("containers", "base_hosts_file", Shape::Text),
    yes("containers", "cgroup_conf", Shape::Texts),
    yes("containers", "cgroupns", Shape::Text),
    yes("containers", "cgroups", Shape::Text),
    yes("containers", "container_name_as_hostname", Shape::Switch),
    yes("containers", "default_capabilities", Shape::Texts),
    yes("containers", "default_sysctls", Shape::Texts),
    yes("containers", "default_ulimits", Shape::Texts),
    yes("containers", "devices", Shape::Texts),
    yes("containers", "dns_options", Shape::Texts),
    yes("containers", "dns_searches", Shape::Texts),
    yes("containers", "dns_servers", Shape::Texts),
    no("containers", "enable_labeling", "creel knows no SELinux"),
    yes("containers", "env", Shape::Texts),
    yes("containers", "env_host", Shape::Switch),
    yes("containers", "host_containers_internal_ip", Shape::Text),
    yes("containers", "http_proxy", Shape::Switch),
    yes("containers", "init", Shape::Switch),
    yes("containers", "init_path", Shape::Text),
    no(
        "containers",
        "interface_name",
        "an interface is called eth0, eth1, ... or what --network NET:interface_name= says",
    ),
    yes("containers", "ipcns", Shape::Text),
    no("containers", "keyring", "a container has no session keyring of its own"),
    no("containers", "label", "creel knows no SELinux"),
    no("containers", "label_users", "creel knows no SELinux"),
    yes("containers", "log_driver", Shape::Text),
    yes("containers", "log_path", Shape::Text),
    yes("containers", "log_size_max", Shape::LogSize),
    yes("containers", "log_tag", Shape::Text),
    yes("containers", "mounts", Shape::Texts),
    yes("containers", "netns", Shape::Text),
    yes("containers", "no_hosts", Shape::Switch),
    yes("containers", "oom_score_adj", Shape::Number),
    yes("containers", "pidns", Shape::Text),
    yes("containers", "pids_limit", Shape::Number),
    no("containers", "prepare_volume_on_create", "a volume is filled when it is first mounted"),
    yes("containers", "privileged", Shape::Switch),
    yes("containers", "read_only", Shape::Switch),
    no("containers", "rootless_networking", "Podman has given it up for netns"),
    yes("containers", "seccomp_profile", Shape::Text),
    yes("containers", "shm_size", Shape::Size),
    yes("containers", "tz", Shape::Text),
    yes("containers", "umask", Shape::Octal),
    yes("containers", "userns", Shape::Text),
    no("containers", "userns_size", "--userns=auto takes what the image needs"),
    yes("containers", "utsns", Shape::Text),
    yes("containers", "volumes", Shape::Texts),
    no("engine", "active_service", NO_REMOTE),
    yes("engine", "add_compression", Shape::Texts),
    yes("engine", "cdi_spec_dirs", Shape::Texts),
    yes("engine", "cgroup_manager", Shape::Text),
    no("engine", "chown_copied_files", "cp has --archive"),
    no("engine", "compat_api_enforce_docker_hub", "creel has no service"),
    yes("engine", "compose_providers", Shape::Texts),
    yes("engine", "compose_warning_logs", Shape::Switch),
    yes("engine", "compression_format", Shape::Text),
    yes("engine", "compression_level", Shape::Number),
    no("engine", "conmon_env_vars", NO_CONMON),
    no("engine", "conmon_path", NO_CONMON),
    no("engine", "conmonrs_path", NO_CONMON),
    no("engine", "database_backend", "creel has no database"),
    yes("engine", "debug_image", Shape::Text),
    yes("engine", "detach_keys", Shape::Text),
    no("engine", "enable_port_reservation", "ports are bound before the container starts"),
    yes("engine", "env", Shape::Texts),
    no("engine", "events_container_create_inspect_data", "inspect tells it while the container is there"),
    yes("engine", "events_logfile_max_size", Shape::SizeOrNumber),
    yes("engine", "events_logfile_path", Shape::Text),
    yes("engine", "events_logger", Shape::Text),
    no("engine", "exit_command_delay", "creel has no exit command"),
    yes("engine", "healthcheck_events", Shape::Switch),
    no(
        "engine",
        "helper_binaries_dir",
        "creel has no helpers; slirp4netns and pasta, where they are asked for, are looked for where packages put them",
    ),
    yes("engine", "hooks_dir", Shape::Texts),
    yes("engine", "image_build_format", Shape::Text),
    yes("engine", "image_copy_tmp_dir", Shape::Text),
    yes("engine", "image_default_format", Shape::Text),
    no("engine", "image_default_transport", "a name without a transport is one in a registry"),
    no("engine", "image_parallel_copies", "three at a time"),
    yes("engine", "image_volume_mode", Shape::OneOf(&["anonymous", "bind", "ignore", "nullfs", "tmpfs"])),
    no("engine", "infra_command", "the infra container is creel itself, which needs no command; --infra-command"),
    no("engine", "infra_image", "the infra container is creel itself, which needs no image; --infra-image"),
    yes("engine", "kube_generate_type", Shape::Text),
    no("engine", "lock_type", "locks are files"),
    no("engine", "machine_enabled", NO_MACHINE),
    yes("engine", "multi_image_archive", Shape::Switch),
    no("engine", "namespace", "Podman has none of it left either"),
    yes("engine", "network_cmd_options", Shape::Texts),
    yes("engine", "network_cmd_path", Shape::Text),
    no("engine", "no_pivot_root", "creel always pivots"),
    no("engine", "num_locks", "there is no end of locks"),
    yes("engine", "pod_exit_policy", Shape::Text),
    no("engine", "platform_to_oci_runtime", "--runtime takes one"),
    yes(
        "engine",
        "pull_policy",
        Shape::OneOf(&["always", "missing", "never", "newer", "ifnewer", "ifmissing", "ifnotpresent"]),
    ),
    no("engine", "remote", NO_REMOTE),
    no("engine", "remote_identity", NO_REMOTE),
    no("engine", "remote_uri", NO_REMOTE),
    yes("engine", "retry", Shape::Number),
    yes("engine", "retry_delay", Shape::Text),
    no(
        "engine",
        "runtime",
        "creel's own runtime is the default, also where the file names another; --runtime takes one",
    ),
    no("engine", "runtime_supports_json", "creel does not look at a runtime's log"),
    no("engine", "runtime_supports_kvm", "creel asks every runtime for the same"),
    no("engine", "runtime_supports_nocgroups", "creel asks every runtime for the same"),
    yes("engine", "runtimes", Shape::Lists),
    yes("engine", "runtimes_flags", Shape::Lists),
    no("engine", "service_destinations", NO_REMOTE),
    no("engine", "service_timeout", "creel has no service"),
    no("engine", "set_default_volume", "Podman has none of it left either"),
    no("engine", "ssh_config", NO_REMOTE),
    no("engine", "static_dir", "the store has its own layout"),
    yes("engine", "stop_timeout", Shape::Number),
    no("engine", "tmp_dir", "the state of this boot is in the runroot"),
    yes("engine", "volume_path", Shape::Text),
    no("engine", "volume_plugin_timeout", "creel has no volume plugins"),
    no("engine", "volume_plugins", "creel has no volume plugins"),
    no("network", "cni_plugin_dirs", NO_BACKEND),
    yes("network", "default_host_ips", Shape::Texts),
    yes("network", "default_network", Shape::Text),
    yes("network", "default_rootless_network_cmd", Shape::Text),
    yes("network", "default_subnet", Shape::Text),
    yes("network", "default_subnet_pools", Shape::Pools),
    no("network", "dns_bind_port", "the name server of a network is inside of it"),
    no("network", "firewall_driver", NO_BACKEND),
    no("network", "netavark_plugin_dirs", NO_BACKEND),
    no("network", "network_backend", NO_BACKEND),
    yes("network", "network_config_dir", Shape::Text),
    yes("network", "pasta_options", Shape::Texts),
    yes("secrets", "driver", Shape::Text),
    yes("secrets", "opts", Shape::TextMap),
    no("configmaps", "driver", "kube play keeps them in the store"),
    no("configmaps", "opts", "kube play keeps them in the store"),
    no("farms", "default", NO_REMOTE),
    no("farms", "list", NO_REMOTE),
    no("machine", "*", NO_MACHINE),
    no("podmansh", "*", "creel is no login shell"),
];

/// The key of that name; a section of which every key is the same has one line.
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.section == section && (key.name == name || key.name == "*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fmt::Write;
    use std::path::Path;

    /// `config.text("containers", "tz")` and its kin in the sources of the program.
    fn read_by_the_program() -> BTreeSet<(String, String)> {
        fn walk(dir: &Path, found: &mut BTreeSet<(String, String)>) {
            for entry in std::fs::read_dir(dir).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    walk(&path, found);
                } else if !path.ends_with("config/keys.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    // Up to the tests of the file, which may name what they like.
                    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                    let words: Vec<&str> = text.split('"').collect();
                    if text.contains("let or_config = ") {
                        let named = |key: &&Key| key.section == "containers" && words.contains(&key.name);
                        let named = KEYS.iter().filter(named).map(|key| (key.section.into(), key.name.into()));
                        found.extend(named);
                    }
                    for four in words.windows(4) {
                        let reads =
                            [".text(", ".texts_of(", ".list(", ".integer(", ".boolean(", ".get(", ".addresses("];
                        if reads.iter().any(|end| four[0].trim_end().ends_with(end)) && four[2].trim() == "," {
                            found.insert((four[1].to_owned(), four[3].to_owned()));
                        }
                    }
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found
    }

    #[test]
    fn what_is_called_honoured_is_read_and_the_other_way_round() {
        let read = read_by_the_program();
        let honoured: BTreeSet<(String, String)> = KEYS
            .iter()
            .filter(|key| key.is == Is::Honoured)
            .map(|key| (key.section.to_owned(), key.name.to_owned()))
            .collect();
        let missing: Vec<_> = honoured.difference(&read).collect();
        assert!(missing.is_empty(), "src/config/keys.rs calls honoured what nobody reads: {missing:?}");
        let unknown: Vec<_> = read.difference(&honoured).collect();
        assert!(unknown.is_empty(), "read, but not called honoured in src/config/keys.rs: {unknown:?}");
    }

    #[test]
    fn no_key_is_there_twice() {
        let names: BTreeSet<_> = KEYS.iter().map(|key| (key.section, key.name)).collect();
        assert_eq!(names.len(), KEYS.len());
    }

    fn document() -> String {
        let mut text = String::from(INTRODUCTION);
        for section in ["containers", "engine", "network", "secrets", "configmaps", "farms", "machine", "podmansh"] {
            let of = |wanted: bool| {
                KEYS.iter().filter(move |key| key.section == section && (key.is == Is::Honoured) == wanted)
            };
            let _ = writeln!(text, "\n### [{section}]\n");
            let honoured: Vec<String> = of(true).map(|key| format!("`{}`", key.name)).collect();
            if !honoured.is_empty() {
                let _ = writeln!(text, "Honoured: {}.\n", honoured.join(", "));
            }
            if of(false).next().is_some() {
                let _ = writeln!(text, "| not honoured | why |\n|---|---|");
            }
            for key in of(false) {
                if let Is::Ignored(why) = key.is {
                    let _ = writeln!(text, "| `{}` | {why} |", key.name);
                }
            }
        }
        text
    }

    const INTRODUCTION: &str = include_str!("introduction.md");

    /// `CREEL_WRITE_DOCS=1 cargo test` writes it anew.
    #[test]
    fn the_documentation_lists_every_key() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        if std::env::var_os("CREEL_WRITE_DOCS").is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == document(),
            "CREEL_WRITE_DOCS=1 writes {}",
            path.display()
        );
    }
}
