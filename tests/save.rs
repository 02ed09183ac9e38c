//! `save`

use crate::lab::{Lab, has_program, image};

#[test]
fn every_format_can_be_loaded_again_with_the_same_id() {
    let lab = Lab::new();
    let id = image::box_draft().id();
    for format in ["docker-archive", "oci-archive"] {
        lab.ok(&format!("save -q --format {format} -o {format}.tar box"));
        lab.ok("rmi box");
        assert!(lab.ok(&format!("load -q -i {format}.tar")).contains("localhost/box:latest"));
        // The other format may spell the configuration anew, and with it the id.
        if format == "docker-archive" {
            assert_eq!(lab.ok("image inspect --format {{.Id}} box"), id);
        }
        assert_eq!(lab.ok("run --rm --network none box cat /content/sub/two"), "two");
    }
    for format in ["oci-dir", "docker-dir"] {
        lab.ok(&format!("save -q --format {format} -o {format} box"));
        assert!(lab.path(format).is_dir());
    }
}

#[test]
fn others_can_read_what_was_saved() {
    let lab = Lab::new();
    if !has_program("skopeo") {
        return;
    }
    for (format, transport) in [
        ("docker-archive", "docker-archive"),
        ("oci-archive", "oci-archive"),
        ("oci-dir", "oci"),
        ("docker-dir", "dir"),
    ] {
        let path = lab.path(&format!("saved-{format}"));
        lab.ok(&format!("save -q --format {format} -o {} box", path.display()));
        // In the user namespace: an older skopeo wants to give the files of an archive to their owner, root.
        let read = lab.ok(&format!("unshare skopeo inspect --config {transport}:{}", path.display()));
        let config: serde_json::Value = serde_json::from_str(&read).unwrap();
        assert_eq!(config["config"]["Labels"]["kind"], "box", "{format}");
    }
}

#[test]
fn standard_output_takes_an_archive_but_no_terminal() {
    let lab = Lab::new();
    let saved = lab.creel("save -q box").run();
    assert_eq!(saved.exit_code(), 0);
    lab.ok("rmi box");
    lab.creel("load -q").input(saved.stdout.clone()).run().ok();
    lab.ok("image exists box");
    let mut terminal = lab.terminal("save box");
    terminal.expect("refusing to save to terminal");
    assert_eq!(terminal.end(), 125);
}

#[test]
fn several_images_go_into_one_archive() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box touch /x");
    lab.ok("commit -q one derived");
    lab.ok("save -q -m -o both.tar box derived");
    lab.ok("rm one");
    lab.ok("rmi -f box derived");
    let text = lab.ok("load -q -i both.tar");
    assert!(text.contains("localhost/box:latest") && text.contains("localhost/derived:latest"), "{text}");
}

#[test]
fn a_missing_image_is_an_error_and_leaves_no_file() {
    let lab = Lab::new();
    lab.creel("save -q -o x.tar nosuch").run().fails(125);
    lab.creel("save -q --format nonsense -o x.tar box").run().fails(125);
    assert!(!lab.path("x.tar").exists());
}

#[test]
fn what_is_written_is_told_unless_quiet() {
    let lab = Lab::new();
    let told = lab.creel("save -o a.tar box").run();
    assert!(told.err().starts_with("Copying blob sha256:"), "{told}");
    assert!(told.err().ends_with("Writing manifest to image destination"), "{told}");
    assert_eq!(lab.creel("save -q -o b.tar box").run().err(), "");
    let error = lab.creel("save -o a:b box").run().fails(125);
    assert!(error.contains("invalid filename (should not contain ':') \"a:b\""), "{error}");
}

#[test]
fn a_docker_archive_has_what_old_readers_look_for() {
    let lab = Lab::new();
    lab.write("context/Containerfile", "FROM localhost/box\nRUN echo 1 > /1\n");
    lab.ok("build -q -t made context");
    lab.ok("tag made example.org:5000/a/b:c");
    lab.ok("save -q -o all.tar made example.org:5000/a/b:c");
    let member = |name: &str| -> serde_json::Value {
        serde_json::from_str(&lab.shell(&format!("tar xOf all.tar {name}")).run().ok()).unwrap()
    };
    let repositories = member("repositories");
    let top = repositories["localhost/made"]["latest"].as_str().unwrap();
    assert_eq!(repositories["example.org:5000/a/b"]["c"], top);
    let about = member(&format!("{top}/json"));
    assert_eq!((&about["id"], &about["os"]), (&top.into(), &"linux".into()));
    let below = about["parent"].as_str().unwrap();
    assert_eq!(member(&format!("{below}/json"))["id"], below);
    assert_eq!(lab.shell(&format!("tar xOf all.tar {top}/VERSION")).run().ok(), "1.0");
    lab.shell("mkdir all && tar xf all.tar -C all").run().ok();
    assert!(lab.path(&format!("all/{top}/layer.tar")).exists(), "the link leads nowhere");
    lab.ok("rmi -a -f");
    lab.ok("load -q -i all.tar");
    assert_eq!(lab.ok("run --rm --network none made cat /1"), "1");
}
