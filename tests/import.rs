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
    assert_eq!(json[0]["Comment"], "from a tar");
    let steps = lab.ok("history --no-trunc --format {{.CreatedBy}} mine:v1");
    assert!(steps.starts_with("/bin/sh -c #(nop) ADD file:"), "{steps}");
    lab.ok("import -q --arch arm64 --variant v8 root.tar other");
    assert_eq!(lab.ok("image inspect --format {{.Os}}/{{.Architecture}} other"), "linux/arm64");
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

#[test]
fn an_archive_comes_from_a_url() {
    let lab = Lab::empty();
    if !crate::lab::has_program("python3") {
        return;
    }
    lab.write("root.tar", Archive::new().directory("etc", 0o755).bytes());
    let port = crate::lab::free_port();
    let server = lab.program(&format!("python3 -m http.server --bind 127.0.0.1 {port}")).spawn();
    crate::lab::eventually("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let url = format!("http://127.0.0.1:{port}/root.tar");
    let said = lab.ok(&format!("import -q {url} fetched"));
    let id = lab.ok("image inspect --format {{.Id}} fetched");
    assert_eq!(said, format!("Downloading from \"{url}\"\nsha256:{id}"));
    lab.creel(&format!("import -q http://127.0.0.1:{port}/nosuch.tar missing")).run().fails(125);
    assert_eq!(lab.creel("image exists missing").run().exit_code(), 1);
    drop(server);
}

#[test]
fn a_file_makes_the_same_image_again_and_the_way_is_told_on_stderr() {
    let lab = Lab::empty();
    lab.write("root.tar", Archive::new().directory("etc", 0o755).bytes());
    let first = lab.creel("import root.tar one").run();
    let lines: Vec<String> =
        first.err().lines().map(|line| line.split(" sha256:").next().unwrap().to_owned()).collect();
    let expected =
        ["Getting image source signatures", "Copying blob", "Copying config", "Writing manifest to image destination"];
    assert_eq!(lines, expected);
    let again = lab.creel("import -q root.tar two").run();
    assert_eq!((again.ok(), again.err()), (first.ok(), String::new()));
    assert_eq!(lab.ok("images --noheading").lines().count(), 2);
}
