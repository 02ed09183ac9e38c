//! What was typed after `run` and `create`, and what it means: [`CreateArgs`] becomes a [`ContainerSpec`].
//!
//! The translation opens no file and asks the kernel nothing beyond what [`Surroundings`] hands it, so it can be tested
//! as a table. Messages for wrong values are Podman's, for scripts that look at them.

mod devices;
pub mod environment;
mod flags;
pub mod health;
mod id_maps;
mod labels;
pub mod life;
mod logging;
mod mounts;
mod namespaces;
mod network;
pub mod resources;
mod secrets;
mod security;

use std::io;
use std::path::{Path, PathBuf};

use containers::{ContainerSpec, IpcMode, PasswdMode, Remove};

use crate::config::Config;
use crate::error::Failure;
use crate::format::human;
use crate::signal;

pub use environment::{add as add_variable, environment, from_file as variables_from_file, merge as merge_variables};
pub use flags::{CreateArgs, HealthFlags, LimitFlags};
pub use id_maps::{OwnIds, looks_at_own_ids};
pub use logging::{log, unit_has_a_journal};
pub use namespaces::{join_reference, user as user_namespace};
pub use network::publish;

/// What the translation may look at besides the arguments.
pub struct Surroundings<'a> {
    pub config: &'a Config,
    /// The caller's variables.
    pub env: Vec<(String, String)>,
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Whether something is there; for sources of mounts and devices.
    pub exists: &'a dyn Fn(&Path) -> io::Result<()>,
    pub cwd: PathBuf,
    /// The names in a directory, sorted; none where it cannot be read.
    pub list: &'a dyn Fn(&Path) -> Vec<String>,
    /// The ids of the user namespace we are in.
    pub own_ids: &'a dyn Fn() -> io::Result<OwnIds>,
}

/// The specification, all but its source: the image is found later.
pub fn spec(args: &CreateArgs, around: &Surroundings<'_>) -> Result<ContainerSpec, Failure> {
    let config = around.config;
    conflicts(args)?;
    let mut spec = ContainerSpec {
        command: args.words.get(1..).unwrap_or_default().to_vec(),
        entrypoint: args.entrypoint.as_deref().map(life::entrypoint),
        unset_env: args.unsetenv.clone(),
        unset_env_all: args.unsetenv_all,
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        group_add: args.group_add.clone(),
        hostname: args.hostname.clone().filter(|name| !name.is_empty()).or_else(|| named_host(args, config)),
        no_hostname: args.no_hostname,
        domainname: args.domainname.clone(),
        tty: args.tty,
        stdin: args.interactive,
        labels: labels::labels(args, around)?,
        annotations: labels::annotations(&args.annotation, config)?,
        stop_timeout: args
            .stop_timeout
            .or_else(|| config.integer("engine", "stop_timeout").and_then(|seconds| u32::try_from(seconds).ok())),
        timeout: args.timeout.filter(|seconds| *seconds > 0),
        restart: args
            .restart
            .as_deref()
            .map(|policy| life::restart(policy, Some("running container create option")))
            .transpose()?
            .unwrap_or_default(),
        remove: if args.rm { Remove::Container } else { Remove::Nothing },
        log: logging::log(args, config)?,
        network: network::network(args, config, &around.cwd)?,
        namespaces: namespaces::namespaces(args, around)?,
        security: security::security(args, config)?,
        resources: resources::resources(args, config)?,
        mounts: mounts::mounts(args, around)?,
        volumes_from: args.volumes_from.iter().map(|text| mounts::volumes_from(text)).collect::<Result<_, _>>()?,
        image_volumes: mounts::image_volumes(
            args.image_volume.as_deref().or(config.text("engine", "image_volume_mode")),
        )?,
        devices: devices::devices(args, around)?,
        cdi_devices: devices::by_name(args, around),
        device_cgroup_rules: devices::rules(&args.device_cgroup_rule)?,
        ulimits: resources::ulimits(&args.ulimit, config)?,
        sysctls: security::sysctls(args, config)?,
        oom_score_adj: args
            .oom_score_adj
            .or_else(|| config.integer("containers", "oom_score_adj").and_then(|value| i32::try_from(value).ok())),
        umask: life::umask(args.umask.as_deref().or(config.text("containers", "umask")))?,
        timezone: args
            .tz
            .clone()
            .or_else(|| config.text("containers", "tz").map(str::to_owned))
            .filter(|zone| !zone.is_empty()),
        init: args.init || config.boolean("containers", "init").unwrap_or(false),
        init_path: args.init_path.clone().or_else(|| config.text("containers", "init_path").map(PathBuf::from)),
        systemd: life::systemd(args.systemd.as_deref())?,
        sdnotify: life::sdnotify(args.sdnotify.as_deref())?,
        health: health::health(&args.health)?,
        no_healthcheck: args.health.no_healthcheck || args.health.health_cmd.as_deref() == Some("none"),
        secrets: args.secret.iter().map(|text| secrets::secret(text)).collect::<Result<_, _>>()?,
        passwd: PasswdMode::Add,
        passwd_entry: args.passwd_entry.clone(),
        group_entry: args.group_entry.clone(),
        host_users: args.hostuser.clone(),
        requires: args.requires.clone(),
        cidfile: args.cidfile.as_ref().map(|path| around.cwd.join(path)),
        pidfile: args.pidfile.as_ref().map(|path| around.cwd.join(path)),
        monitor_pidfile: args.conmon_pidfile.as_ref().map(|path| around.cwd.join(path)),
        personality: args.personality.as_deref().filter(|text| !text.is_empty()).map(life::personality).transpose()?,
        chroot_dirs: args.chrootdirs.clone(),
        ..ContainerSpec::default()
    };
    // The monitor is elsewhere.
    spec.log.path = spec.log.path.map(|path| around.cwd.join(path));
    if let Some(score) = spec.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        return Err(Failure::plain(format!("invalid value {score} for --oom-score-adj: it is between -1000 and 1000")));
    }
    if let Some(path) = spec.init_path.as_ref().filter(|_| spec.init) {
        (around.exists)(path).map_err(|error| {
            crate::error::on_path("faccessat", path)(error).context("container-init binary not found on the host")
        })?;
    }
    if let Some(text) = args.stop_signal.as_deref().filter(|text| !text.is_empty()) {
        spec.stop_signal = Some(signal::parse(text)?);
    }
    spec.shm_size_systemd =
        resources::shm_size("shm-size-systemd", args.shm_size_systemd.as_deref())?.filter(|bytes| *bytes > 0);
    spec.shm_size = match resources::shm_size("shm-size", args.shm_size.as_deref())? {
        Some(_) if !has_own_shm(&spec.namespaces.ipc) => {
            // The braces and the space are Podman's.
            return Err(Failure::plain(format!(
                "invalid config provided: cannot set shmsize when running in the {{{} }} IPC Namespace",
                args.ipc.as_deref().unwrap_or("host")
            )));
        }
        typed @ Some(_) => typed,
        // The file's shape was checked; its units are of 1000, as Podman reads them.
        None => config
            .text("containers", "shm_size")
            .and_then(|text| human::parse_decimal_size(text).ok())
            .map(i64::unsigned_abs),
    };
    let (env, proxies) = environment(args, around)?;
    spec.env = env;
    spec.proxy_env = proxies;
    if let Some(hostname) = &spec.hostname
        && spec.namespaces.uts == containers::NamespaceMode::Host
        && !hostname.is_empty()
    {
        return Err(Failure::plain(
            "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration",
        ));
    }
    Ok(spec)
}

/// `container_name_as_hostname`: the name, without what no hostname may have.
fn named_host(args: &CreateArgs, config: &Config) -> Option<String> {
    let wanted = config.boolean("containers", "container_name_as_hostname").unwrap_or(false);
    let name = args.name.as_ref().filter(|_| wanted && args.uts.as_deref() != Some("host"))?;
    let clean: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).collect();
    Some(clean).filter(|name| !name.is_empty())
}

/// Whether /dev/shm is the container's own, so that it can have a size.
fn has_own_shm(ipc: &IpcMode) -> bool {
    match ipc {
        IpcMode::Shareable | IpcMode::Private | IpcMode::None | IpcMode::Path(_) => true,
        IpcMode::Host | IpcMode::Container(_) => false,
    }
}

/// Flags that exclude each other.
fn conflicts(args: &CreateArgs) -> Result<(), Failure> {
    if args.group_add.len() > 1 && args.group_add.iter().any(|group| group == "keep-groups") {
        return Err(Failure::plain(
            "the '--group-add keep-groups' option is not allowed with any other --group-add options",
        ));
    }
    let policy = args.restart.as_deref().unwrap_or_default();
    if args.rm && !matches!(policy, "" | "no" | "never" | "on-failure") {
        return Err(Failure::plain(
            "the --rm option conflicts with --restart, when the restartPolicy is not \"\" and \"no\"",
        ));
    }
    if args.replace && args.name.as_deref().unwrap_or_default().is_empty() {
        return Err(Failure::plain("cannot replace container without --name being set"));
    }
    let together = [
        (args.no_hosts && !args.add_host.is_empty(), "--no-hosts and --add-host cannot be set together"),
        (args.no_hosts && args.hosts_file.is_some(), "--no-hosts and --hosts-file cannot be set together"),
        (
            args.userns.is_some() && id_maps::is_private(args),
            "--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive",
        ),
        (
            args.limits.cpus.is_some() && args.limits.cpu_quota.is_some(),
            "--cpu-quota and --cpus cannot be set together",
        ),
        (
            args.limits.cpus.is_some() && args.limits.cpu_period.is_some(),
            "--cpu-period and --cpus cannot be set together",
        ),
        (
            args.health.no_healthcheck && args.health.health_cmd.is_some(),
            "cannot specify both --no-healthcheck and --health-cmd",
        ),
        (
            args.platform.is_some() && (args.arch.is_some() || args.os.is_some()),
            "--platform option can not be specified with --arch or --os",
        ),
    ];
    match together.iter().find(|(both, _)| *both) {
        Some((_, text)) => Err(Failure::plain(*text)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::arguments::{Order, Tolerance, normalise};

    /// Parses a command line and translates it, with a caller's environment and files made up for tests.
    pub(super) fn translate(line: &[&str]) -> Result<ContainerSpec, String> {
        translate_with(line, "")
    }

    pub(super) fn translate_with(line: &[&str], config: &str) -> Result<ContainerSpec, String> {
        let command = CreateArgs::augment_args(Command::new("create").no_binary_name(true).disable_help_flag(true));
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let globals = Command::new("creel");
        let read = normalise(&command, &globals, &words, Order::FlagsFirst, &Tolerance::default())
            .map_err(|failure| failure.to_string())?;
        let matches = command.try_get_matches_from(read.own).map_err(|error| error.to_string())?;
        let args = CreateArgs::from_arg_matches(&matches).map_err(|error| error.to_string())?;
        let around = Surroundings {
            config: &Config::from_text(config),
            env: [("HOME", "/home/me"), ("PRE_A", "1"), ("PRE_B", "2"), ("http_proxy", "http://p:1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            read: &|path| match path.to_str() {
                Some("/vars") => Ok("# comment\nA=file\n\nHOME\nC=a b # c\n".into()),
                Some("/etc/subuid" | "/etc/subgid") => Ok("me:100000:65536\n".into()),
                Some("/labels") => Ok("x=y\n# no\nz\n".into()),
                _ => Err(io::Error::from_raw_os_error(2)),
            },
            exists: &|path| match path.to_str() {
                Some("/tmp" | "/dev/null" | "/work" | "/work/dir") => Ok(()),
                _ => Err(io::Error::from_raw_os_error(2)),
            },
            cwd: "/work".into(),
            list: &|path| match path.to_str() {
                Some("/glob") => ["a.txt", "b.txt", "c"].map(str::to_owned).to_vec(),
                _ => Vec::new(),
            },
            own_ids: &|| {
                let map = |container, host, size| containers::IdMap { container, host, size };
                let ids = || vec![map(0, 1001, 1), map(1, 100_000, 65_536)];
                Ok(OwnIds { uids: ids(), gids: ids() })
            },
        };
        spec(&args, &around).map_err(|failure| failure.to_string())
    }

    #[test]
    fn words_after_the_image_are_the_command() {
        let spec = translate(&["-it", "--rm", "img", "ls", "-l"]).unwrap();
        assert_eq!(spec.command, ["ls", "-l"]);
        assert!(spec.tty && spec.stdin);
        assert_eq!(spec.remove, Remove::Container);
    }

    #[test]
    fn wrong_values_are_refused_in_podmans_words() {
        let table: &[(&[&str], &str)] = &[
            (
                &["--restart", "foo"],
                "running container create option: \"foo\" is not a valid restart policy: invalid argument",
            ),
            (&["--restart", "always:3"], "restart policy retries can only be specified with on-failure restart policy"),
            (
                &["--restart", "on-failure:x"],
                "parsing restart policy retry count: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (&["--restart", "on-failure:-1"], "must specify restart policy retry count as a number greater than 0"),
            (
                &["--rm", "--restart", "always"],
                "the --rm option conflicts with --restart, when the restartPolicy is not \"\" and \"no\"",
            ),
            (&["--replace"], "cannot replace container without --name being set"),
            (&["--cpus", "1", "--cpu-quota", "10"], "--cpu-quota and --cpus cannot be set together"),
            (&["--shm-size", "foo"], "unable to translate --shm-size: invalid size: 'foo'"),
            (&["--add-host", "foo"], "bad format for add-host: \"foo\""),
            (&["--add-host", "a:b"], "invalid IP address in add-host: \"b\""),
            (&["--add-host", ":1.1.1.1"], "bad format for add-host: \":1.1.1.1\""),
            (&["--dns", "foo"], "foo is not an ip address"),
            (&["--dns", "none,1.1.1.1"], "none is not allowed to be specified with other DNS ip addresses"),
            (&["--dns-search", "!!"], "!! is not a valid domain"),
            (&["--umask", "999"], "running container create option: invalid umask string 999: invalid argument"),
            (&["--stop-signal", "FOO"], "invalid signal: FOO"),
            (&["--device", "foo"], "stat foo: no such file or directory"),
            (&["--device", "/dev/null:/dev/x:q"], "invalid device mode \"q\" in device \"/dev/null:/dev/x:q\""),
            (&["--secret", "nope,foo=1"], "option foo=1 invalid: parsing secret"),
            (&["--log-driver", "foo"], "running container create option: invalid log driver: invalid argument"),
            (&["--log-opt", "foo"], "invalid log option \"foo\""),
            (
                &["--platform", "linux/amd64", "--arch", "arm64"],
                "--platform option can not be specified with --arch or --os",
            ),
            (&["--label", "=x"], "unable to process labels: invalid label format: \"=x\""),
            (&["--label-file", "/nonexist"], "unable to process labels: open /nonexist: no such file or directory"),
            (&["--annotation", "foo"], "annotations must be formatted KEY=VALUE"),
            (
                &["--sdnotify", "foo"],
                "invalid config provided: invalid argument: invalid sdnotify value \"foo\": must be conmon, container, healthy or ignore",
            ),
            (
                &["--systemd", "foo"],
                "invalid config provided: --systemd values must be one of \"true, false, always\": invalid configuration",
            ),
            (&["--image-volume", "foo"], "invalid image volume mode \"foo\" required value: anonymous, tmpfs, ignore"),
            (
                &["--expose", "foo"],
                "invalid range format for --expose: foo: strconv.ParseUint: parsing \"foo\": invalid syntax",
            ),
            (&["--ip", "foo"], "\"foo\" is not an ip address"),
            (
                &["--ip", "1.2.3.4"],
                "invalid config provided: networks and static ip/mac address can only be used with Bridge mode networking",
            ),
            (&["--mac-address", "foo"], "address foo: invalid MAC address"),
            (&["--no-hosts", "--add-host", "a:1.2.3.4"], "--no-hosts and --add-host cannot be set together"),
            (
                &["--hostname", "x", "--uts", "host"],
                "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration",
            ),
            (&["--dns", "1.1.1.1", "--network", "none"], "conflicting options: dns and the network mode: none"),
            (
                &["--network-alias", "x", "--network", "none"],
                "--network-alias can only be set when the network mode is bridge: invalid argument",
            ),
            (
                &["--network", "none", "--network", "host"],
                "cannot set multiple networks without bridge network mode, selected mode none: invalid argument",
            ),
            (
                &["--userns", "keep-id", "--uidmap", "0:0:1"],
                "--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive",
            ),
        ];
        for (line, expected) in table {
            let line: Vec<&str> = line.iter().copied().chain(["img"]).collect();
            assert_eq!(translate(&line).unwrap_err(), *expected, "{line:?}");
        }
    }
}
