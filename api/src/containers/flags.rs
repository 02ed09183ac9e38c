//! What a client wants of a container, as flags of `creel create`. Pure: JSON in, words out.

use serde_json::Value;

use crate::creel::{Error, Result, Words};
use crate::json::{is_true, list, members, number, says_nothing, some_number, some_text, text, texts};

/// Fields of HostConfig that were heard, or that ask for what is always so.
const KNOWN: &[&str] = &[
    "AutoRemove",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeight",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Cgroup",
    "CgroupParent",
    "CgroupnsMode",
    "ConsoleSize",
    "ContainerIDFile",
    "CpuCount",
    "CpuPercent",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "CpusetMems",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "Init",
    "IpcMode",
    "Isolation",
    "LogConfig",
    "MaskedPaths",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "Mounts",
    "NanoCpus",
    "NetworkMode",
    "OomKillDisable",
    "OomScoreAdj",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyPaths",
    "ReadonlyRootfs",
    "RestartPolicy",
    "Runtime",
    "SecurityOpt",
    "ShmSize",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "UTSMode",
    "Ulimits",
    "UsernsMode",
    "VolumeDriver",
    "VolumesFrom",
];

/// The flags, and what could not be heeded.
pub(super) fn of(wanted: &Value) -> Result<(Words, Vec<String>)> {
    let mut words = Words::default();
    let host = wanted.get("HostConfig").unwrap_or(&Value::Null);
    program(wanted, &mut words);
    life(host, &mut words);
    mounts(wanted, host, &mut words)?;
    ports(wanted, host, &mut words);
    networks(wanted, host, &mut words)?;
    privileges(host, &mut words);
    limits(host, &mut words);
    let mut warnings = Vec::new();
    let unknown = members(wanted, "HostConfig").filter(|(key, value)| !KNOWN.contains(key) && !says_nothing(value));
    warnings.extend(unknown.map(|(key, _)| format!("HostConfig.{key} is not known and has no effect")));
    if !says_nothing(host.get("Links").unwrap_or(&Value::Null)) {
        return Err(Error::bad("HostConfig.Links: links between containers do not exist here, use a network"));
    }
    Ok((words, warnings))
}

/// What runs, with what streams.
fn program(wanted: &Value, words: &mut Words) {
    words.flag("hostname", some_text(wanted, "Hostname")).flag("user", some_text(wanted, "User"));
    words.flag("workdir", some_text(wanted, "WorkingDir")).flag("stop-signal", some_text(wanted, "StopSignal"));
    words.flag("stop-timeout", wanted.get("StopTimeout").and_then(Value::as_i64).map(|seconds| seconds.to_string()));
    words.set("tty", is_true(wanted, "Tty")).set("interactive", is_true(wanted, "OpenStdin"));
    for variable in texts(wanted, "Env") {
        words.flag("env", Some(variable));
    }
    for (key, value) in members(wanted, "Labels") {
        words.flag("label", Some(format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    let entrypoint = wanted.get("Entrypoint").filter(|value| !value.is_null());
    if let Some(entrypoint) = entrypoint {
        let list = texts(wanted, "Entrypoint");
        let is_reset = list.iter().all(|word| word.is_empty());
        let form = if is_reset {
            "[]".to_owned()
        } else if entrypoint.is_array() {
            entrypoint.to_string()
        } else {
            format!("[{entrypoint}]")
        };
        words.flag("entrypoint", Some(form));
    }
    health(wanted.get("Healthcheck").unwrap_or(&Value::Null), words);
}

fn health(check: &Value, words: &mut Words) {
    let test = texts(check, "Test");
    match test.split_first() {
        None => {}
        Some((&"NONE", _)) => {
            words.set("no-healthcheck", true);
            return;
        }
        Some((&"CMD-SHELL", command)) => {
            words.flag("health-cmd", Some(command.join(" ")));
        }
        Some((&"CMD", command)) => {
            words.flag("health-cmd", Some(serde_json::json!(command).to_string()));
        }
        Some(_) => {
            words.flag("health-cmd", Some(test.join(" ")));
        }
    }
    let nanoseconds = |key: &str| some_number(check, key).map(|number| format!("{number}ns"));
    words.flag("health-interval", nanoseconds("Interval")).flag("health-timeout", nanoseconds("Timeout"));
    words.flag("health-start-period", nanoseconds("StartPeriod")).flag("health-retries", some_number(check, "Retries"));
}

/// How it is kept, logged and removed, and which namespaces it shares.
fn life(host: &Value, words: &mut Words) {
    words.set("rm", is_true(host, "AutoRemove"));
    words.flag("restart", restart_policy(host.get("RestartPolicy").unwrap_or(&Value::Null)));
    words.flag("cidfile", some_text(host, "ContainerIDFile"));
    if let Some(init) = host.get("Init").and_then(Value::as_bool) {
        words.set("init", init);
    }
    words.flag("pid", some_text(host, "PidMode")).flag("ipc", some_text(host, "IpcMode"));
    words.flag("uts", some_text(host, "UTSMode")).flag("userns", some_text(host, "UsernsMode"));
    words.flag("cgroupns", some_text(host, "CgroupnsMode"));
    words.flag("runtime", some_text(host, "Runtime").filter(|name| !matches!(*name, "runc" | "creel")));
    let log = host.get("LogConfig").unwrap_or(&Value::Null);
    words.flag("log-driver", some_text(log, "Type"));
    for (key, value) in members(log, "Config") {
        words.flag("log-opt", Some(format!("{key}={}", value.as_str().unwrap_or_default())));
    }
}

/// `name` or `on-failure:5`.
pub(super) fn restart_policy(policy: &Value) -> Option<String> {
    let name = some_text(policy, "Name")?;
    Some(match some_number(policy, "MaximumRetryCount") {
        Some(count) if name == "on-failure" => format!("{name}:{count}"),
        _ => name.to_owned(),
    })
}

fn mounts(wanted: &Value, host: &Value, words: &mut Words) -> Result<()> {
    for bind in texts(host, "Binds") {
        words.flag("volume", Some(bind));
    }
    let bound = |path: &str| texts(host, "Binds").iter().any(|bind| bind.split(':').nth(1) == Some(path));
    for (path, _) in members(wanted, "Volumes").filter(|(path, _)| !bound(path)) {
        words.flag("volume", Some(path));
    }
    for container in texts(host, "VolumesFrom") {
        words.flag("volumes-from", Some(container));
    }
    for (path, options) in members(host, "Tmpfs") {
        let options = options.as_str().unwrap_or_default();
        words.flag("tmpfs", Some(if options.is_empty() { path.to_owned() } else { format!("{path}:{options}") }));
    }
    for mount in list(host, "Mounts") {
        words.flag("mount", Some(mount_flag(mount)?));
    }
    words.set("read-only", is_true(host, "ReadonlyRootfs"));
    for (key, value) in members(host, "StorageOpt") {
        words.flag("storage-opt", Some(format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    words.flag("shm-size", some_number(host, "ShmSize").map(|bytes| format!("{bytes}b")));
    Ok(())
}

/// An element of `HostConfig.Mounts` as `--mount` has it.
fn mount_flag(mount: &Value) -> Result<String> {
    let kind = some_text(mount, "Type").unwrap_or("volume");
    let mut parts = vec![format!("type={kind}")];
    if let Some(source) = some_text(mount, "Source") {
        parts.push(format!("source={source}"));
    }
    parts.push(format!("destination={}", text(mount, "Target")));
    if is_true(mount, "ReadOnly") {
        parts.push("readonly=true".into());
    }
    let options = |name: &str| mount.get(name).unwrap_or(&Value::Null);
    match kind {
        "bind" => {
            let bind = options("BindOptions");
            parts.extend(some_text(bind, "Propagation").map(|how| format!("bind-propagation={how}")));
            if is_true(bind, "NonRecursive") {
                parts.push("bind-nonrecursive=true".into());
            }
        }
        "volume" => {
            let volume = options("VolumeOptions");
            if is_true(volume, "NoCopy") {
                parts.push("nocopy=true".into());
            }
            parts.extend(some_text(volume, "Subpath").map(|path| format!("subpath={path}")));
        }
        "tmpfs" => {
            let tmpfs = options("TmpfsOptions");
            parts.extend(some_number(tmpfs, "SizeBytes").map(|bytes| format!("tmpfs-size={bytes}")));
            parts.extend(
                Some(number(tmpfs, "Mode")).filter(|mode| *mode != 0).map(|mode| format!("tmpfs-mode={mode:o}")),
            );
        }
        "image" => {}
        other => return Err(Error::bad(format!("mount type unknown: {other:?}"))),
    }
    if let Some(part) = parts.iter().find(|part| part.contains([',', '"'])) {
        return Err(Error::bad(format!("invalid mount: {part} has a comma or a quotation mark")));
    }
    Ok(parts.join(","))
}

fn ports(wanted: &Value, host: &Value, words: &mut Words) {
    for (port, bindings) in members(host, "PortBindings") {
        let none = [Value::Null];
        let bindings = bindings.as_array().filter(|list| !list.is_empty()).map_or(&none[..], Vec::as_slice);
        for binding in bindings {
            let ip = match text(binding, "HostIp") {
                ip if ip.contains(':') => format!("[{ip}]"),
                ip => ip.to_owned(),
            };
            let host_port = some_text(binding, "HostPort").filter(|port| *port != "0").unwrap_or_default();
            words.flag(
                "publish",
                Some(match (ip.is_empty(), host_port.is_empty()) {
                    (true, true) => port.to_owned(),
                    (true, false) => format!("{host_port}:{port}"),
                    (false, _) => format!("{ip}:{host_port}:{port}"),
                }),
            );
        }
    }
    for (port, _) in members(wanted, "ExposedPorts") {
        words.flag("expose", Some(port));
    }
    words.set("publish-all", is_true(host, "PublishAllPorts"));
}

fn networks(wanted: &Value, host: &Value, words: &mut Words) -> Result<()> {
    for address in texts(host, "Dns") {
        words.flag("dns", Some(address));
    }
    for option in texts(host, "DnsOptions") {
        words.flag("dns-option", Some(option));
    }
    for domain in texts(host, "DnsSearch") {
        words.flag("dns-search", Some(domain));
    }
    for line in texts(host, "ExtraHosts") {
        words.flag("add-host", Some(line));
    }
    if is_true(wanted, "NetworkDisabled") {
        words.flag("network", Some("none"));
        return Ok(());
    }
    // Docker's default is a bridge on which containers see each other, also where creel's is a network for each alone.
    let mode = some_text(host, "NetworkMode").filter(|mode| *mode != "default").unwrap_or("bridge");
    let endpoints = wanted.get("NetworkingConfig").unwrap_or(&Value::Null);
    let mut joined = false;
    let is_network = |name: &str| !matches!(name, "default" | "none" | "host");
    for (name, endpoint) in members(endpoints, "EndpointsConfig").filter(|(name, _)| is_network(name)) {
        words.flag("network", Some(network_flag(name, endpoint)));
        joined |= name == mode || mode == "bridge";
    }
    if !joined {
        words.flag("network", Some(mode));
    }
    words.flag("mac-address", some_text(wanted, "MacAddress"));
    Ok(())
}

/// `name:ip=...,mac=...,alias=...`
pub(crate) fn network_flag(name: &str, endpoint: &Value) -> String {
    let mut options = Vec::new();
    let addresses = endpoint.get("IPAMConfig").unwrap_or(&Value::Null);
    options.extend(some_text(addresses, "IPv4Address").map(|ip| format!("ip={ip}")));
    options.extend(some_text(addresses, "IPv6Address").map(|ip| format!("ip6={ip}")));
    options.extend(some_text(endpoint, "MacAddress").map(|mac| format!("mac={mac}")));
    options.extend(texts(endpoint, "Aliases").into_iter().map(|alias| format!("alias={alias}")));
    if options.is_empty() { name.to_owned() } else { format!("{name}:{}", options.join(",")) }
}

fn privileges(host: &Value, words: &mut Words) {
    words.set("privileged", is_true(host, "Privileged"));
    for (key, flag) in [
        ("CapAdd", "cap-add"),
        ("CapDrop", "cap-drop"),
        ("SecurityOpt", "security-opt"),
        ("GroupAdd", "group-add"),
        ("DeviceCgroupRules", "device-cgroup-rule"),
    ] {
        for value in texts(host, key) {
            words.flag(flag, Some(value));
        }
    }
    for (key, value) in members(host, "Sysctls") {
        words.flag("sysctl", Some(format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for device in list(host, "Devices") {
        let permissions = some_text(device, "CgroupPermissions").unwrap_or("rwm");
        words.flag(
            "device",
            Some(format!("{}:{}:{permissions}", text(device, "PathOnHost"), text(device, "PathInContainer"))),
        );
    }
    for request in list(host, "DeviceRequests") {
        if text(request, "Driver") == "cdi" {
            for name in texts(request, "DeviceIDs") {
                words.flag("device", Some(name));
            }
        } else {
            let ids = texts(request, "DeviceIDs").join(",");
            words.flag("gpus", Some(if ids.is_empty() { "all".to_owned() } else { ids }));
        }
    }
    words
        .flag("oom-score-adj", some_number(host, "OomScoreAdj"))
        .set("oom-kill-disable", is_true(host, "OomKillDisable"));
}

/// What `update` takes, too.
pub(super) fn limits(host: &Value, words: &mut Words) {
    let bytes =
        |key: &str| some_number(host, key).map(|number| if number == "-1" { number } else { format!("{number}b") });
    words.flag("memory", bytes("Memory")).flag("memory-swap", bytes("MemorySwap"));
    words.flag("memory-reservation", bytes("MemoryReservation"));
    #[expect(clippy::cast_precision_loss, reason = "nobody has so many processors")]
    let cpus = Some(number(host, "NanoCpus")).filter(|nano| *nano != 0).map(|nano| (nano as f64 / 1e9).to_string());
    words.flag("cpus", cpus).flag("cpu-shares", some_number(host, "CpuShares"));
    words.flag("cpu-period", some_number(host, "CpuPeriod")).flag("cpu-quota", some_number(host, "CpuQuota"));
    words.flag("cpuset-cpus", some_text(host, "CpusetCpus")).flag("cpuset-mems", some_text(host, "CpusetMems"));
    words.flag("pids-limit", some_number(host, "PidsLimit")).flag("blkio-weight", some_number(host, "BlkioWeight"));
    words.flag("cgroup-parent", some_text(host, "CgroupParent"));
    for limit in list(host, "Ulimits") {
        words.flag(
            "ulimit",
            Some(format!("{}={}:{}", text(limit, "Name"), number(limit, "Soft"), number(limit, "Hard"))),
        );
    }
    for (key, flag, rate) in [
        ("BlkioDeviceReadBps", "device-read-bps", "Rate"),
        ("BlkioDeviceWriteBps", "device-write-bps", "Rate"),
        ("BlkioDeviceReadIOps", "device-read-iops", "Rate"),
        ("BlkioDeviceWriteIOps", "device-write-iops", "Rate"),
        ("BlkioWeightDevice", "blkio-weight-device", "Weight"),
    ] {
        for device in list(host, key) {
            words.flag(flag, Some(format!("{}:{}", text(device, "Path"), number(device, rate))));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flags(wanted: Value) -> String {
        of(&wanted).unwrap().0.0.join(" ")
    }

    #[test]
    fn what_clients_send_becomes_flags() {
        let table = [
            (
                json!({ "Hostname": "", "Tty": false, "Env": null, "HostConfig": { "Memory": 0, "Binds": null } }),
                "--network=bridge",
            ),
            (
                json!({ "Env": ["A=b c"], "Labels": { "x": "y" }, "Tty": true }),
                "--tty --env=A=b c --label=x=y --network=bridge",
            ),
            (json!({ "Entrypoint": ["a", "b c"] }), r#"--entrypoint=["a","b c"] --network=bridge"#),
            (json!({ "Entrypoint": [""] }), "--entrypoint=[] --network=bridge"),
            (
                json!({ "Healthcheck": { "Test": ["CMD", "x", "y"], "Interval": 1000 } }),
                r#"--health-cmd=["x","y"] --health-interval=1000ns --network=bridge"#,
            ),
            (json!({ "Healthcheck": { "Test": ["NONE"] } }), "--no-healthcheck --network=bridge"),
            (
                json!({ "HostConfig": { "PortBindings": { "80/tcp": [{ "HostIp": "::1", "HostPort": "8" }], "9/udp": [{ "HostPort": "0" }], "7/tcp": null } } }),
                "--publish=7/tcp --publish=[::1]:8:80/tcp --publish=9/udp --network=bridge",
            ),
            (
                json!({ "HostConfig": { "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 } } }),
                "--restart=on-failure:3 --network=bridge",
            ),
            (
                json!({ "HostConfig": { "NanoCpus": 1500000000, "Memory": 4096 } }),
                "--network=bridge --memory=4096b --cpus=1.5",
            ),
            (
                json!({ "HostConfig": { "Binds": ["v:/a:ro"] }, "Volumes": { "/a": {}, "/b": {} } }),
                "--volume=v:/a:ro --volume=/b --network=bridge",
            ),
            (
                json!({ "HostConfig": { "NetworkMode": "n" }, "NetworkingConfig": { "EndpointsConfig": { "n": { "Aliases": ["web"], "IPAMConfig": { "IPv4Address": "10.1.1.1" } } } } }),
                "--network=n:ip=10.1.1.1,alias=web",
            ),
            (json!({ "HostConfig": { "NetworkMode": "default" } }), "--network=bridge"),
            (
                json!({ "HostConfig": { "NetworkMode": "host" }, "NetworkingConfig": { "EndpointsConfig": {} } }),
                "--network=host",
            ),
            (
                json!({ "HostConfig": { "Mounts": [{ "Type": "tmpfs", "Target": "/t", "TmpfsOptions": { "Mode": 448, "SizeBytes": 9 } }] } }),
                "--mount=type=tmpfs,destination=/t,tmpfs-size=9,tmpfs-mode=700 --network=bridge",
            ),
        ];
        for (wanted, expected) in table {
            assert_eq!(flags(wanted.clone()), expected, "{wanted}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let (_, warnings) = of(&json!({ "HostConfig": { "Magic": 1, "Other": false } })).unwrap();
        assert_eq!(warnings, ["HostConfig.Magic is not known and has no effect"]);
        for wrong in [
            json!({ "HostConfig": { "Links": ["a:b"] } }),
            json!({ "HostConfig": { "Mounts": [{ "Type": "npipe", "Target": "/x" }] } }),
            json!({ "HostConfig": { "Mounts": [{ "Type": "bind", "Source": "/a,b", "Target": "/x" }] } }),
        ] {
            assert_eq!(of(&wrong).unwrap_err().status, 400);
        }
    }
}
