//! `volume`

use crate::lab::Lab;

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
    let lab = Lab::empty();
    for bad in ["a/b", ".a", "a b"] {
        lab.creel_words(&["volume", "create", bad]).run().fails(125);
    }
    lab.ok("volume create one");
    lab.ok("volume create two");
    assert_eq!(lab.ok("volume rm one two"), "one\ntwo");
    lab.ok("volume create three");
    lab.ok("volume rm --all");
    assert_eq!(lab.ok("volume ls -q"), "");
}
