//! The service itself: what it is, what it holds, who may come in.

use std::fs::File;
use std::io::Read;

use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::creel::{Error, Result, Words};
use crate::http::Answer;
use crate::json::{at, digest, list, number, object, some_text, text};

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

/// Random, 64 digits.
pub(crate) fn random_id() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
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
        "SystemTime": crate::time::now(),
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
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let images: Vec<Value> = rows(&images)
        .iter()
        .map(|image| {
            json!({
                "Id": digest(text(image, "Id")), "ParentId": "", "RepoTags": list(image, "Names"), "RepoDigests": list(image, "RepoDigests"),
                "Created": number(image, "Created"), "Size": number(image, "Size"), "SharedSize": number(image, "SharedSize"),
                "VirtualSize": number(image, "Size"), "Labels": image.get("Labels"), "Containers": number(image, "Containers"),
            })
        })
        .collect();
    let containers: Vec<Value> = rows(&containers)
        .iter()
        .map(|container| {
            json!({
                "Id": text(container, "Id"), "Names": list(container, "Names"), "Image": text(container, "Image"),
                "ImageID": digest(text(container, "ImageID")), "Created": number(container, "Created"), "State": text(container, "State"),
                "Status": text(container, "Status"), "SizeRw": at(container, &["Size", "rwSize"]), "SizeRootFs": at(container, &["Size", "rootFsSize"]),
            })
        })
        .collect();
    let volumes: Vec<Value> = rows(&volumes)
        .iter()
        .map(|volume| {
            json!({
                "Name": text(volume, "Name"), "Driver": text(volume, "Driver"), "Mountpoint": text(volume, "Mountpoint"), "Scope": "local",
                "Labels": volume.get("Labels"), "Options": volume.get("Options"), "UsageData": { "Size": -1, "RefCount": number(volume, "MountCount") },
            })
        })
        .collect();
    let layers: i64 = images.iter().map(|image| number(image, "Size")).sum();
    Reply::json(
        &json!({ "LayersSize": layers, "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": [] }),
    )
}

/// `/auth`: a login that leaves nothing behind.
pub(crate) fn auth(call: &mut Call<'_>) -> Result<Reply> {
    let wanted = call.body()?;
    let server = some_text(&wanted, "serveraddress").unwrap_or("docker.io");
    let server =
        server.trim_start_matches("https://").trim_start_matches("http://").split('/').next().unwrap_or(server);
    let dir = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, Into::into);
    let path = dir.join(format!("creel-api-{}.json", random_id()?));
    let mut words = Words::new(&["login", "--password-stdin"]);
    words.flag("username", Some(text(&wanted, "username"))).flag("authfile", Some(path.display().to_string()));
    words.names([if server == "index.docker.io" { "docker.io" } else { server }]);
    let outcome = call.creel.feed(&words, &mut text(&wanted, "password").as_bytes());
    let _ = std::fs::remove_file(&path);
    outcome.map_err(|error| Error { status: if error.status == 500 { 401 } else { error.status }, ..error })?;
    Reply::json(&json!({ "IdentityToken": "", "Status": "Login Succeeded" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_64_digits_and_differ() {
        let (one, other) = (random_id().unwrap(), random_id().unwrap());
        assert!(one.len() == 64 && one != other);
    }
}
