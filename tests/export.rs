//! `export`

use crate::lab::Lab;

fn names(bytes: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(bytes);
    archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string().trim_end_matches('/').to_owned())
        .collect()
}

#[test]
fn the_whole_root_comes_out_as_a_tar() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'echo new > /content/new; rm /content/one'");
    let outcome = lab.creel("export one").run();
    assert_eq!(outcome.exit_code(), 0);
    let found = names(&outcome.stdout);
    for name in ["content/new", "content/sub/two", "bin/busybox", "bin/sh"] {
        assert!(found.iter().any(|found| found == name), "{name} in {found:?}");
    }
    assert!(!found.iter().any(|name| name == "content/one" || name.contains(".wh.")), "{found:?}");
}

#[test]
fn owners_are_those_of_the_inside() {
    let lab = Lab::new();
    lab.ok(
        "run --name one --network none box sh -c 'touch /hers; chown 1000:50 /hers; ln /hers /twin; chmod 4711 /hers'",
    );
    let outcome = lab.creel("export one").run();
    let mut archive = tar::Archive::new(outcome.stdout.as_slice());
    let mut seen = 0;
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        if path == "hers" && entry.header().entry_type().is_file() {
            assert_eq!(
                (entry.header().uid().unwrap(), entry.header().gid().unwrap(), entry.header().mode().unwrap() & 0o7777),
                (1000, 50, 0o4711)
            );
            seen += 1;
        }
        if path == "twin" {
            assert!(entry.header().entry_type().is_hard_link() || entry.header().uid().unwrap() == 1000);
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn a_running_container_and_a_file_are_fine_and_a_terminal_is_not() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box idle");
    lab.ok("export -o out.tar one");
    assert!(names(&std::fs::read(lab.path("out.tar")).unwrap()).len() > 10);
    let mut terminal = lab.terminal("export one");
    terminal.expect("terminal");
    assert_eq!(terminal.end(), 125);
    lab.creel("export nosuch").run().fails(125);
    let error = lab.creel("export -o a:b one").run().fails(125);
    assert!(error.contains("invalid filename (should not contain ':') \"a:b\""), "{error}");
}

#[test]
fn a_reader_of_an_archive_may_go_without_a_word() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    let program = crate::lab::program().display().to_string();
    for line in ["export one", "save -q box", "cp one:/ -"] {
        let script = format!("{program} {line} | head -c 10 > /dev/null");
        let outcome = lab.shell(&script).run();
        assert_eq!(outcome.ok(), "", "{line}");
        assert_eq!(outcome.err(), "", "{line}");
    }
}
