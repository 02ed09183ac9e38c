//! `info`

use crate::lab::{Lab, is_podman};

#[test]
fn info_tells_what_the_machine_and_the_store_are_like() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    let json = lab.json("info --format json");
    assert_eq!(json["host"]["security"]["rootless"], true);
    assert_eq!(json["host"]["os"], "linux");
    assert_eq!(json["store"]["containerStore"]["number"], 1);
    assert_eq!(json["store"]["containerStore"]["stopped"], 1);
    assert_eq!(json["store"]["imageStore"]["number"], 1);
    let store = json["store"]["graphRoot"].as_str().unwrap();
    assert!(store.starts_with(lab.home().to_str().unwrap()), "{store}");
    for key in [
        "arch",
        "cgroupVersion",
        "cpus",
        "hostname",
        "idMappings",
        "kernel",
        "memTotal",
        "ociRuntime",
        "networkBackend",
    ] {
        assert!(json["host"].get(key).is_some(), "{key}");
    }
    assert_eq!(lab.ok("info --format {{.Host.Security.Rootless}}"), "true");
    assert_eq!(lab.ok("info --format {{.Store.GraphRoot}}"), store);
    assert!(lab.ok("info").contains("graphRoot: "));
    assert_eq!(lab.ok("system info --format {{.Store.GraphDriverName}}"), "overlay");
}

#[test]
fn info_says_how_root_file_systems_are_mounted_and_why() {
    let lab = Lab::new();
    lab.ok("run --rm --network none box true");
    let json = lab.json("info --format json");
    let native = json["store"]["graphStatus"]["Native Overlay Diff"].as_str().map(str::to_owned);
    if !is_podman() {
        let asked = std::env::var("CREEL_TEST_MOUNT_PROGRAM").is_ok();
        assert!(native.is_some(), "{}", json["store"]["graphStatus"]);
        if asked {
            assert_eq!(native.as_deref(), Some("false"));
        }
    }
}

#[test]
fn info_has_the_keys_that_programs_look_for() {
    let lab = Lab::empty();
    lab.write(".config/containers/registries.conf", "unqualified-search-registries = [\"reg.test\"]\n");
    let json = lab.json("info --format json");
    assert_eq!(json["registries"]["search"][0], "reg.test");
    for pointer in [
        "/host/networkBackendInfo/dns/path",
        "/host/security/seccompEnabled",
        "/host/remoteSocket/path",
        "/host/idMappings/uidmap/0/container_id",
        "/store/graphStatus",
        "/store/volumePath",
        "/plugins/volume/0",
        "/version/OsArch",
    ] {
        assert!(json.pointer(pointer).is_some(), "{pointer} in {json}");
    }
    lab.creel("info --format {{.Nope}}").run().fails(125);
    assert_eq!(lab.ok("version --format {{.Client.Os}}"), "linux");
    // There is no service, so the client stands for the server.
    let version = lab.ok("version --format {{.Client.Version}}");
    assert_eq!(lab.ok("version --format {{.Server.Version}}"), version);
    assert_eq!(lab.ok("version --format {{.Version}}"), version);
    assert!(lab.json("version --format json").get("Server").is_none());
    assert!(["file", "journald"].contains(&json["host"]["eventLogger"].as_str().unwrap()), "{json}");
    assert_eq!(lab.ok("--events-backend none info --format {{.Host.EventLogger}}"), "none");
    assert!(json["store"]["graphStatus"]["Backing Filesystem"].is_string(), "{json}");
    if let Some(path) =
        json.pointer("/host/slirp4netns/executable").and_then(|path| path.as_str()).filter(|path| !path.is_empty())
    {
        assert!(json["host"]["slirp4netns"]["version"].as_str().unwrap().starts_with("slirp4netns version"), "{path}");
    }
}
