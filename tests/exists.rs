//! `container exists`, `image exists`, `volume exists`

use crate::lab::Lab;

#[test]
fn exists_answers_with_its_exit_code_alone() {
    let lab = Lab::new();
    let id = lab.ok("create --name one -v data:/data --network none box true");
    for (line, code) in [
        ("container exists one".to_owned(), 0),
        (format!("container exists {}", &id[..8]), 0),
        ("container exists two".to_owned(), 1),
        ("image exists box".to_owned(), 0),
        ("image exists localhost/box:latest".to_owned(), 0),
        ("image exists nosuch".to_owned(), 1),
        ("volume exists data".to_owned(), 0),
        ("volume exists nosuch".to_owned(), 1),
        ("container exists".to_owned(), 125),
    ] {
        let outcome = lab.creel(&line).run();
        assert_eq!((outcome.exit_code(), outcome.out()), (code, String::new()), "{line}");
    }
}
