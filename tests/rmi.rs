//! `rmi`

use std::os::unix::fs::MetadataExt;

use crate::lab::{Lab, image};

#[test]
fn removal_says_what_went() {
    let lab = Lab::new();
    let text = lab.ok("rmi box");
    assert_eq!(text, format!("Untagged: localhost/box:latest\nDeleted: {}", image::box_draft().id()));
    assert_eq!(lab.ok("images -q"), "");
}

#[test]
fn the_image_goes_with_its_last_name() {
    let lab = Lab::new();
    lab.ok("tag box copy");
    assert_eq!(lab.ok("rmi box"), "Untagged: localhost/box:latest");
    lab.ok("run --rm --network none copy true");
    assert!(lab.ok("rmi copy").contains("Deleted: "));
}

#[test]
fn by_id_with_several_names_needs_force() {
    let lab = Lab::new();
    lab.ok("tag box copy");
    let id = image::box_draft().id();
    let error = lab.creel(&format!("rmi {}", &id[..12])).run().fails(125);
    let names = "([localhost/copy:latest localhost/box:latest])";
    assert!(
        error.contains(&format!("unable to delete image \"{id}\" by ID with more than one tag {names}")),
        "{error}"
    );
    lab.ok(&format!("rmi -f {id}"));
    assert_eq!(lab.ok("images -q"), "");
}

#[test]
fn an_image_in_use_needs_force_and_takes_its_containers() {
    let lab = Lab::new();
    lab.ok("create --name user --network none box true");
    let error = lab.creel("rmi box").run().fails(2);
    assert!(error.contains("image is in use by a container"), "{error}");
    lab.ok("image exists box");
    lab.ok("rmi -f box");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn an_image_goes_or_a_container_is_made_of_it_never_both() {
    if crate::lab::differs_on_purpose("which of the two comes first is decided by a lock of creel's") {
        return;
    }
    let lab = Lab::new();
    lab.ok("images");
    let lock = std::fs::File::open(lab.store().join("lock")).unwrap();
    lock.lock().unwrap();
    let removal = lab.creel("rmi box").spawn();
    crate::lab::eventually("the removal waits", || has_open(&removal, &lock));
    let mut creation = lab.creel("create --name late --network none box true").spawn();
    crate::lab::eventually("the creation waits or is done", || has_open(&creation, &lock) || creation.has_ended());
    drop(lock);
    let (removed, created) = (removal.end().exit_code() == 0, creation.end().exit_code() == 0);
    assert!(removed != created, "removed: {removed}, created: {created}");
    assert_eq!(lab.creel("image exists box").run().exit_code() == 0, created);
    assert_eq!(lab.ok("ps -aq").lines().count(), usize::from(created));
}

/// Nobody opens the file but to lock it.
fn has_open(command: &crate::lab::Background, lock: &std::fs::File) -> bool {
    let lock = lock.metadata().unwrap();
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", command.pid())).into_iter().flatten().flatten();
    let mut files = descriptors.filter_map(|one| std::fs::metadata(one.path()).ok());
    files.any(|file| (file.dev(), file.ino()) == (lock.dev(), lock.ino()))
}

#[test]
fn a_missing_image_is_1_unless_ignored() {
    let lab = Lab::new();
    let error = lab.creel("rmi nosuch").run().fails(1);
    assert!(error.contains("nosuch: image not known"), "{error}");
    lab.ok("rmi --ignore nosuch");
    lab.creel("rmi nosuch box").run().fails(1);
    assert_eq!(lab.ok("images -q"), "");
}

#[test]
fn what_is_no_name_is_said_to_be_none() {
    let lab = Lab::empty();
    for verb in ["rmi", "rmi -f", "untag", "history", "save", "push", "image inspect", "image exists", "image tree"] {
        let error = lab.creel(&format!("{verb} ''")).run().fails(125);
        assert!(
            error.contains("Error: parsing reference \"\": repository name must have at least one component"),
            "{verb}: {error}"
        );
        let error = lab.creel(&format!("{verb} UPPER")).run().fails(125);
        assert!(error.contains("Error: parsing reference \"UPPER\": repository name must be lowercase"), "{error}");
    }
}

#[test]
fn several_failures_are_one_list_and_the_worst_is_the_exit_code() {
    let lab = Lab::new();
    let error = lab.creel("rmi nosuch other").run().fails(1);
    assert!(error.starts_with("Error: 2 errors occurred:\n\t* nosuch: image not known\n\t* other: image"), "{error}");
    lab.ok("create --name user --network none box true");
    let error = lab.creel("rmi box nosuch").run().fails(2);
    assert!(error.starts_with("Error: 2 errors occurred:\n\t* nosuch: image not known\n\t* image used by"), "{error}");
    lab.ok("rmi -f nosuch");
    lab.ok("rmi -f box nosuch");
    assert_eq!(lab.ok("images -q"), "");
}

#[test]
fn all_removes_everything() {
    let lab = Lab::new();
    lab.ok("tag box copy");
    lab.ok("rmi --all --force");
    assert_eq!(lab.ok("images -q"), "");
}

#[test]
fn layers_that_another_image_needs_stay() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'echo more > /more'");
    lab.ok("commit -q one derived");
    lab.ok("rm one");
    lab.ok("untag box");
    lab.ok("image prune -f");
    assert_eq!(lab.ok("run --rm --network none derived cat /more /content/one"), "more\none");
}

#[test]
fn what_others_are_built_on_goes_without_a_word_and_they_stay_whole() {
    let lab = Lab::new();
    lab.ok("run --name c --network none box touch /x");
    lab.ok("commit -q c derived");
    lab.ok("rm c");
    assert_eq!(lab.ok("rmi box"), "Untagged: localhost/box:latest");
    assert_eq!(lab.ok("images -a --format {{.Repository}}"), "localhost/derived");
    assert_eq!(lab.ok("image prune -f"), "");
    assert_eq!(lab.ok("run --rm --network none derived cat /content/one"), "one");
    lab.ok("save -q -o derived.tar derived");
    lab.ok("rmi derived");
    assert_eq!(lab.ok("images -aq"), "");
    lab.ok("load -q -i derived.tar");
    assert_eq!(lab.ok("run --rm --network none derived ls /x"), "/x");
}

#[test]
fn a_removal_is_told_by_name_also_where_other_names_stay() {
    let lab = Lab::new();
    lab.ok("tag box copy");
    lab.ok("rmi copy");
    lab.ok("rmi box");
    let events = lab.ok("events --stream=false --since 10m --filter type=image --format '{{.Status}} {{.Name}}'");
    for name in ["localhost/copy:latest", "localhost/box:latest"] {
        assert!(events.contains(&format!("untag {name}\nremove {name}")), "{events}");
    }
}
