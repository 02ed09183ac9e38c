//! `debug`: the tools of another image beside a container that has none.

use crate::lab::{Lab, differs_on_purpose, eventually};

fn nobody_debugs() -> bool {
    differs_on_purpose("podman has no debug")
}

/// The image in creel itself has one program and no shell.
fn with_target(flags: &str) -> Lab {
    let lab = Lab::new();
    lab.ok(&format!("run -d --name target --network none {flags} creel/hello"));
    lab
}

#[test]
fn it_sees_what_the_container_sees_and_leaves_nothing() {
    if nobody_debugs() {
        return;
    }
    let lab = with_target("-v data:/data -e PORT=81");
    let before = lab.ok("diff target");
    let seen = lab.ok("debug --image box target ps -o pid,args");
    assert!(seen.lines().any(|line| line.trim().starts_with("1 /creel __hello")), "{seen}");
    for kind in ["net", "ipc", "uts", "pid", "user"] {
        let own = lab.ok(&format!("debug --image box target readlink /proc/self/ns/{kind}"));
        assert_eq!(own, lab.ok(&format!("debug --image box target readlink /proc/1/ns/{kind}")), "{kind}");
    }
    assert!(lab.ok("debug --image box target sh -c 'tr \"\\0\" \"\\n\" < /proc/1/environ'").contains("PORT=81"));
    let script =
        "echo own > /own; echo kept > /mnt/root/data/note; test -e /proc/1/root/creel && test -e /mnt/root/creel";
    lab.ok(&format!("debug --image box target sh -c '{script}'"));
    assert_eq!(lab.ok("run --rm --network none -v data:/data box cat /data/note"), "kept");
    assert_eq!(lab.ok("diff target"), before);
    assert_eq!(lab.ok("ps -aq").lines().count(), 1);
    lab.creel("debug --image box target sh -c 'exit 7'").run().code(7);
    assert_eq!(lab.creel("debug --image box -i target cat").input("typed").run().ok(), "typed");
    assert_eq!(lab.creel("debug --image box target cat").input("typed").run().ok(), "");
}

#[test]
fn the_image_is_named_once_or_for_good() {
    if nobody_debugs() {
        return;
    }
    let lab = with_target("");
    let error = lab.creel("debug target true").run().fails(125);
    assert!(error.contains("no image of tools is named") && error.contains("debug_image"), "{error}");
    lab.write("containers.conf", "[engine]\ndebug_image = \"box\"\n");
    let set = ("CONTAINERS_CONF_OVERRIDE", lab.path("containers.conf").display().to_string());
    assert_eq!(lab.creel("debug target echo found").env(set.0, &set.1).run().ok(), "found");
    let error = lab.creel("debug --shell sh target echo").env(set.0, &set.1).run().fails(125);
    assert!(error.contains("not both"), "{error}");
    lab.creel("debug --image box nosuch").run().fails(125);
    lab.creel("debug --image box").run().fails(125);
}

#[test]
fn a_container_with_ids_of_its_own_is_seen_with_those() {
    if nobody_debugs() {
        return;
    }
    let lab = with_target("--userns nomap --user 12:13");
    let seen = lab.ok("debug --image box target sh -c 'stat -c %u:%g /proc/1; ls /proc/1/root/creel /mnt/root/creel'");
    assert_eq!(seen, "12:13\n/mnt/root/creel\n/proc/1/root/creel");
}

#[test]
fn a_stopped_container_has_its_files_changed_and_is_not_started_meanwhile() {
    if nobody_debugs() {
        return;
    }
    let lab = with_target("-v data:/data");
    lab.ok("stop -t 0 target");
    lab.ok(
        "debug --image box target sh -c 'echo mended > /mnt/root/tmp/note; echo too > /mnt/root/data/note; touch /own'",
    );
    assert_eq!(lab.state("target"), "exited");
    lab.ok("cp target:/tmp/note note");
    assert_eq!(lab.read("note"), "mended\n");
    let diff = lab.ok("diff target");
    assert!(diff.contains("A /tmp/note") && !diff.contains("own"), "{diff}");

    let session = lab.creel("debug --name session --image box target idle").spawn();
    eventually("the session runs", || lab.creel("ps -q -f name=session").run().out() != "");
    for line in ["start target", "rm target", "cp note target:/tmp", "debug --image box target true"] {
        let error = lab.creel(line).run().fails(125);
        assert!(error.contains("session") || error.contains("dependent"), "{line}: {error}");
    }
    lab.ok("rm -f -t 0 session");
    session.end().code(137);
    lab.ok("start target");
    assert_eq!(lab.state("target"), "running");
    assert_eq!(lab.ok("run --rm --network none -v data:/data box cat /data/note"), "too");
}

#[test]
fn a_pod_does_not_count_who_looks_into_it() {
    if nobody_debugs() {
        return;
    }
    let lab = Lab::new();
    lab.ok("pod create --name one --exit-policy stop --network none");
    lab.ok("run -d --pod one --name target creel/hello");
    let session = lab.creel("debug --name session --image box target idle").spawn();
    eventually("the session runs", || lab.creel("ps -q -f name=session").run().out() != "");
    let own = lab.ok("exec session readlink /proc/self/ns/net");
    assert_eq!(own, lab.ok("exec session readlink /proc/1/ns/net"));
    assert_eq!(lab.ok("pod inspect one --format {{.State}}"), "Running");
    lab.ok("stop -t 0 target");
    session.end().code(137);
    eventually("the pod has ended", || lab.ok("pod inspect one --format {{.State}}") == "Exited");
    lab.ok("pod rm one");
}
