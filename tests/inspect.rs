//! `inspect`

use crate::lab::Lab;

#[test]
fn a_container_is_told_in_docker_s_shape() {
    let lab = Lab::new();
    lab.folder("data");
    let id = lab.ok("run -d --name one -e A=1 -l k=v -v ./data:/data:ro -v named:/named --cap-add NET_ADMIN --cap-drop KILL --restart no --stop-timeout 3 -u alice -w /content --network none box idle");
    let json = lab.json("inspect one");
    let one = &json[0];
    assert_eq!(one["Id"], id);
    assert_eq!(one["Name"], "one");
    assert_eq!(one["ImageName"], "localhost/box:latest");
    assert_eq!(one["Image"], crate::lab::image::box_draft().id());
    assert_eq!(one["Path"], "idle");
    assert_eq!(one["State"]["Status"], "running");
    assert_eq!(one["State"]["Running"], true);
    assert!(one["State"]["Pid"].as_i64().unwrap() > 1);
    assert_eq!(one["State"]["ExitCode"], 0);
    assert_eq!(one["Config"]["User"], "alice");
    assert_eq!(one["Config"]["WorkingDir"], "/content");
    assert_eq!(one["Config"]["Cmd"][0], "idle");
    assert_eq!(one["Config"]["Labels"]["k"], "v");
    assert_eq!(one["Config"]["StopTimeout"], 3);
    assert!(one["Config"]["Env"].as_array().unwrap().iter().any(|entry| entry == "A=1"));
    assert_eq!(one["HostConfig"]["NetworkMode"], "none");
    assert_eq!(one["HostConfig"]["Privileged"], false);
    assert_eq!(one["HostConfig"]["AutoRemove"], false);
    let mounts = one["Mounts"].as_array().unwrap();
    let data = mounts.iter().find(|mount| mount["Destination"] == "/data").unwrap();
    assert_eq!((&data["Type"], &data["RW"]), (&"bind".into(), &false.into()));
    assert_eq!(data["Source"], lab.path("data").display().to_string());
    let named = mounts.iter().find(|mount| mount["Destination"] == "/named").unwrap();
    assert_eq!((&named["Type"], &named["Name"], &named["RW"]), (&"volume".into(), &"named".into(), &true.into()));
    let capabilities = one["BoundingCaps"].as_array().unwrap();
    assert!(
        capabilities.iter().any(|name| name == "CAP_NET_ADMIN") && !capabilities.iter().any(|name| name == "CAP_KILL")
    );
    for key in [
        "Created",
        "Args",
        "ImageDigest",
        "Rootfs",
        "Pod",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "StaticDir",
        "OCIRuntime",
        "RestartCount",
        "Driver",
        "MountLabel",
        "ProcessLabel",
        "EffectiveCaps",
        "ExecIDs",
        "GraphDriver",
        "Dependencies",
        "NetworkSettings",
        "Namespace",
        "IsInfra",
    ] {
        assert!(one.get(key).is_some(), "{key} is missing");
    }
    for key in
        ["OciVersion", "Paused", "Restarting", "OOMKilled", "Dead", "ConmonPid", "Error", "StartedAt", "FinishedAt"]
    {
        assert!(one["State"].get(key).is_some(), "State.{key} is missing");
    }
    for key in [
        "Hostname",
        "Tty",
        "OpenStdin",
        "Image",
        "Entrypoint",
        "Annotations",
        "StopSignal",
        "CreateCommand",
        "Umask",
        "Timeout",
    ] {
        assert!(one["Config"].get(key).is_some(), "Config.{key} is missing");
    }
    for key in [
        "Binds",
        "LogConfig",
        "PortBindings",
        "RestartPolicy",
        "CapAdd",
        "CapDrop",
        "Dns",
        "ExtraHosts",
        "IpcMode",
        "PidMode",
        "ReadonlyRootfs",
        "SecurityOpt",
        "Tmpfs",
        "UTSMode",
        "UsernsMode",
        "ShmSize",
        "Memory",
        "PidsLimit",
        "Ulimits",
    ] {
        assert!(one["HostConfig"].get(key).is_some(), "HostConfig.{key} is missing");
    }
}

#[test]
fn templates_pick_single_values() {
    let lab = Lab::new();
    lab.ok("run --name one -l a.b=c --network none box true");
    lab.ok("wait --condition exited one");
    for (template, expected) in [
        ("{{.State.Status}} {{.State.ExitCode}}", "exited 0"),
        (r#"{{index .Config.Labels "a.b"}}"#, "c"),
        ("{{.Config.Cmd}}", "[true]"),
        ("{{json .Config.Cmd}}", r#"["true"]"#),
        ("{{range .Config.Env}}{{println .}}{{end}}", ""),
        ("{{if .State.Running}}yes{{else}}no{{end}}", "no"),
        ("{{len .Mounts}}", "0"),
        ("{{.HostConfig.RestartPolicy.Name}}", "no"),
        ("{{printf \"%s-%d\" .Name .State.ExitCode}}", "one-0"),
    ] {
        let found = lab.inspect("one", template);
        assert!(found == expected || (expected.is_empty() && found.contains("ORIGIN=image")), "{template}: {found}");
    }
    lab.creel("inspect --format {{.NoSuchField}} one").run().fails(125);
}

#[test]
fn anything_can_be_found_by_name() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    lab.ok("volume create vol");
    assert_eq!(lab.json("inspect box")[0]["Id"], crate::lab::image::box_draft().id());
    assert_eq!(lab.json("inspect vol")[0]["Name"], "vol");
    assert_eq!(lab.json("inspect one box").as_array().unwrap().len(), 2);
    assert_eq!(lab.json("inspect --type image box")[0]["Os"], "linux");
    lab.creel("inspect --type container box").run().fails(125);
    lab.creel("inspect --type nonsense box").run().fails(125);
    let outcome = lab.creel("inspect nosuch").run();
    let error = outcome.fails(125);
    assert!(error.contains("no such object: \"nosuch\""), "{error}");
    assert_eq!(outcome.out(), "[]");
}

#[test]
fn an_image_is_told_in_docker_s_shape() {
    let lab = Lab::new();
    let json = lab.json("image inspect box");
    let image = &json[0];
    assert_eq!(image["RepoTags"][0], "localhost/box:latest");
    assert_eq!(image["Architecture"], "amd64");
    assert_eq!(image["Config"]["Cmd"][0], "sh");
    assert_eq!(image["Config"]["Labels"]["kind"], "box");
    assert_eq!(image["Labels"]["kind"], "box");
    assert_eq!(image["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    assert_eq!(
        image["RootFS"]["Layers"][0],
        format!("sha256:{}", crate::lab::image::sha256(&crate::lab::image::box_draft().layers[0]))
    );
    assert_eq!(image["History"][0]["created_by"], "layer 1");
    assert!(image["Size"].as_i64().unwrap() > 1_000_000);
    for key in [
        "Digest",
        "RepoDigests",
        "Parent",
        "Comment",
        "Created",
        "Version",
        "Author",
        "VirtualSize",
        "GraphDriver",
        "Annotations",
        "ManifestType",
        "User",
        "NamesHistory",
    ] {
        assert!(image.get(key).is_some(), "{key} is missing");
    }
    let error = lab.creel("image inspect nosuch").run().fails(125);
    assert!(error.contains("image not known") || error.contains("no such image"), "{error}");
}

#[test]
fn the_pid_is_that_of_the_first_process() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    let pid = lab.inspect("one", "{{.State.Pid}}");
    assert_eq!(std::fs::read(format!("/proc/{pid}/cmdline")).unwrap(), b"sleep\x001000\0");
    lab.ok("stop -t 0 one");
    assert_eq!(lab.inspect("one", "{{.State.Pid}}"), "0");
}

#[test]
fn what_is_asked_for_and_what_came_of_it_are_told_as_podman_does() {
    let lab = Lab::new();
    lab.ok("create --name one --network none --cap-drop all --cap-add net_raw --memory-reservation 10m --userns keep-id \
            --group-add keep-groups --security-opt label=disable --tmpfs /t:size=1m --log-opt max-size=10k --init box idle");
    for (template, expected) in [
        ("{{.HostConfig.ShmSize}}", "65536000"),
        ("{{.HostConfig.CapAdd}}", "[CAP_NET_RAW]"),
        ("{{.HostConfig.MemorySwappiness}}", "-1"),
        ("{{.HostConfig.UsernsMode}}", "private"),
        ("{{.HostConfig.GroupAdd}}", "[]"),
        ("{{index .HostConfig.Tmpfs \"/t\"}}", "size=1m,rprivate,nosuid,nodev,tmpcopyup"),
        ("{{.HostConfig.LogConfig.Size}}", "10kB"),
        ("{{.Path}} {{.Args}}", "/run/podman-init [-- idle]"),
        ("{{index .Config.Annotations \"io.podman.annotations.userns\"}}", "keep-id"),
        ("{{index .Config.Annotations \"io.podman.annotations.label\"}}", "disable"),
    ] {
        assert_eq!(lab.inspect("one", template), expected, "{template}");
    }
    let one = &lab.json("inspect one")[0];
    assert!(one["State"].get("ConmonPid").is_none() && one["State"].get("CgroupPath").is_none());
    assert!(one["HostConfig"]["IDMappings"]["UidMap"][0].is_string());
    lab.ok("run -d --name two --network none box idle");
    let two = &lab.json("inspect two")[0];
    let has = |entry: &str| two["Config"]["Env"].as_array().unwrap().iter().any(|known| known == entry);
    assert!(has("HOME=/root") && has(&format!("HOSTNAME={}", &two["Id"].as_str().unwrap()[..12])));
    let limits: Vec<_> = two["HostConfig"]["Ulimits"].as_array().unwrap().iter().map(|limit| &limit["Name"]).collect();
    assert_eq!(limits, ["RLIMIT_NOFILE", "RLIMIT_NPROC"]);
    assert_eq!(two["Args"][0], "idle");
}
