//! Who the first process is, and who it is on the host.

use crate::lab::{Lab, eventually, is_podman, tests_are_root, user};

#[test]
fn users_go_by_name_or_number_with_an_optional_group() {
    let lab = Lab::new();
    for (flag, expected) in [
        ("root", "0:0:0"),
        ("alice", "1000:1000:1000 50"),
        ("1000", "1000:1000:1000 50"),
        ("alice:staff", "1000:50:50"),
        ("4321", "4321:0:0"),
        ("4321:8765", "4321:8765:8765"),
        ("0:50", "0:50:50"),
    ] {
        let text = lab
            .creel_words(&[
                "run",
                "--rm",
                "--network",
                "none",
                "-u",
                flag,
                "box",
                "sh",
                "-c",
                "echo $(id -u):$(id -g):$(id -G)",
            ])
            .run()
            .ok();
        assert_eq!(text, expected, "-u {flag}");
    }
    lab.creel("run --rm --network none -u nobody-here box true").run().fails(126);
    lab.creel("run --rm --network none -u root:no-group box true").run().fails(126);
}

#[test]
fn group_add_gives_further_groups() {
    let lab = Lab::new();
    let text = lab.ok("run --rm --network none -u alice --group-add 77 --group-add staff box id -G");
    let mut groups: Vec<&str> = text.split(' ').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["1000", "50", "77"]);
}

#[test]
fn root_inside_is_the_caller_outside() {
    let lab = Lab::new();
    let data = lab.folder("data");
    lab.ok(&format!("run --rm --network none -v {}:/data box touch /data/mine", data.display()));
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(data.join("mine")).unwrap());
    assert_eq!(owner, user().uid);
    let map = lab.ok("run --rm --network none box cat /proc/self/uid_map");
    let words: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(words[0], "0", "{map}");
    if let Some((first, count)) = user().sub_uids {
        assert_eq!(words[2..], ["1", "1", &first.to_string(), &count.to_string()], "{map}");
    }
}

#[test]
fn other_users_inside_are_subordinate_ids_outside() {
    let lab = Lab::new();
    let Some((first, _)) = user().sub_uids else { return crate::lab::skip("the user has no subordinate ids") };
    let data = lab.folder("data");
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    lab.ok(&format!("run --rm --network none -u alice -v {}:/data box touch /data/hers", data.display()));
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(data.join("hers")).unwrap());
    assert_eq!(owner, first + 999);
}

#[test]
fn keep_id_makes_the_caller_the_same_number_inside() {
    let lab = Lab::new();
    let data = lab.folder("data");
    let line = format!(
        "run --rm --network none --userns keep-id -v {}:/data box sh -c 'id -u; touch /data/f; stat -c %u /data/f /data /bin'",
        data.display()
    );
    let uid = user().uid;
    assert_eq!(lab.ok(&line), format!("{uid}\n{uid}\n{uid}\n0"));
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(data.join("f")).unwrap());
    assert_eq!(owner, uid);
    let text = lab.ok("run --rm --network none --userns keep-id box sh -c 'grep -c \":$(id -u):\" /etc/passwd'");
    assert_eq!(text, "1");
}

#[test]
fn keep_id_can_take_another_number() {
    let lab = Lab::new();
    let data = lab.folder("data");
    let line = format!(
        "run --rm --network none --userns keep-id:uid=1000,gid=1000 -v {}:/data box sh -c 'id -u; id -g; stat -c %u /data'",
        data.display()
    );
    assert_eq!(lab.ok(&line), "1000\n1000\n1000");
}

#[test]
fn an_unknown_user_gets_an_entry_in_etc_passwd() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none -u 4321 box sh -c 'grep -c :4321: /etc/passwd'"), "1");
    let text = lab.creel("run --rm --network none --passwd=false -u 4321 box sh -c 'grep -c :4321: /etc/passwd'").run();
    assert_eq!(text.out(), "0");
}

#[test]
fn the_image_s_user_is_the_default() {
    let lab = Lab::new();
    let draft = crate::lab::image::box_with(serde_json::json!({ "User": "alice" }));
    let archive = lab.write("alice.tar", draft.docker_archive(&["localhost/alices:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    assert_eq!(lab.ok("run --rm --network none alices id -un"), "alice");
    assert_eq!(lab.ok("run --rm --network none -u root alices id -un"), "root");
}

#[test]
fn without_subordinate_ids_one_id_is_enough_to_run() {
    if is_podman() || !tests_are_root() {
        return crate::lab::skip("needs a root test run of creel, to have a user without subordinate ids");
    }
    // Ids that /etc/subuid cannot know.
    let base = std::path::PathBuf::from(format!("/dev/shm/creel-single-{}", std::process::id()));
    std::fs::create_dir(&base).unwrap();
    std::os::unix::fs::chown(&base, Some(54321), Some(54321)).unwrap();
    let run = |flags: &str| {
        let script = format!(
            "exec setpriv --reuid=54321 --regid=54321 --clear-groups env -i HOME={0} XDG_RUNTIME_DIR={0} PATH=$PATH {1} run --rm --network none {flags} localhost/creel/hello --version",
            base.display(),
            crate::lab::program().display()
        );
        std::process::Command::new("sh").args(["-c", &script]).output().unwrap()
    };
    let outcomes = ["", "--userns keep-id", "--userns keep-id:uid=7,gid=8", "--userns keep-id:uid=0,gid=0"].map(run);
    // The last monitor may still be cleaning up.
    eventually("the folder is gone", || std::fs::remove_dir_all(&base).is_ok());
    for ran in outcomes {
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn names_of_the_host_are_taken_for_numbers_that_the_image_does_not_know() {
    let lab = Lab::new();
    let host = std::fs::read_to_string("/etc/passwd").unwrap();
    let games = host.lines().find(|line| line.starts_with("games:")).map(|line| line.split(':').collect::<Vec<_>>());
    if let Some([name, _, uid, _, comment, ..]) = games.as_deref() {
        let line = lab.ok(&format!("run --rm --network none -u {uid} -w /tmp box tail -n 1 /etc/passwd"));
        assert_eq!(line, format!("{name}:*:{uid}:0:{comment}:/tmp:/bin/sh"));
        let line = lab.ok(&format!("run --rm --network none --hostuser {name} box tail -n 1 /etc/passwd"));
        assert!(line.starts_with(&format!("{name}:*:{uid}:")) && line.contains(&format!(":{comment}:")), "{line}");
    }
    assert_eq!(lab.ok("run --rm --network none -u alice:77 box tail -n 1 /etc/group"), "77:x:77:alice");
    assert_eq!(lab.ok("run --rm --network none -u 1000:77 box tail -n 1 /etc/group"), "77:x:77:1000");
    assert!(
        lab.creel("run --rm --network none -u -1 box id").run().fails(126).contains("must be in range 0-2147483647")
    );
}
