//! `volume`

use crate::lab::{Lab, differs_on_purpose, eventually};

#[test]
fn content_goes_out_and_in_as_a_tar() {
    let lab = Lab::new();
    lab.ok("run --rm --network none -v one:/v box sh -c 'echo kept > /v/f; chown 1000 /v/f'");
    lab.ok("volume export -o out.tar one");
    lab.ok("volume create two");
    lab.ok("volume import two out.tar");
    assert_eq!(lab.ok("run --rm --network none -v two:/v box sh -c 'cat /v/f; stat -c %u /v/f'"), "kept\n1000");
    let bytes = std::fs::read(lab.path("out.tar")).unwrap();
    lab.ok("volume create three");
    lab.creel("volume import three -").input(bytes).run().ok();
    assert_eq!(lab.ok("run --rm --network none -v three:/v box cat /v/f"), "kept");
    lab.creel("volume export nosuch").run().fails(125);
}

#[test]
fn lists_are_filtered_and_formatted() {
    let lab = Lab::new();
    lab.ok("volume create -l k=v one");
    lab.ok("volume create two");
    lab.ok("create --name user -v two:/x --network none box true");
    let text = lab.ok("volume ls");
    assert_eq!(text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), ["DRIVER", "VOLUME", "NAME"]);
    for (filter, expected) in [
        ("label=k=v", "one"),
        ("label=k", "one"),
        ("name=^t", "two"),
        ("dangling=true", "one"),
        ("dangling=false", "two"),
        ("driver=local", "one\ntwo"),
    ] {
        let mut names: Vec<String> =
            lab.ok(&format!("volume ls -q --filter {filter}")).lines().map(str::to_owned).collect();
        names.sort();
        assert_eq!(names.join("\n"), expected, "{filter}");
    }
    let json = lab.json("volume ls --format json");
    for key in ["Name", "Driver", "Mountpoint", "CreatedAt", "Labels", "Scope", "Options"] {
        assert!(json[0].get(key).is_some(), "{key} in {json}");
    }
    lab.creel("volume ls --filter nonsense=1").run().fails(125);
    assert_eq!(lab.json("volume inspect --all").as_array().unwrap().len(), 2);
}

#[test]
fn names_are_checked_and_many_are_removed_at_once() {
    let lab = Lab::new();
    for bad in ["a/b", ".a", "a b"] {
        lab.creel_words(&["volume", "create", bad]).run().fails(125);
    }
    lab.ok("volume create one");
    lab.ok("volume create two");
    assert_eq!(lab.ok("volume rm one two"), "one\ntwo");
    lab.ok("create --name user --network none -v three:/three box true");
    let error = lab.creel("volume rm three nosuch").run().fails(2);
    assert!(error.starts_with("Error: no volume with name \"nosuch\" found: no such volume\n"), "{error}");
    lab.ok("rm user");
    lab.ok("volume rm --all");
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn a_volume_of_type_tmpfs_is_one_for_all_that_run_with_it() {
    let lab = Lab::new();
    lab.ok("volume create -o type=tmpfs -o device=tmpfs -o o=size=2m,mode=700 mem");
    lab.ok("run -d --name one --network none -v mem:/m box sh -c 'echo shared > /m/f; sleep 1000'");
    eventually("the file is there", || lab.creel("exec one test -s /m/f").run().exit_code() == 0);
    assert_eq!(lab.ok("run --rm --network none -v mem:/m box cat /m/f"), "shared");
    assert!(lab.ok("run --rm --network none -v mem:/m box grep ' /m ' /proc/self/mountinfo").contains("size=2048k"));
    lab.ok("rm -f -t 0 one");
    assert_eq!(lab.ok("run --rm --network none -v mem:/m box ls /m"), "");
}

#[test]
fn a_volume_can_be_a_directory_of_the_host() {
    let lab = Lab::new();
    lab.write("dir/f", "mine");
    let device = lab.home().join("dir").display().to_string();
    lab.creel(&format!("volume create -o type=none -o o=bind -o device={device} dir")).run().ok();
    assert_eq!(lab.ok("run --rm --network none -v dir:/m box cat /m/f"), "mine");
    let flags = lab.ok("run --rm --network none -v dir:/m box grep ' /m ' /proc/self/mountinfo");
    assert!(flags.contains("nosuid,nodev"), "{flags}");
}

#[test]
fn a_volume_can_be_an_image() {
    let lab = Lab::new();
    lab.ok("volume create -d image -o image=box files");
    assert!(lab.ok("run --rm --network none -v files:/m box ls /m").contains("bin"));
    lab.creel("volume create -d image other").run().fails(125);
    if !differs_on_purpose("an image is not changed through a volume") {
        lab.creel("run --rm --network none -v files:/m box touch /m/x").run().fails(1);
    }
}

#[test]
fn what_cannot_be_a_volume_is_refused() {
    let lab = Lab::empty();
    let table = [
        ("-o foo=bar", "invalid mount option foo for driver 'local': invalid argument"),
        ("-o o=uid=x", "cannot convert UID x to integer"),
        ("-o o=size=1m", "volume options size and inodes not supported"),
        ("-o o=timeout=5", "Volume driver timeout can only be used with non-local volume drivers"),
        ("-d nope", "required plugin missing"),
    ];
    for (options, expected) in table {
        let text = lab.creel(&format!("volume create {options} v")).run().fails(125);
        assert!(text.contains(expected), "{options}: {text}");
    }
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn volumes_are_told_of_in_podman_s_words() {
    let lab = Lab::empty();
    // The order they were made in.
    for name in ["second", "first", "third"] {
        lab.ok(&format!("volume create {name}"));
    }
    assert_eq!(lab.ok("volume ls -q"), "second\nfirst\nthird");
    assert_eq!(lab.ok("volume ls -q --filter 'name=['"), "");
    assert_eq!(lab.creel_words(&["volume", "create", ""]).run().out().len(), 64);
    lab.ok("volume create -o o=noquota free");
    assert_eq!(lab.json("volume inspect free")[0]["Options"], serde_json::json!({"NOQUOTA": "true"}));
    for (line, words) in [
        ("volume create -o o=size=x x", "cannot convert size x to integer: invalid size: 'x'"),
        ("volume create -o o=inodes=x x", "cannot convert inodes x to integer: strconv.ParseUint: parsing \"x\""),
        ("volume create -o o=timeout=x x", "cannot convert Timeout x to an integer: strconv.Atoi: parsing \"x\""),
        (
            "volume create -d image -o image=nope x",
            "looking up image nope to create volume failed: nope: image not known",
        ),
        ("volume ls --filter until=x", "failed to parse value as time or duration: \"x\""),
        ("volume ls --filter since=nope", "no volume with name \"nope\" found: no such volume"),
        ("volume rm -t 0 first", "--force option must be specified to use the --time option"),
        ("volume import first", "accepts 2 arg(s), received 1"),
        ("volume import first /", "extracting into volume first: "),
        ("volume export -o /nope/x first", "unable to create target file path \"/nope/x\": open /nope/x: no such file"),
    ] {
        let said = lab.creel(line).run().fails(125);
        assert!(said.contains(words), "{line}: {said}");
    }
    let said = lab.creel("volume inspect nope first never").run().fails(125);
    assert_eq!(said.lines().collect::<Vec<_>>()[..2], ["no such volume never", "Error: no such volume nope"]);
    lab.ok("volume export -o out.tar first");
    assert_eq!(lab.shell("tar tf out.tar").run().ok(), "");
}
