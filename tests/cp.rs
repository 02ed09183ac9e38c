//! `cp`

use std::io::Write;

use crate::lab::{Lab, differs_on_purpose, eventually};

#[test]
fn a_file_goes_in_and_comes_out() {
    let lab = Lab::new();
    lab.write("in", "payload\n");
    lab.ok("run -d --name one --network none box idle");
    lab.ok("cp in one:/tmp/");
    assert_eq!(lab.ok("exec one cat /tmp/in"), "payload");
    lab.ok("cp in one:/tmp/renamed");
    assert_eq!(lab.ok("exec one cat /tmp/renamed"), "payload");
    lab.ok("cp one:/tmp/renamed out");
    assert_eq!(lab.read("out"), "payload\n");
}

#[test]
fn a_stopped_container_can_be_copied_into_and_out_of() {
    let lab = Lab::new();
    lab.write("in", "payload\n");
    lab.ok("create --name one --network none box cat /in");
    lab.ok("cp in one:/in");
    assert_eq!(lab.ok("start -a one"), "payload");
    lab.ok("cp one:/content/one out");
    assert_eq!(lab.read("out"), "one\n");
}

#[test]
fn folders_are_copied_whole_or_by_content() {
    let lab = Lab::new();
    lab.write("tree/a/b", "deep\n");
    lab.write("tree/top", "top\n");
    lab.ok("run -d --name one --network none box idle");
    lab.ok("cp tree one:/fresh");
    assert_eq!(lab.ok("exec one cat /fresh/a/b"), "deep");
    lab.ok("cp tree one:/tmp");
    assert_eq!(lab.ok("exec one cat /tmp/tree/top"), "top");
    lab.ok("cp tree/. one:/content");
    assert_eq!(lab.ok("exec one cat /content/a/b /content/one"), "deep\none");
    lab.ok("cp one:/content back");
    assert_eq!(lab.read("back/sub/two"), "two\n");
    assert_eq!(lab.read("back/a/b"), "deep\n");
}

#[test]
fn tar_streams_go_through_standard_input_and_output() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box idle");
    let outcome = lab.creel("cp one:/content -").run();
    assert_eq!(outcome.exit_code(), 0);
    let mut archive = tar::Archive::new(outcome.stdout.as_slice());
    let names: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert!(names.iter().any(|name| name == "content/sub/two"), "{names:?}");
    let stream = crate::lab::archive::Archive::new().file("streamed", 0o640, "in a stream\n").bytes();
    lab.creel("cp - one:/tmp").input(stream).run().ok();
    assert_eq!(lab.ok("exec one cat /tmp/streamed"), "in a stream");
}

#[test]
fn from_container_to_container() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box idle");
    lab.ok("create --name two --network none box cat /tmp/one");
    lab.ok("cp one:/content/one two:/tmp/");
    assert_eq!(lab.ok("start -a two"), "one");
}

#[test]
fn within_a_stopped_container_and_crosswise_nobody_waits_for_ever() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box cat /tmp/one /tmp/copy/two");
    lab.ok("create --name two --network none box true");
    lab.ok("cp one:/content/one one:/tmp/");
    lab.ok("cp one:/content one:/tmp/copy");
    if crate::lab::differs_on_purpose("two copies crosswise wait for each other for ever") {
        return;
    }
    // Each copy holds both containers, and each begins with another one.
    let copies: Vec<_> = (0..8)
        .map(|round| match round % 2 {
            0 => lab.creel("cp one:/content/one two:/tmp/").spawn(),
            _ => lab.creel("cp two:/content/sub/two one:/tmp/copy/").spawn(),
        })
        .collect();
    for copy in copies {
        copy.end().ok();
    }
    assert_eq!(lab.ok("start -a one"), "one\ntwo");
}

#[test]
fn modes_and_owners_are_kept() {
    let lab = Lab::new();
    let path = lab.executable("tool", "#!/bin/sh\n");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    lab.ok("run -d --name one --network none box idle");
    lab.ok("cp tool one:/tmp/tool");
    assert_eq!(lab.ok("exec one stat -c '%a %u' /tmp/tool"), "750 0");
    lab.ok("exec one chown alice /tmp/tool");
    lab.ok("cp one:/tmp/tool back");
    let metadata = std::fs::metadata(lab.path("back")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o750);
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), crate::lab::user().uid);
}

#[test]
fn links_inside_lead_nowhere_outside() {
    // CVE-2018-15664, CVE-2019-14271: a link in the container, resolved on the host.
    let lab = Lab::new();
    lab.write("secret", "of the host\n");
    lab.write("in", "payload\n");
    let home = lab.home();
    lab.creel_words(&[
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "none",
        "box",
        "sh",
        "-c",
        &format!("ln -s {0} /out; ln -s {0}/secret /leak; idle", home.display()),
    ])
    .run()
    .ok();
    lab.log_holds("one", "ready");
    assert_ne!(lab.creel("cp one:/leak got").run().exit_code(), 0);
    let _ = lab.creel("cp in one:/out/planted").run();
    assert!(!lab.path("planted").exists());
    assert!(!lab.path("got").exists() || lab.path("got").is_symlink());
}

#[test]
fn missing_sources_and_targets_are_errors() {
    let lab = Lab::new();
    lab.write("in", "");
    lab.ok("run -d --name one --network none box idle");
    for bad in [
        "cp nosuch one:/tmp",
        "cp one:/nosuch .",
        "cp in one:/no/such/folder/",
        "cp in nosuch:/tmp",
        "cp in",
        "cp one:/content in",
    ] {
        assert_eq!(lab.creel(bad).run().exit_code(), 125, "{bad}");
    }
}

#[test]
fn volumes_of_the_container_are_reached() {
    let lab = Lab::new();
    lab.write("in", "payload\n");
    lab.ok("create --name one -v store:/store --network none box true");
    lab.ok("cp in one:/store/in");
    assert_eq!(lab.ok("run --rm --network none -v store:/s box cat /s/in"), "payload");
}

#[test]
fn a_stream_has_names_as_tar_writes_them() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'mkdir -p /d/s; echo x > /d/x; ln -s /d /link; ln -s d/x /file'");
    for (path, expected) in [("/d", "d/ d/s/ d/x"), ("/link", "d/ d/s/ d/x"), ("/d/.", "s/ x"), ("/file", "x")] {
        let names = lab.shell(&format!("creel cp one:{path} - | tar t | sort")).run().ok();
        assert_eq!(names.replace('\n', " "), expected, "{path}");
    }
    // A link in a container goes by the name of what it leads to, one of the host by its own.
    let out = lab.folder("out");
    lab.ok(&format!("cp one:/file {}/", out.display()));
    assert_eq!(lab.read("out/x"), "x\n");
    let text = lab.creel("cp - one:/tmp").run().fails(125);
    assert!(text.contains("source must be a (compressed) tar archive"), "{text}");
    let text = lab.creel("cp one: out").run().fails(125);
    assert!(text.contains("you must specify paths"), "{text}");
}

#[test]
fn a_directory_becomes_no_file_and_a_slash_means_one_that_is_there() {
    let lab = Lab::new();
    lab.write("dir/f", "x");
    lab.ok("create --name one --network none box true");
    for line in ["cp dir one:/etc/passwd", "cp --overwrite dir one:/etc/passwd"] {
        let error = lab.creel(line).run().fails(125);
        assert!(error.contains("destination must be a directory when copying a directory"), "{line}: {error}");
    }
    let error = lab.creel("cp dir/ one:/new/").run().fails(125);
    assert!(error.contains("\"/new/\" could not be found on container one"), "{error}");
    lab.ok("cp dir/ one:/new");
}

#[test]
fn a_copy_that_waits_for_its_input_holds_up_nobody() {
    if differs_on_purpose("a start while files are copied is refused") {
        return;
    }
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    let copy = lab.creel("cp - one:/tmp").spawn();
    eventually("the copy has the files open", || lab.files_are_open("one"));
    let error = lab.creel("start one").run().fails(125);
    assert!(error.contains(&format!("the files of container one are open in process {} (", copy.pid())), "{error}");
    assert_eq!(lab.state("one"), "created");
    lab.ok("rename one two");
    lab.ok("rm two");
    assert_eq!(lab.ok("ps -aq"), "");
    copy.end().fails(125);

    lab.ok("create --name one --network none box cat /tmp/name");
    lab.write("name", "here");
    let mut copy = lab.shell("cat | creel cp - one:/tmp").spawn();
    eventually("the copy has the files open", || lab.files_are_open("one"));
    let start = lab.creel("start -a one").spawn();
    let archive = crate::lab::archive::Archive::new().file("name", 0o644, b"here").bytes();
    copy.stdin.take().unwrap().write_all(&archive).unwrap();
    copy.end().ok();
    assert_eq!(start.end().ok(), "here", "a start waits for a copy that is nearly through");
}
