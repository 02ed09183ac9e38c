//! `secret`

use crate::lab::Lab;

#[test]
#[ignore = "creel has no secrets yet"]
fn a_secret_is_kept_listed_and_removed() {
    let lab = Lab::empty();
    lab.write("word", "sesame");
    let id = lab.ok("secret create -l k=v one word");
    assert_eq!(id.len(), 25, "{id}");
    lab.creel("secret create two -").input("other").run().ok();
    assert_eq!(lab.creel("secret create --env three WORD").env("WORD", "from env").run().ok().len(), 25);
    let mut names: Vec<String> = lab.ok("secret ls --format {{.Name}}").lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["one", "three", "two"]);
    assert_eq!(lab.ok("secret inspect --format {{.Spec.Name}} one"), "one");
    assert!(!lab.ok("secret inspect one").contains("sesame"));
    assert_eq!(lab.ok("secret inspect --showsecret --format {{.SecretData}} one"), "sesame");
    lab.creel("secret create one word").run().fails(125);
    lab.ok("secret create --replace one word");
    lab.ok("secret exists one");
    assert_eq!(lab.ok("secret rm two").len(), 25);
    lab.creel("secret rm two").run().fails(125);
    assert_eq!(lab.creel("secret exists two").run().exit_code(), 1);
    lab.ok("secret rm --all");
    assert_eq!(lab.ok("secret ls -q"), "");
}

#[test]
#[ignore = "creel has no secrets yet"]
fn the_content_is_not_readable_by_others() {
    let lab = Lab::empty();
    lab.creel("secret create one -").input("sesame-of-the-test").run().ok();
    for path in crate::lab::files(&lab.home()) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if String::from_utf8_lossy(&bytes).contains("sesame-of-the-test")
            || String::from_utf8_lossy(&bytes).contains("c2VzYW1lLW9mLXRoZS10ZXN0")
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
        }
    }
}
