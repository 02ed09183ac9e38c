//! A store on an overlay, as in a container of another engine: the kernel stacks no upper directory on one, and makes no
//! whiteouts there.

use crate::lab::archive::Archive;
use crate::lab::image::{box_draft, docker_archive};
use crate::lab::{Lab, Place};

#[test]
fn layers_that_take_away_are_read_and_made_on_an_overlay() {
    let lab = Lab::empty();
    let script = "mkdir $own/lower $own/upper $own/work
        mount -t overlay overlay -o lowerdir=$own/lower,upperdir=$own/upper,workdir=$own/work $place";
    let Some(overlay) = Place::mount(&lab, script) else { return };
    let options = overlay.options();
    let mut draft = box_draft().clone();
    draft.layers.push(Archive::new().file("content/.wh.one", 0o644, "").file("content/.wh.sub", 0o644, "").bytes());
    // Taken away and brought again within one layer.
    let again = Archive::new().file("home/.wh.alice", 0o644, "").directory("home/alice", 0o755);
    draft.layers.push(again.file("home/alice/new", 0o644, "new\n").file("content/.wh.late", 0o644, "").bytes());
    draft.layers.push(Archive::new().file("content/one", 0o644, "back\n").bytes());
    let archive = lab.write("away.tar", docker_archive(&[(&["localhost/away:latest"], &draft)]));
    lab.ok(&format!("{options} load -q -i {}", archive.display()));
    let look = "sh -c 'cat /content/one; ls -A /content /home/alice'";
    let seen = "back\n/content:\none\n\n/home/alice:\nnew";
    assert_eq!(lab.ok(&format!("{options} run --rm --network none away {look}")), seen);
    lab.ok(&format!("{options} run --name one --network none away sh -c 'rm /content/one; touch /content/two'"));
    let changes = lab.ok(&format!("{options} diff one"));
    assert!(changes.starts_with("C /content\nD /content/one\nA /content/two"), "{changes}");
    lab.ok(&format!("{options} commit -q one derived"));
    let look = "sh -c 'ls -A /content /home/alice'";
    let seen = "/content:\ntwo\n\n/home/alice:\nnew";
    assert_eq!(lab.ok(&format!("{options} run --rm --network none derived {look}")), seen);
    // What leaves the store says it as every layer does.
    lab.ok(&format!("{options} save -q -o derived.tar derived"));
    lab.ok("load -q -i derived.tar");
    assert_eq!(lab.ok(&format!("run --rm --network none derived {look}")), seen);
    lab.ok(&format!("{options} rm -f one"));
    lab.ok(&format!("{options} system check"));
}
