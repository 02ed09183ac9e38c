//! `diff`

use crate::lab::{Lab, eventually};

#[test]
fn added_changed_and_deleted_files_are_listed() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'echo x > /content/new; echo more >> /content/one; rm /content/sub/two; mkdir /fresh; touch /fresh/f'");
    let text = lab.ok("diff one");
    for line in [
        "C /content",
        "A /content/new",
        "C /content/one",
        "C /content/sub",
        "D /content/sub/two",
        "A /fresh",
        "A /fresh/f",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
    }
    let json = lab.json("diff --format json one");
    assert!(json["added"].as_array().unwrap().iter().any(|path| path == "/content/new"), "{json}");
    assert!(json["deleted"].as_array().unwrap().iter().any(|path| path == "/content/sub/two"), "{json}");
}

#[test]
fn a_running_container_is_compared_too() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'touch /mark; idle'");
    lab.log_holds("one", "ready");
    assert!(lab.ok("diff one").contains("A /mark"));
    lab.creel("diff nosuch").run().fails(125);
}

#[test]
fn what_the_program_itself_puts_there_is_no_change() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box true");
    let text = lab.ok("diff one");
    for path in ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run/.containerenv", "/dev", "/proc", "/sys"] {
        assert!(!text.lines().any(|line| line.ends_with(path)), "{text}");
    }
}

#[test]
fn a_folder_that_was_replaced_shows_what_went() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'rm -r /content; mkdir /content; touch /content/one'");
    let text = lab.ok("diff one");
    assert!(text.lines().any(|line| line.starts_with("D /content")), "{text}");
}

#[test]
fn an_image_is_compared_with_what_is_below_its_last_layer() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'echo x > /content/new; rm /content/one'");
    lab.ok("commit -q one derived");
    let expected = lab.ok("image diff derived");
    let mut lines: Vec<&str> = expected.lines().collect();
    // Where something was mounted, a directory is newer.
    lines.retain(|line| *line != "C /etc");
    assert_eq!(lines, ["C /content", "A /content/new", "D /content/one"]);
    assert_eq!(lab.ok("diff derived"), expected);
    assert_eq!(lab.ok("image diff derived box"), expected);
    assert_eq!(lab.json("image diff --format json derived")["added"], serde_json::json!(["/content/new"]));
    assert!(lab.ok("image diff box").lines().all(|line| line.starts_with("A /")));
    lab.creel("image diff nosuch").run().fails(125);
    lab.creel("image diff --format table derived").run().fails(125);
}

#[test]
fn two_objects_are_compared_and_images_with_what_is_below_them() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'mkdir /d; touch /d/e; rm /bin/cat'");
    lab.ok("run --name two --network none box true");
    let lines = |line: &str| lab.ok(line).lines().map(str::to_owned).collect::<Vec<_>>();
    for base in ["two", "box"] {
        let found = lines(&format!("diff one {base}"));
        for expected in ["A /d", "A /d/e", "D /bin/cat"] {
            assert!(found.iter().any(|line| line == expected), "{expected} in {found:?}");
        }
    }
    assert!(lines("diff box one").contains(&"D /d".to_owned()));
    assert!(lines("image diff box").contains(&"A /bin/busybox".to_owned()));
    assert_eq!(lab.ok("image diff box box"), "");
    lab.creel("diff one nosuch").run().fails(125);
}

#[test]
fn a_running_container_is_compared_with_an_image() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'echo x > /new; exec idle'");
    eventually("the file is there", || lab.ok("diff one").contains("A /new"));
    let changes = lab.ok("diff one box");
    assert!(changes.lines().any(|line| line == "A /new"), "{changes}");
    assert!(!changes.contains("/proc") && !changes.contains("/etc/mtab"), "{changes}");
}
