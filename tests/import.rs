//! `import`

use crate::lab::Lab;
use crate::lab::archive::Archive;

#[test]
fn a_root_file_system_becomes_an_image() {
    let lab = Lab::empty();
    let root = Archive::new().directory("etc", 0o755).file("etc/own", 0o644, "mine\n").bytes();
    lab.write("root.tar", root);
    let printed = lab.ok("import -q -c 'ENV A=1' -c 'CMD [\"sh\"]' -c 'LABEL x=y' -m 'from a tar' root.tar mine:v1");
    assert!(printed.starts_with("sha256:"), "{printed}");
    let json = lab.json("image inspect mine:v1");
    assert_eq!(json[0]["Config"]["Env"][0], "A=1");
    assert_eq!(json[0]["Config"]["Cmd"][0], "sh");
    assert_eq!(json[0]["Id"], printed.trim_start_matches("sha256:"));
}

#[test]
fn what_was_exported_runs_after_import() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'echo kept > /kept'");
    lab.ok("export -o root.tar one");
    lab.ok("import -q root.tar again");
    assert_eq!(lab.ok("run --rm --network none again /bin/cat /kept /content/one"), "kept\none");
    let bytes = std::fs::read(lab.path("root.tar")).unwrap();
    lab.creel("import -q - piped").input(bytes).run().ok();
    lab.ok("image exists piped");
    lab.creel("import -q /no/such/file x").run().fails(125);
}
