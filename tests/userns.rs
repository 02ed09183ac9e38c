//! `--userns`, `--uidmap` and their kin: which ids a container has, and whose files it sees as whose.

use crate::lab::{Lab, is_podman, skip, user};

/// The first lines of a container's uid map, columns by one space.
fn map(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn uid_map(lab: &Lab, flags: &str) -> Vec<String> {
    map(&lab.creel(&format!("run --rm --network none {flags} box cat /proc/self/uid_map")).run().ok())
}

#[test]
fn automatic_ids_are_nobody_elses() {
    let lab = Lab::new();
    lab.creel("run -d --name one --network none --userns auto:size=2000 box sleep 1000").run().ok();
    lab.creel("run -d --name two --network none --userns auto:size=2000 box sleep 1000").run().ok();
    assert_eq!(map(&lab.ok("exec one cat /proc/self/uid_map")), ["0 1 2000"]);
    assert_eq!(map(&lab.ok("exec two cat /proc/self/uid_map")), ["0 2001 2000"]);
    // What is stopped keeps its ids.
    lab.ok("stop -t 0 one");
    assert_eq!(uid_map(&lab, "--userns auto:size=1500"), ["0 4001 1500"]);
    lab.ok("start one");
    assert_eq!(map(&lab.ok("exec one cat /proc/self/gid_map")), ["0 1 2000"]);
    let host_config = &lab.json("inspect one")[0]["HostConfig"];
    assert_eq!(host_config["UsernsMode"], "private");
    assert_eq!(host_config["IDMappings"]["UidMap"], serde_json::json!(["0:1:2000"]));
    assert_eq!(lab.ok("exec one stat -c %u /bin/sh"), "0");
    // Given back with the container.
    lab.ok("rm -f -t 0 one");
    assert_eq!(uid_map(&lab, "--userns auto"), ["0 1 1024"]);
    lab.creel("run --rm --network none --userns auto:size=4000000 box true").run().fails(125);
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "two");
}

#[test]
fn maps_can_be_written_out() {
    let lab = Lab::new();
    assert_eq!(uid_map(&lab, "--uidmap 0:1:100 --uidmap 1000:0:1"), ["0 1 100", "1000 0 1"]);
    let found = uid_map(&lab, "--uidmap +10:0:1");
    assert_eq!(found[..2], ["0 1 10", "10 0 1"]);
    assert_eq!(uid_map(&lab, "--userns nomap")[0].split(' ').take(2).collect::<Vec<_>>(), ["0", "1"]);
    // A file of the caller's belongs to whom its id is given.
    lab.write("mine", "x");
    let mount = format!("-v {}/mine:/mine", lab.home().display());
    assert_eq!(
        lab.creel(&format!("run --rm --network none --uidmap +10:0:1 {mount} box stat -c %u /mine")).run().ok(),
        "10"
    );
}

#[test]
fn wrong_maps_are_refused_before_anything_is_made() {
    let lab = Lab::new();
    let table = [
        ("--uidmap a", "UID setting is malformed"),
        ("--uidmap x0:0:5", "Unknown flag 120"),
        ("--uidmap 0:0:0", "must provide at least one UID or GID mapping"),
        ("--uidmap 0:@1:1", "parent ID UID 1 is not mapped/delegated"),
        ("--uidmap 0:0:5 --uidmap 3:10:5", "conflicts with other mappings"),
        ("--userns auto:size=x", "strconv.ParseUint: parsing \"x\": invalid syntax"),
        ("--userns ns:/nonexist", "cannot find specified user namespace path"),
        ("--userns container:nope", "no such container"),
        ("--userns private", "must provide at least one UID or GID mapping"),
        ("--userns keep-id --uidmap 0:0:1", "are mutually exclusive"),
        ("--subuidname nosuchuser", "no subuid ranges found for user \"nosuchuser\" in /etc/subuid"),
        ("--group-add keep-groups --group-add 5", "is not allowed with any other --group-add options"),
    ];
    for (flags, expected) in table {
        let text = lab.creel(&format!("create {flags} box true")).run().fails(125);
        assert!(text.contains(expected), "{flags}: {text}");
    }
    if !is_podman() {
        for flags in ["--uidmap 10:0", "--uidmap 0:0:4000000"] {
            lab.creel(&format!("create {flags} box true")).run().fails(125);
        }
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn another_containers_user_namespace_is_joined() {
    let lab = Lab::new();
    lab.creel("run -d --name one --network none --userns auto:size=1500 box sleep 1000").run().ok();
    let namespace = lab.ok("exec one readlink /proc/self/ns/user");
    let flags = "--network none --userns container:one";
    assert_eq!(lab.ok(&format!("run --rm {flags} box readlink /proc/self/ns/user")), namespace);
    assert_eq!(lab.ok(&format!("run --rm {flags} box stat -c %u /bin/sh")), "0");
    let pid = lab.inspect("one", "{{.State.Pid}}");
    if !is_podman() {
        let flags = format!("--network none --userns ns:/proc/{pid}/ns/user");
        assert_eq!(lab.ok(&format!("run --rm {flags} box readlink /proc/self/ns/user")), namespace);
        assert_eq!(lab.ok(&format!("run --rm {flags} box stat -c %u /bin/sh")), "0");
    }
    // Together with what belongs to it.
    assert!(lab.ok(&format!("run --rm {flags} --pid container:one box ps -o args")).contains("sleep 1000"));
}

#[test]
fn the_first_copy_of_an_image_for_other_ids_is_said() {
    if is_podman() {
        return;
    }
    let lab = Lab::new();
    let first = lab.creel("run --rm --network none --userns auto:size=1500 box true").run();
    let second = lab.creel("run --rm --network none --userns auto:size=1500 box true").run();
    assert_eq!(second.err(), "");
    assert!(
        first.err().is_empty() || first.err().contains("the image is copied for this container's ids"),
        "{}",
        first.err()
    );
}

#[test]
fn the_callers_groups_stay_when_asked() {
    let lab = Lab::new();
    // Nobody else can see into the process's group list; who has none keeps none.
    let groups =
        |flags: &str| lab.ok(&format!("run --rm --network none {flags} box sh -c 'grep Groups /proc/self/status'"));
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find(|line| line.starts_with("Groups")).unwrap().split_whitespace().count() - 1;
    let kept = groups("--group-add keep-groups");
    if own == 0 {
        assert_eq!(kept.split_whitespace().count(), 1, "{kept}");
    }
    assert_eq!(groups("--group-add 5").split_whitespace().collect::<Vec<_>>(), ["Groups:", "5"]);
}

#[test]
fn the_caller_has_a_name_and_a_group_inside() {
    let lab = Lab::new();
    let (user, group) = (lab.shell("id -un").run().ok(), lab.shell("id -gn").run().ok());
    let (uid, gid) = (lab.shell("id -u").run().ok(), lab.shell("id -g").run().ok());
    let passwd = lab.ok("run --rm --network none --userns keep-id box cat /etc/passwd");
    assert!(passwd.lines().any(|line| line.starts_with(&format!("{user}:*:{uid}:{gid}:"))), "{passwd}");
    let groups = lab.ok("run --rm --network none --userns keep-id box cat /etc/group");
    assert!(groups.lines().any(|line| line == format!("{group}:x:{gid}:{user}")), "{groups}");
}

#[test]
fn maps_may_join_the_callers_own_id_and_sub_ids() {
    if user().sub_uids.is_none() {
        return skip("the maps are of sub-ids");
    }
    let lab = Lab::new();
    assert_eq!(uid_map(&lab, "--uidmap 0:0:2000"), ["0 0 1", "1 1 1999"]);
    assert_eq!(uid_map(&lab, "--uidmap 0:2000:10 --uidmap 10:0:1500"), ["0 2000 10", "10 0 1", "11 1 1499"]);
}

#[test]
fn a_user_namespace_of_its_own_can_join_a_network() {
    if user().sub_uids.is_none() {
        return skip("the maps are of sub-ids");
    }
    let lab = Lab::new();
    // A file of defaults is for networks of one's own.
    lab.write(
        ".config/containers/containers.conf",
        "[containers]\ndefault_sysctls = [\"net.ipv4.ping_group_range=0 0\"]\n",
    );
    lab.ok("run -d --name one --network none box idle");
    assert_eq!(lab.creel("run --rm --userns keep-id --network container:one box echo here").run().ok(), "here");
}
