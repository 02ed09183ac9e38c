//! `mount`, `unmount` and their kin for images: of use inside of `unshare` only.

use crate::lab::{Lab, is_podman};

/// Runs a script in the user namespace, with `$P` for the program under test.
fn inside(lab: &Lab, script: &str) -> String {
    let program = crate::lab::program().display().to_string();
    lab.creel_words(&["unshare", "sh", "-c", &format!("P={program}; {script}")]).run().ok()
}

#[test]
fn a_root_file_system_is_mounted_for_whoever_is_inside() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box cat /hello");
    let error = lab.creel("mount one").run().fails(125);
    assert!(error.contains("unshare"), "{error}");
    let text = inside(
        &lab,
        "d=$($P mount one); test -x $d/bin/busybox && echo hi > $d/hello; $P mount | wc -l; $P mount --format json; $P umount one; $P mount | wc -l",
    );
    assert!(text.starts_with("1\n[\n {\n") && text.contains("\"mountpoint\": ") && text.ends_with("one\n0"), "{text}");
    assert_eq!(lab.ok("start -a one"), "hi");
}

#[test]
fn a_running_container_is_where_its_processes_see_it() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    let text = inside(&lab, "d=$($P mount one); echo there > $d/tmp-file; $P umount one");
    assert_eq!(text, "one");
    assert_eq!(lab.ok("exec one cat /tmp-file"), "there");
}

#[test]
fn a_mounted_container_can_be_started_and_removed() {
    let lab = Lab::new();
    if is_podman() {
        return;
    }
    lab.ok("create --name one --network none box true");
    let text =
        inside(&lab, "$P mount one >/dev/null; $P start -a one && $P wait one; $P mount one > /dev/null; $P rm one");
    assert_eq!(text, "0\none");
}

#[test]
fn an_image_is_mounted_to_be_read() {
    let lab = Lab::new();
    lab.creel("image mount box").run().fails(125);
    let text = inside(
        &lab,
        "d=$($P image mount box); test -x $d/bin/busybox && ! touch $d/x 2>/dev/null && echo well; $P image mount | grep -c box; $P image umount box >/dev/null; $P image mount",
    );
    assert_eq!(text, "well\n1");
}
