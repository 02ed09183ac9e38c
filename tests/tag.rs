//! `tag`, `untag`

use crate::lab::Lab;

#[test]
fn one_image_can_have_many_names() {
    let lab = Lab::new();
    assert_eq!(lab.ok("tag box copy example.org/a/b:v1"), "");
    for name in ["copy", "localhost/copy:latest", "example.org/a/b:v1"] {
        lab.ok(&format!("image exists {name}"));
    }
    assert_eq!(lab.creel("image exists example.org/a/b").run().exit_code(), 1);
    lab.ok("untag example.org/a/b:v1 example.org/a/b:v1");
    assert_eq!(lab.creel("image exists example.org/a/b:v1").run().exit_code(), 1);
    lab.ok("image exists copy");
}

#[test]
fn a_name_moves_to_the_last_image_it_was_given_to() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box touch /x");
    let id = lab.ok("commit -q one other");
    lab.ok("tag other box");
    assert_eq!(lab.ok("image inspect --format {{.Id}} box"), id);
}

#[test]
fn bad_names_and_missing_images_are_errors() {
    let lab = Lab::new();
    let error = lab.creel("tag nosuch x").run().fails(125);
    assert!(error.contains("nosuch: image not known"), "{error}");
    for name in ["UPPER/Case", "a b", "x:y:z", ":tag"] {
        lab.creel_words(&["tag", "box", name]).run().fails(125);
    }
}

#[test]
fn the_name_given_last_comes_first_and_former_names_are_remembered() {
    let lab = Lab::new();
    lab.ok("tag box zebra ape");
    let names = |field: &str| lab.ok(&format!("image inspect --format '{{{{join .{field} \" \"}}}}' box"));
    assert_eq!(names("RepoTags"), "localhost/ape:latest localhost/zebra:latest localhost/box:latest");
    lab.ok("untag box zebra");
    assert_eq!(names("RepoTags"), "localhost/ape:latest localhost/box:latest");
    assert_eq!(names("NamesHistory"), "localhost/box:latest localhost/ape:latest localhost/zebra:latest");
    let digest = lab.ok("image inspect --format {{.Digest}} box");
    let error = lab.creel(&format!("tag box x@{digest}")).run().fails(125);
    assert!(error.contains("tag by digest not supported"), "{error}");
    let error = lab.creel("tag box UPPER").run().fails(125);
    assert!(error.contains("repository name must be lowercase"), "{error}");
}
