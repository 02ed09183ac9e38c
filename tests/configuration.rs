//! containers.conf, storage.conf and the global flags: which file wins, and what a key does.

use crate::lab::{Lab, differs_on_purpose, is_podman};

const OWN: &str = ".config/containers/containers.conf";

#[test]
fn later_files_win_and_lists_are_added_to_when_they_say_so() {
    let lab = Lab::new();
    lab.write(OWN, "[containers]\nenv = [\"A=file\", \"B=file\"]\ntz = \"UTC\"\numask = \"0077\"\n");
    lab.write(".config/containers/containers.conf.d/50.conf", "[containers]\nenv = [\"C=dropin\", {append=true}]\n");
    lab.write("module.conf", "[containers]\numask = \"0027\"\n");
    lab.write("last.conf", "[containers]\nenv = [\"A=last\"]\n");
    let show = "run --rm --network none box sh -c 'echo $A $B $C $(umask)'";
    assert_eq!(lab.ok(show), "file file dropin 0077");
    assert_eq!(lab.ok(&format!("--module {} {show}", lab.path("module.conf").display())), "file file dropin 0027");
    let last = lab.creel(show).env("CONTAINERS_CONF_OVERRIDE", lab.path("last.conf").to_str().unwrap()).run();
    // Once added to, always added to.
    assert_eq!(last.ok(), "last file dropin 0077");
    lab.write("last.conf", "[containers]\nenv = [\"A=last\", {append=false}]\n");
    let last = lab.creel(show).env("CONTAINERS_CONF_OVERRIDE", lab.path("last.conf").to_str().unwrap()).run();
    assert_eq!(last.ok(), "last 0077");
    let only = lab.creel(show).env("CONTAINERS_CONF", lab.path("last.conf").to_str().unwrap()).run();
    assert_eq!(only.ok(), "last 0022");
    lab.write(".config/containers/containers.conf.modules/named.conf", "[containers]\numask = \"0007\"\n");
    assert_eq!(lab.ok(&format!("--module named.conf {show}")), "file file dropin 0007");
    lab.creel(&format!("--module nosuch.conf {show}")).run().fails(1);
}

#[test]
fn a_flag_is_stronger_than_the_file() {
    let lab = Lab::new();
    lab.write(
        OWN,
        "[containers]\nannotations = [\"from=file\", \"both=file\"]\ndefault_capabilities = [\"CHOWN\", \"CAP_KILL\"]\n\
         mounts = [\"type=tmpfs,dst=/scratch\"]\nvolumes = [\"named:/from-file\"]\ninit = true\nread_only = true\n\
         shm_size = \"3m\"\ncontainer_name_as_hostname = true\n[engine]\nstop_timeout = 3\n",
    );
    lab.ok("create --name one_1 --network none --annotation both=flag box true");
    let inspect = |template: &str| lab.inspect("one_1", template);
    assert_eq!(inspect("{{index .Config.Annotations \"from\"}} {{index .Config.Annotations \"both\"}}"), "file flag");
    assert_eq!(inspect("{{.Config.StopTimeout}} {{.HostConfig.ReadonlyRootfs}}"), "3 true");
    // In files, other than on the command line, a megabyte is a million.
    assert_eq!(inspect("{{.HostConfig.ShmSize}}"), "3000000");
    let show = "sh -c 'grep CapBnd /proc/self/status; hostname; grep -c -E \" /scratch | /from-file \" /proc/mounts'";
    let shown = lab.ok(&format!("run --rm --name two_2 --network none box {show}"));
    // CHOWN is 0, KILL 5.
    assert_eq!(shown, "CapBnd:\t0000000000000021\ntwo2\n2");
    let flags = "--cap-add SYS_CHROOT --hostname other --shm-size 1m";
    let volume =
        if differs_on_purpose("a flag's volume takes the place of the file's") { "" } else { "-v /tmp:/from-file" };
    let shown = lab.ok(&format!("run --rm --name two_2 --network none {flags} {volume} box {show}"));
    assert_eq!(shown, "CapBnd:\t0000000000040021\nother\n2");
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_its_place() {
    let lab = Lab::new();
    for (text, key) in [
        ("[containers]\nenv = [\n", ""),
        ("[containers]\npids_limit = \"many\"\n", "line 2 (last key \"containers.pids_limit\"): "),
        ("[containers]\nenv = \"A=1\"\n", "line 2 (last key \"containers.env\"): "),
        ("[engine]\n\nretry = true\n", "line 3 (last key \"engine.retry\"): "),
        ("[containers]\numask = \"nine\"\n", "not a valid umask nine"),
        ("[containers]\nlog_size_max = 5\n", "log size max should be negative or >= 8192"),
    ] {
        lab.write(OWN, text);
        let error = lab.creel("ps").run().fails(1);
        assert!(error.starts_with("Failed to obtain "), "{error}");
        // Podman looks at forms, unlike at types, when all files are read.
        assert!(error.contains("containers.conf") || is_podman(), "{error}");
        assert!(error.contains(key), "{error}");
    }
    lab.write(OWN, "");
    assert_eq!(lab.ok("ps -aq"), "");
    let wrong = lab.write("storage.conf", "[storage]\ndriver = 1\n");
    let error = lab.creel("ps").env("CONTAINERS_STORAGE_CONF", wrong.to_str().unwrap()).run().fails(1);
    assert!(error.contains("line 2 (last key \"storage.driver\"): incompatible types"), "{error}");
}

#[test]
fn where_the_host_is_and_ports_are_is_the_files_choice() {
    let lab = Lab::new();
    lab.write(
        OWN,
        "[containers]\nhost_containers_internal_ip = \"192.0.2.77\"\nseccomp_profile = \"unconfined\"\n\
         [network]\ndefault_host_ips = [\"127.0.0.1\", \"127.0.0.2\"]\n",
    );
    let show = "run --rm box sh -c 'grep host.containers.internal /etc/hosts; grep Seccomp: /proc/self/status'";
    let shown = lab.ok(show);
    assert_eq!(
        shown.split_whitespace().collect::<Vec<_>>(),
        ["192.0.2.77", "host.containers.internal", "host.docker.internal", "Seccomp:", "0"]
    );
    if is_podman() {
        // It shows the addresses nowhere.
        return;
    }
    lab.ok("create --name two -p 8099:80 -p 127.0.0.9:8098:81 box true");
    let bindings = lab.inspect("two", "{{json .HostConfig.PortBindings}}");
    assert_eq!(
        bindings,
        "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8099\"},{\"HostIp\":\"127.0.0.2\",\"HostPort\":\"8099\"}],\
         \"81/tcp\":[{\"HostIp\":\"127.0.0.9\",\"HostPort\":\"8098\"}]}"
    );
}

#[test]
fn the_host_has_no_name_where_the_file_says_none() {
    let lab = Lab::new();
    lab.write(OWN, "[containers]\nhost_containers_internal_ip = \"none\"\n");
    assert_eq!(lab.ok("run --rm box sh -c 'grep -c internal /etc/hosts || true'"), "0");
}

#[test]
fn health_checks_are_told_unless_the_file_says_otherwise() {
    let lab = Lab::new();
    lab.ok("run -d --name hc --network none --health-cmd true --health-interval disable box sleep 1000");
    lab.ok("healthcheck run hc");
    let told = "events --stream=false --filter event=health_status --format {{.Name}}";
    let before = lab.ok(told).lines().count();
    assert!(before > 0);
    lab.write(OWN, "[engine]\nhealthcheck_events = false\n");
    lab.ok("healthcheck run hc");
    assert_eq!(lab.ok(told).lines().count(), before);
}

#[test]
fn a_key_without_effect_is_said_when_one_listens() {
    if differs_on_purpose("podman has other keys without effect") {
        return;
    }
    let lab = Lab::new();
    lab.write(OWN, "[engine]\nnum_locks = 99\nnonsense = 1\n");
    let quiet = lab.creel("images -q").run();
    quiet.ok();
    assert_eq!(quiet.err(), "");
    let loud = lab.creel("--log-level debug images -q").run();
    loud.ok();
    let said = |text: &str| loud.err().matches(text).count();
    assert_eq!(
        (said("num_locks of [engine] has no effect"), said("nonsense of [engine] is unknown")),
        (1, 1),
        "{loud}"
    );
}

#[test]
fn variables_for_the_engine_reach_what_it_starts() {
    let lab = Lab::new();
    lab.write(OWN, "[engine]\nenv = [\"FROM_CONF=yes\"]\n");
    assert_eq!(lab.ok("run --rm --network none --env-host box sh -c 'echo $FROM_CONF'"), "yes");
    let own =
        lab.creel("run --rm --network none -e FROM_CONF box sh -c 'echo $FROM_CONF'").env("FROM_CONF", "mine").run();
    assert_eq!(own.ok(), "mine");
}

#[test]
fn stores_lie_where_they_are_said_to_and_side_by_side() {
    let lab = Lab::empty();
    let first =
        lab.creel(&format!("--root {} load -q -i {}", lab.path("a").display(), lab.box_archive().display())).run();
    first.ok();
    assert_eq!(first.err(), "");
    let second = format!("--root {} --runroot {}", lab.path("b").display(), lab.path("run-b").display());
    assert_eq!(lab.ok(&format!("{second} images -q")), "");
    assert_eq!(lab.ok("images -q"), "");
    let in_a = format!("--root {}", lab.path("a").display());
    lab.ok(&format!("{in_a} run --name same --network none box true"));
    lab.ok(&format!("{second} load -q -i {}", lab.box_archive().display()));
    lab.ok(&format!("{second} run --name same --network none box true"));
    assert_eq!(lab.ok("ps -aq"), "");
    lab.ok(&format!("{in_a} rm same"));
    assert_eq!(lab.ok(&format!("{second} ps -a --format {{{{.Names}}}}")), "same");
    lab.creel(&format!("{second} --storage-driver colour images")).run().fails(125);
    lab.creel(&format!("{second} --storage-opt colour=red images")).run().fails(125);
    if !differs_on_purpose("Podman's database knows one driver") {
        assert_eq!(lab.ok(&format!("{second} --storage-driver vfs run --rm --network none box echo copied")), "copied");
    }
    lab.ok(&format!("{second} rm same"));
    for store in [in_a.as_str(), second.as_str()] {
        lab.ok(&format!("{store} system reset --force"));
    }
}

#[test]
fn storage_conf_names_root_and_driver() {
    let lab = Lab::empty();
    let (root, run) = (lab.path("elsewhere"), lab.path("run"));
    lab.write(
        ".config/containers/storage.conf",
        format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", root.display(), run.display()),
    );
    let info = lab.ok("info --format '{{.Store.GraphRoot}} {{.Store.RunRoot}} {{.Store.GraphDriverName}}'");
    let words: Vec<&str> = info.split(' ').collect();
    assert!(words[0].starts_with(root.to_str().unwrap()) && words[1].starts_with(run.to_str().unwrap()), "{info}");
    assert_eq!(words[2], "vfs");
    lab.write("other.conf", "[storage]\ndriver = \"overlay\"\n");
    let other =
        lab.creel("info --format {{.Store.GraphDriverName}}").env("CONTAINERS_STORAGE_CONF", "other.conf").run();
    assert_eq!(other.ok(), "overlay");
}

#[test]
fn volumes_lie_where_they_are_said_to() {
    if differs_on_purpose("Podman's database refuses another place than the first one") {
        return;
    }
    let lab = Lab::new();
    let place = lab.folder("volumes-elsewhere");
    let with = format!("--volumepath {}", place.display());
    lab.ok(&format!("{with} run --rm -v vol:/v --network none box sh -c 'echo x > /v/f'"));
    assert_eq!(std::fs::read_to_string(place.join("vol/_data/f")).unwrap(), "x\n");
    assert_eq!(lab.ok(&format!("{with} volume ls -q")), "vol");
    assert_eq!(lab.ok("volume ls -q"), "");
    let rows = lab.json(&format!("{with} system df --format json"));
    assert_eq!(rows[2]["Total"], 1, "{rows}");
    assert_eq!(lab.ok(&format!("{with} system check")), "");
    lab.ok(&format!("{with} volume rm vol"));
    assert!(!place.join("vol").exists());
}

#[test]
fn output_goes_where_it_is_sent() {
    let lab = Lab::new();
    assert_eq!(lab.ok("--noout images -q"), "");
    assert_eq!(lab.ok("--out listing images -q"), "");
    assert_eq!(lab.read("listing").trim(), lab.ok("images -q"));
    let error = lab.creel("--out /no/such/place images").run().fails(1);
    assert_eq!(error.trim(), "unable to open file for standard output: open /no/such/place: no such file or directory");
    lab.creel("--log-level nonsense images").run().fails(1);
}

#[test]
fn a_wrong_global_flag_stops_every_command() {
    let lab = Lab::empty();
    for flag in ["--cgroup-manager colour", "--runtime nosuch-runtime", "--events-backend colour"] {
        let outcome = lab.creel(&format!("{flag} images -q")).run();
        assert_eq!(outcome.exit_code(), 125, "{outcome}");
    }
    for flag in ["--syslog", "--transient-store", "--conmon /nosuch", "--identity x", "--ssh native", "--config /tmp"] {
        let outcome = lab.creel(&format!("{flag} images -q")).run();
        outcome.ok();
        assert_eq!(outcome.err(), "", "{flag}");
    }
}

#[test]
fn the_network_that_is_always_there_has_the_name_and_the_subnet_of_the_file() {
    let lab = Lab::new();
    lab.write(OWN, "[network]\ndefault_network = \"home\"\ndefault_subnet = \"10.77.0.0/24\"\n");
    assert_eq!(lab.ok("network ls -q"), "home");
    assert_eq!(lab.ok("network inspect home --format '{{(index .Subnets 0).Subnet}}'"), "10.77.0.0/24");
    let hosts = lab.ok("run --rm --network bridge --hostname me box cat /etc/hosts");
    assert!(hosts.lines().any(|line| line.starts_with("10.77.0.2\tme")), "{hosts}");
    lab.ok("create --name one --network bridge box true");
    assert_eq!(lab.inspect("one", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}"), "home");
    lab.creel("network rm home").run().fails(125);
    assert_eq!(lab.ok("network prune -f"), "");
    assert_eq!(lab.ok("network ls -q"), "home");
}
