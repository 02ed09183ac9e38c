//! The service itself: what it is, and what it holds.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::creel::{Result, Words};
use crate::http::Answer;
use crate::json::{at, number, object, text};
use crate::{containers, images, volumes};

/// What is spoken here.
pub(crate) const VERSION: &str = "1.44";
const OLDEST: &str = "1.24";

pub(crate) fn ping(_: &mut Call<'_>) -> Result<Reply> {
    let mut answer = Answer::text("OK");
    answer.headers = vec![
        ("Builder-Version", "1".into()),
        ("Cache-Control", "no-cache, no-store, must-revalidate".into()),
        ("Docker-Experimental", "false".into()),
        ("Ostype", "linux".into()),
        ("Pragma", "no-cache".into()),
        ("Swarm", "inactive".into()),
    ];
    Ok(Reply::Answer(answer))
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// As Docker names it; creel's own words are Go's, too.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub(crate) fn version(call: &mut Call<'_>) -> Result<Reply> {
    let found = call.creel.json(&Words::new(&["version", "--format=json"]))?;
    let version = text(at(&found, &["Client"]), "Version").to_owned();
    let details = json!({
        "APIVersion": VERSION, "MinAPIVersion": OLDEST, "Os": "linux", "Arch": architecture(), "KernelVersion": kernel(),
        "Experimental": "false", "GoVersion": "", "GitCommit": "", "BuildTime": "",
    });
    Reply::json(&json!({
        "Platform": { "Name": "creel" },
        "Components": [{ "Name": "creel", "Version": version, "Details": details }],
        "Version": version,
        "ApiVersion": VERSION,
        "MinAPIVersion": OLDEST,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": kernel(),
        "Experimental": false,
        "BuildTime": "",
    }))
}

pub(crate) fn info(call: &mut Call<'_>) -> Result<Reply> {
    let found = call.creel.json(&Words::new(&["info", "--format=json"]))?;
    let (host, store) = (at(&found, &["host"]), at(&found, &["store"]));
    let held = at(store, &["containerStore"]);
    let runtime = text(at(host, &["ociRuntime"]), "name");
    let mut shown = object(json!({
        "ID": text(store, "graphRoot"),
        "Name": text(host, "hostname"),
        "ServerVersion": text(at(&found, &["version"]), "Version"),
        "SystemTime": Timestamp::now().to_string(),
        "Containers": number(held, "number"),
        "ContainersRunning": number(held, "running"),
        "ContainersPaused": number(held, "paused"),
        "ContainersStopped": number(held, "stopped"),
        "Images": number(at(store, &["imageStore"]), "number"),
        "Driver": text(store, "graphDriverName"),
        "DriverStatus": [],
        "DockerRootDir": text(store, "graphRoot"),
        "LoggingDriver": text(host, "logDriver"),
        "CgroupDriver": text(host, "cgroupManager"),
        "CgroupVersion": text(host, "cgroupVersion").trim_start_matches('v'),
        "DefaultRuntime": runtime,
        "Runtimes": { runtime: { "path": text(at(host, &["ociRuntime"]), "path") } },
        "InitBinary": runtime,
        "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"],
    }));
    shown.extend(object(json!({
        "Architecture": std::env::consts::ARCH,
        "KernelVersion": text(host, "kernel"),
        "MemTotal": number(host, "memTotal"),
        "NCPU": number(host, "cpus"),
        "OSType": "linux",
        "OSVersion": text(at(host, &["distribution"]), "version"),
        "OperatingSystem": text(at(host, &["distribution"]), "distribution"),
        "Plugins": {
            "Authorization": null,
            "Log": at(&found, &["plugins", "log"]),
            "Network": at(&found, &["plugins", "network"]),
            "Volume": ["local"],
        },
    })));
    // What is the same wherever creel runs.
    shown.extend(object(json!({
        "CPUSet": true,
        "CPUShares": true,
        "CpuCfsPeriod": true,
        "CpuCfsQuota": true,
        "Debug": false,
        "ExperimentalBuild": false,
        "IPv4Forwarding": true,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "Labels": [],
        "LiveRestoreEnabled": true,
        "MemoryLimit": true,
        "NEventsListener": 0,
        "OomKillDisable": false,
        "PidsLimit": true,
        "RegistryConfig": { "IndexConfigs": {}, "InsecureRegistryCIDRs": [], "Mirrors": [] },
        "SwapLimit": true,
        "Swarm": { "ControlAvailable": false, "LocalNodeState": "inactive", "NodeID": "", "RemoteManagers": null },
        "Warnings": [],
    })));
    Reply::json(&Value::Object(shown))
}

/// `/system/df`
pub(crate) fn usage(call: &mut Call<'_>) -> Result<Reply> {
    let images = call.creel.json(&Words::new(&["images", "--all", "--format=json"]))?;
    let containers = call.creel.json(&Words::new(&["ps", "--all", "--size", "--format=json", "--no-trunc"]))?;
    let volumes = call.creel.json(&Words::new(&["volume", "ls", "--format=json"]))?;
    let rows = |value: &Value, row: &dyn Fn(&Value) -> Value| -> Vec<Value> {
        value.as_array().into_iter().flatten().map(row).collect()
    };
    let images = rows(&images, &|image| {
        let mut shown = images::row(image);
        shown["SharedSize"] = number(image, "SharedSize").into();
        shown
    });
    let containers = rows(&containers, &containers::row);
    let volumes = rows(&volumes, &|volume| {
        let mut shown = volumes::shape(volume);
        shown["UsageData"] = json!({ "Size": -1, "RefCount": number(volume, "MountCount") });
        shown
    });
    let layers: i64 = images.iter().map(|image| number(image, "Size")).sum();
    Reply::json(
        &json!({ "LayersSize": layers, "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": [] }),
    )
}
