//! Every key of containers.conf(5), and whether creel does what it says. docs/configuration.md is written from this.

/// One key.
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub is: Is,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    Honoured,
    /// And why not.
    Ignored(&'static str),
}

const fn yes(section: &'static str, name: &'static str) -> Key {
    Key { section, name, is: Is::Honoured }
}

const fn no(section: &'static str, name: &'static str, why: &'static str) -> Key {
    Key { section, name, is: Is::Ignored(why) }
}

const NO_CONMON: &str = "creel is its own monitor";
const NO_MACHINE: &str = "creel runs on this machine";
const NO_REMOTE: &str = "creel has no remote connections";
const NO_BACKEND: &str = "networks are creel's own";
const LATER: &str = "creel does not have it yet";

pub static KEYS: &[Key] = &[
    yes("containers", "annotations"),
    yes("containers", "apparmor_profile"),
    yes("containers", "base_hosts_file"),
    yes("containers", "cgroup_conf"),
    yes("containers", "cgroupns"),
    yes("containers", "cgroups"),
    yes("containers", "container_name_as_hostname"),
    yes("containers", "default_capabilities"),
    yes("containers", "default_sysctls"),
    yes("containers", "default_ulimits"),
    yes("containers", "devices"),
    yes("containers", "dns_options"),
    yes("containers", "dns_searches"),
    yes("containers", "dns_servers"),
    no("containers", "enable_labeling", "creel knows no SELinux"),
    yes("containers", "env"),
    yes("containers", "env_host"),
    no("containers", "host_containers_internal_ip", LATER),
    yes("containers", "http_proxy"),
    yes("containers", "init"),
    yes("containers", "init_path"),
    no("containers", "interface_name", LATER),
    yes("containers", "ipcns"),
    no("containers", "keyring", "a container has no session keyring of its own"),
    no("containers", "label", "creel knows no SELinux"),
    no("containers", "label_users", "creel knows no SELinux"),
    yes("containers", "log_driver"),
    yes("containers", "log_path"),
    yes("containers", "log_size_max"),
    yes("containers", "log_tag"),
    yes("containers", "mounts"),
    yes("containers", "netns"),
    yes("containers", "no_hosts"),
    yes("containers", "oom_score_adj"),
    yes("containers", "pidns"),
    yes("containers", "pids_limit"),
    no("containers", "prepare_volume_on_create", "a volume is filled when it is first mounted"),
    yes("containers", "privileged"),
    yes("containers", "read_only"),
    no("containers", "rootless_networking", "Podman has given it up for netns"),
    yes("containers", "seccomp_profile"),
    yes("containers", "shm_size"),
    yes("containers", "tz"),
    yes("containers", "umask"),
    yes("containers", "userns"),
    no("containers", "userns_size", "--userns=auto takes what the image needs"),
    yes("containers", "utsns"),
    yes("containers", "volumes"),
    no("engine", "active_service", NO_REMOTE),
    no("engine", "add_compression", LATER),
    yes("engine", "cdi_spec_dirs"),
    yes("engine", "cgroup_manager"),
    no("engine", "chown_copied_files", "cp has --archive"),
    no("engine", "compat_api_enforce_docker_hub", "creel has no service"),
    no("engine", "compose_providers", LATER),
    no("engine", "compose_warning_logs", LATER),
    yes("engine", "compression_format"),
    yes("engine", "compression_level"),
    no("engine", "conmon_env_vars", NO_CONMON),
    no("engine", "conmon_path", NO_CONMON),
    no("engine", "conmonrs_path", NO_CONMON),
    no("engine", "database_backend", "creel has no database"),
    yes("engine", "detach_keys"),
    no("engine", "enable_port_reservation", "ports are bound before the container starts"),
    yes("engine", "env"),
    no("engine", "events_container_create_inspect_data", LATER),
    yes("engine", "events_logfile_max_size"),
    yes("engine", "events_logfile_path"),
    yes("engine", "events_logger"),
    no("engine", "exit_command_delay", "creel has no exit command"),
    no("engine", "healthcheck_events", LATER),
    no("engine", "helper_binaries_dir", "programs are looked for in $PATH"),
    yes("engine", "hooks_dir"),
    yes("engine", "image_build_format"),
    yes("engine", "image_copy_tmp_dir"),
    yes("engine", "image_default_format"),
    no("engine", "image_default_transport", "a name without a transport is one in a registry"),
    no("engine", "image_parallel_copies", "three at a time"),
    yes("engine", "image_volume_mode"),
    no("engine", "infra_command", "a pod needs no infra container"),
    no("engine", "infra_image", "a pod needs no infra container"),
    yes("engine", "kube_generate_type"),
    no("engine", "lock_type", "locks are files"),
    no("engine", "machine_enabled", NO_MACHINE),
    yes("engine", "multi_image_archive"),
    no("engine", "namespace", "Podman has none of it left either"),
    no("engine", "network_cmd_options", LATER),
    yes("engine", "network_cmd_path"),
    no("engine", "no_pivot_root", "creel always pivots"),
    no("engine", "num_locks", "there is no end of locks"),
    yes("engine", "pod_exit_policy"),
    no("engine", "platform_to_oci_runtime", LATER),
    yes("engine", "pull_policy"),
    no("engine", "remote", NO_REMOTE),
    no("engine", "remote_identity", NO_REMOTE),
    no("engine", "remote_uri", NO_REMOTE),
    yes("engine", "retry"),
    yes("engine", "retry_delay"),
    no(
        "engine",
        "runtime",
        "creel's own runtime is the default, also where the file names another; --runtime takes one",
    ),
    no("engine", "runtime_supports_json", "creel does not look at a runtime's log"),
    no("engine", "runtime_supports_kvm", LATER),
    no("engine", "runtime_supports_nocgroups", LATER),
    yes("engine", "runtimes"),
    no("engine", "runtimes_flags", "--runtime-flag has them"),
    no("engine", "service_destinations", NO_REMOTE),
    no("engine", "service_timeout", "creel has no service"),
    no("engine", "set_default_volume", "Podman has none of it left either"),
    no("engine", "ssh_config", NO_REMOTE),
    no("engine", "static_dir", "the store has its own layout"),
    yes("engine", "stop_timeout"),
    no("engine", "tmp_dir", "the state of this boot is in the runroot"),
    yes("engine", "volume_path"),
    no("engine", "volume_plugin_timeout", "creel has no volume plugins"),
    no("engine", "volume_plugins", "creel has no volume plugins"),
    no("network", "cni_plugin_dirs", NO_BACKEND),
    no("network", "default_host_ips", LATER),
    no("network", "default_network", LATER),
    yes("network", "default_rootless_network_cmd"),
    no("network", "default_subnet", LATER),
    yes("network", "default_subnet_pools"),
    no("network", "dns_bind_port", LATER),
    no("network", "firewall_driver", NO_BACKEND),
    no("network", "netavark_plugin_dirs", NO_BACKEND),
    no("network", "network_backend", NO_BACKEND),
    no("network", "network_config_dir", LATER),
    no("network", "pasta_options", LATER),
    yes("secrets", "driver"),
    yes("secrets", "opts"),
    no("configmaps", "driver", LATER),
    no("configmaps", "opts", LATER),
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
                        let reads = [".text(", ".texts_of(", ".list(", ".integer(", ".boolean(", ".get("];
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
