//! `load`

use crate::lab::image::{Compression, box_draft, docker_archive};
use crate::lab::{Lab, files, is_podman};

#[test]
fn load_says_which_names_it_has_loaded() {
    let lab = Lab::empty();
    let archive = lab.write("a.tar", box_draft().docker_archive(&["localhost/a:1", "example.org/b:2"]));
    let text = lab.ok(&format!("load -i {}", archive.display()));
    assert!(text.contains("Loaded image: localhost/a:1") && text.contains("Loaded image: example.org/b:2"), "{text}");
    assert_eq!(lab.ok("image inspect --format {{.Id}} localhost/a:1"), box_draft().id());
}

#[test]
fn compressed_archives_and_standard_input_are_fine() {
    let lab = Lab::empty();
    let plain = box_draft().docker_archive(&["localhost/box:latest"]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &plain).unwrap();
    for bytes in [plain.clone(), encoder.finish().unwrap(), zstd::encode_all(plain.as_slice(), 3).unwrap()] {
        lab.creel("load -q").input(bytes).run().ok();
        assert_eq!(lab.ok("run --rm --network none box cat /content/one"), "one");
        lab.ok("rmi box");
    }
}

#[test]
fn oci_layouts_are_loaded_as_folders_and_archives() {
    let lab = Lab::empty();
    for (name, compression) in [("plain", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)]
    {
        let folder = lab.folder(name);
        box_draft().oci_layout(&folder, &format!("localhost/{name}:latest"), compression);
        for path in files(&folder) {
            lab.give(&path);
        }
        lab.ok(&format!("load -q -i {}", folder.display()));
        let tar = std::process::Command::new("tar").arg("-C").arg(&folder).args(["-c", "."]).output().unwrap();
        let archive = lab.write(&format!("{name}.tar"), tar.stdout);
        lab.ok(&format!("load -q -i {}", archive.display()));
        assert_eq!(lab.ok("images -q").lines().count(), 1, "{}", lab.ok("images"));
        assert_eq!(lab.ok("images -q --no-trunc"), format!("sha256:{}", box_draft().id()));
        lab.ok("rmi -a -f");
    }
}

#[test]
fn loading_twice_changes_nothing() {
    let lab = Lab::new();
    lab.load_box();
    lab.load_box();
    assert_eq!(lab.ok("images -q").lines().count(), 1);
}

#[test]
fn layers_lie_on_top_of_each_other_and_take_away() {
    let lab = Lab::empty();
    let mut draft = box_draft().clone();
    use crate::lab::archive::Archive;
    draft
        .layers
        .push(Archive::new().file("content/one", 0o644, "changed\n").file("content/sub/.wh.two", 0o644, "").bytes());
    draft.layers.push(
        Archive::new().directory("www", 0o755).file("www/.wh..wh..opq", 0o644, "").file("www/only", 0o644, "").bytes(),
    );
    draft.layers.push(Archive::new().symlink("home/alice/link", "/content").bytes());
    let archive = lab.write("l.tar", docker_archive(&[(&["localhost/layers:latest"], &draft)]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    assert_eq!(
        lab.ok(
            "run --rm --network none layers sh -c 'cat /content/one; ls -A /content/sub /www; cat /home/alice/link/one'"
        ),
        "changed\n/content/sub:\n\n/www:\nonly\nchanged"
    );
}

#[test]
fn owners_modes_links_and_times_are_kept() {
    let lab = Lab::empty();
    use crate::lab::archive::Archive;
    let mut draft = box_draft().clone();
    draft.layers.push(
        Archive::new()
            .owned("content/hers", tar::EntryType::Regular, 0o4750, (1000, 50), None, b"x")
            .owned("content/same", tar::EntryType::Link, 0o4750, (1000, 50), Some("content/hers"), &[])
            .symlink("content/soft", "hers")
            .entry("content/pipe", tar::EntryType::Fifo, 0o600, None, &[])
            .bytes(),
    );
    let archive = lab.write("k.tar", draft.docker_archive(&["localhost/kept:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    let text = lab.ok("run --rm --network none kept sh -c 'cd /content; stat -c \"%a %u %g %h %Y\" hers; readlink soft; test hers -ef same && echo same; test -p pipe && echo pipe'");
    assert_eq!(text, "4750 1000 50 2 1767323045\nhers\nsame\npipe");
}

#[test]
fn what_is_no_image_is_refused() {
    let lab = Lab::empty();
    lab.write("text", "this is no archive\n");
    lab.creel("load -q -i text").run().fails(125);
    lab.creel("load -q -i /no/such/file").run().fails(125);
    lab.creel("load -q").input("").run().fails(125);
    let archive = box_draft().docker_archive(&["localhost/box:latest"]);
    lab.write("half.tar", &archive[..archive.len() / 2]);
    lab.creel("load -q -i half.tar").run().fails(125);
    assert_eq!(lab.ok("images -q"), "");
    let mut terminal = lab.terminal("load");
    terminal.expect("terminal");
    assert_eq!(terminal.end(), 125);
}

#[test]
fn an_archive_comes_from_a_url() {
    let lab = Lab::empty();
    if !crate::lab::has_program("python3") {
        return;
    }
    lab.write("box.tar", std::fs::read(lab.box_archive()).unwrap());
    let port = crate::lab::free_port();
    let server = lab.program(&format!("python3 -m http.server --bind 127.0.0.1 {port}")).spawn();
    crate::lab::eventually("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(lab.ok(&format!("load -q -i http://127.0.0.1:{port}/box.tar")), "Loaded image: localhost/box:latest");
    let error = lab.creel(&format!("load -q -i http://127.0.0.1:{port}/nosuch.tar")).run().fails(125);
    // It looks at what the server says then, and not at the answer's status.
    assert!(error.contains("downloading http://127.0.0.1") || is_podman(), "{error}");
    drop(server);
}

#[test]
fn what_is_no_archive_is_refused_in_podmans_words() {
    let lab = Lab::empty();
    lab.write("text", "not an archive");
    let error = lab.creel("load -i text").run().fails(125);
    assert!(error.contains("payload does not match any of the supported image formats"), "{error}");
}
