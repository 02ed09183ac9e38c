//! `artifact`, and `--mount type=artifact`

use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, comes_true, differs_on_purpose, files};

const HELLO: &str = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

fn with_files() -> Lab {
    let lab = Lab::empty();
    lab.write("a.txt", "hello\n");
    lab.write("b.json", "{\"a\":1}\n");
    lab.write("c.bin", [0; 3000]);
    lab.folder("folder");
    lab
}

#[test]
fn files_become_an_artifact_and_files_again() {
    let lab = with_files();
    let digest = lab.ok("artifact add --type app/x --annotation k=v localhost/art:1 a.txt b.json");
    assert_eq!(digest.len(), 64, "{digest}");
    let shown = lab.json("artifact inspect localhost/art:1");
    assert_eq!(shown["Name"], "localhost/art:1");
    assert_eq!(shown["Digest"], format!("sha256:{digest}"));
    let manifest = &shown["Manifest"];
    assert_eq!(manifest["artifactType"], "app/x");
    assert_eq!(manifest["annotations"]["k"], "v");
    assert_eq!(manifest["layers"][0]["digest"], HELLO);
    assert_eq!(manifest["layers"][0]["mediaType"], "text/plain; charset=utf-8");
    assert_eq!(manifest["layers"][0]["annotations"]["org.opencontainers.image.title"], "a.txt");
    assert_eq!(manifest["layers"][1]["annotations"]["k"], "v");

    lab.ok("artifact add --append --file-type text/foo localhost/art:1 c.bin");
    let format = "--format '{{.Repository}} {{.Tag}} {{.Size}} {{.VirtualSize}}'";
    assert_eq!(lab.ok(&format!("artifact ls {format}")), "localhost/art 1 3.014kB 3014");
    let out = lab.folder("out");
    lab.ok("artifact extract localhost/art:1 out");
    assert_eq!(files(&out).len(), 3);
    assert_eq!(std::fs::read(out.join("c.bin")).unwrap(), [0; 3000]);
    lab.ok("artifact extract --title b.json localhost/art:1 one");
    assert_eq!(lab.read("one"), "{\"a\":1}\n");
    lab.ok(&format!("artifact extract --digest {HELLO} localhost/art:1 one"));
    assert_eq!(lab.read("one"), "hello\n");
}

#[test]
fn artifacts_are_listed_found_and_removed() {
    let lab = with_files();
    assert_eq!(lab.ok("artifact ls"), "REPOSITORY  TAG         DIGEST      CREATED     SIZE");
    let one = lab.ok("artifact add 127.0.0.1:5000/one a.txt");
    let two = lab.ok("artifact add localhost/two:v1 c.bin");
    let lines = lab.ok("artifact ls -n --format '{{.Repository}}|{{.Tag}}|{{.Digest}}'");
    assert_eq!(lines, format!("127.0.0.1:5000/one||{}\nlocalhost/two|v1|{}", &one[..12], &two[..12]));
    assert!(lab.ok("artifact ls --no-trunc").contains(&two));
    assert_eq!(lab.ok(&format!("artifact inspect --format {{{{.Name}}}} {}", &two[..12])), "localhost/two:v1");
    assert!(lab.ok("inspect localhost/two:v1").contains("\"Manifest\""));
    assert!(lab.ok("inspect --type artifact localhost/two:v1").starts_with('['));
    assert_eq!(lab.creel("image exists localhost/two:v1").run().exit_code(), 1);
    assert_eq!(lab.ok(&format!("artifact rm {}", &one[..12])), one);
    lab.ok("artifact rm -i nothing");
    assert_eq!(lab.ok("artifact rm --all"), two);
    assert_eq!(lab.ok("artifact ls -n"), "");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let lab = with_files();
    lab.ok("artifact add localhost/art:1 a.txt b.json");
    let table = [
        ("artifact add x", "requires at least 2 arg(s), only received 1"),
        ("artifact add localhost/art:1 a.txt", "localhost/art:1: artifact already exists"),
        ("artifact add --append localhost/art:1 a.txt", "a.txt: file already exists in artifact"),
        ("artifact add --append localhost/none:1 a.txt", "localhost/none:1: artifact does not exist"),
        (
            "artifact add --append --replace localhost/art:1 c.bin",
            "--append and --replace options cannot be used together",
        ),
        ("artifact add --append --type a/b localhost/art:1 c.bin", "append option is not compatible with type option"),
        ("artifact add x a.txt a.txt", "a.txt: file already exists in artifact"),
        ("artifact add x nofile", "open nofile: no such file or directory"),
        ("artifact add x folder", "read folder: is a directory"),
        ("artifact add --annotation bad x a.txt", "no value given for annotation \"bad\""),
        ("artifact inspect", "accepts 1 arg(s), received 0"),
        ("artifact inspect nope", "nope: artifact does not exist"),
        ("artifact extract nope x", "nope: artifact does not exist"),
        ("artifact extract localhost/art:1 out", "is not a directory and neither digest or title was specified"),
        ("artifact extract --title nope localhost/art:1 out", "no blob with the title \"nope\""),
        ("artifact extract --digest 5891 localhost/art:1 out", "no blob with the digest \"5891\""),
        ("artifact extract --digest x --title y localhost/art:1 out", "cannot specify both digest and title"),
        (
            "artifact extract --title a.txt localhost/art:1 nowhere/x",
            "failed to create target file: open nowhere/x: no such file or directory",
        ),
        ("artifact ls x", "takes no arguments"),
        ("artifact rm", "at least one artifact name or digest must be specified"),
        ("artifact rm -a x", "when using the --all switch, you may not pass any artifact names or digests"),
        ("artifact rm nope", "nope: artifact does not exist"),
        ("artifact push nope", "nope"),
    ];
    for (line, text) in table {
        let error = lab.creel(line).run().fails(125);
        assert!(error.contains(text), "{line}: {error}");
    }
    assert!(!lab.path("out").exists());
    assert_eq!(lab.ok("artifact ls -n --format '{{.Repository}}'"), "localhost/art");
}

#[test]
fn a_name_that_is_none_is_refused() {
    if differs_on_purpose("Podman takes such names, and cannot list its artifacts any more") {
        return;
    }
    let lab = with_files();
    for name in ["UPPER", "a/../b", "a:b:c", "-"] {
        lab.creel_words(&["artifact", "add", name, "a.txt"]).run().fails(125);
    }
    assert_eq!(lab.ok("artifact ls -n"), "");
}

#[test]
fn what_was_pushed_can_be_pulled() {
    let lab = with_files();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    let name = registry.name("things/art:v1");
    let digest = lab.ok(&format!("artifact add {name} a.txt c.bin"));
    let access = "--tls-verify=false --creds 'alice:open sesame'";
    lab.creel(&format!("artifact push -q --retry 0 --tls-verify=false {name}")).run().fails(125);
    lab.ok(&format!("artifact push -q {access} {name}"));
    assert_eq!(crate::lab::image::sha256(registry.manifest("things/art:v1").as_bytes()), digest);
    lab.ok("artifact rm -a");
    let pulled = lab.creel(&format!("artifact pull {access} {name}")).run();
    pulled.ok();
    if !differs_on_purpose("how far it is goes to stderr, as of other commands") {
        assert!(pulled.err().contains("Copying blob") && !pulled.out().contains("Copying"), "{pulled}");
    }
    assert_eq!(lab.ok("artifact ls -n --no-trunc --format {{.Digest}}"), digest);
    lab.ok(&format!("artifact extract --title a.txt {name} back"));
    assert_eq!(lab.read("back"), "hello\n");
    let missing = registry.name("things/none");
    lab.creel(&format!("artifact pull -q {access} {missing}")).run().fails(125);
    // Once more is no error.
    lab.ok(&format!("artifact pull -q {access} {name}"));
    assert_eq!(lab.ok("artifact ls -n").lines().count(), 1);
}

#[test]
fn a_file_says_which_digest_arrived() {
    if differs_on_purpose("Podman takes --digestfile and writes nothing") {
        return;
    }
    let lab = with_files();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let name = registry.name("art");
    let digest = lab.ok(&format!("artifact add {name} a.txt"));
    lab.ok(&format!("artifact push -q --tls-verify=false --digestfile digest {name}"));
    assert_eq!(lab.read("digest"), format!("sha256:{digest}"));
}

#[test]
fn titles_do_not_lead_out_of_the_target() {
    let lab = Lab::new();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let out = lab.folder("deep/out");
    let absolute = lab.path("planted").display().to_string();
    for (at, title) in ["../planted", &absolute, "a/b", "..", "."].into_iter().enumerate() {
        let name = registry.name(&format!("hostile:{at}"));
        registry.put_artifact(&format!("hostile:{at}"), &[("fine", Some("fine")), ("bad", Some(title))]);
        lab.ok(&format!("artifact pull -q --tls-verify=false {name}"));
        lab.creel(&format!("artifact extract {name} deep/out")).run().fails(125);
        let mount = format!("--mount type=artifact,src={name},dst=/files");
        lab.creel(&format!("run --rm --network none {mount} box true")).run().fails(126);
        // Where the name is the user's, the title does not matter.
        let digest = crate::lab::image::sha256(b"bad");
        lab.ok(&format!("artifact extract --digest sha256:{digest} {name} named"));
        assert_eq!(lab.read("named"), "bad");
    }
    assert!(!lab.path("planted").exists() && !lab.path("deep/planted").exists());
    if !differs_on_purpose("Podman has written the files before the one it refuses") {
        assert_eq!(files(&out).len(), 0);
    }
}

#[test]
fn a_container_sees_the_files_read_only() {
    let lab = Lab::new();
    lab.write("a.txt", "hello\n");
    lab.write("b.json", "{}\n");
    lab.ok("artifact add localhost/both:1 a.txt b.json");
    lab.ok("artifact add localhost/one:1 a.txt");
    let run = |mount: &str, command: &str| {
        lab.creel(&format!("run --rm --network none --mount type=artifact,{mount} box sh -c '{command}'")).run()
    };
    assert_eq!(run("src=localhost/both:1,dst=/m", "cat /m/a.txt /m/b.json").ok(), "hello\n{}");
    run("src=localhost/both:1,dst=/m", "echo x > /m/a.txt").code(1);
    assert_eq!(run("src=localhost/one:1,dst=/m", "cat /m").ok(), "hello");
    assert_eq!(run("src=localhost/one:1,dst=/bin", "cat /bin/a.txt").ok(), "hello");
    assert_eq!(run("src=localhost/one:1,dst=/bin,name=other", "cat /bin/other").ok(), "hello");
    assert_eq!(run("src=localhost/both:1,dst=/m,name=n", "cat /m/n-0 /m/n-1").ok(), "hello\n{}");
    assert_eq!(run("src=localhost/both:1,dst=/m,title=b.json", "cat /m").ok(), "{}");
    assert_eq!(run(&format!("src=localhost/both:1,dst=/m,digest={HELLO}"), "cat /m").ok(), "hello");
    let user = "run --rm --network none --user 1000 --mount type=artifact,src=localhost/one:1,dst=/m box cat /m";
    assert_eq!(lab.ok(user), "hello");
    for (mount, code, text) in [
        ("src=nope,dst=/m", 126, "nope: artifact does not exist"),
        ("src=localhost/both:1,dst=/m,title=nope", 126, "no blob with the title \"nope\""),
        ("dst=/m", 125, "must set source and destination for artifact volume"),
        ("src=localhost/one:1,dst=/m,ro", 125, "ro: invalid mount option"),
        ("src=localhost/one:1,dst=m", 125, "invalid container path \"m\", must be an absolute path"),
    ] {
        let error = run(mount, "true").fails(code);
        assert!(error.contains(text), "{mount}: {error}");
    }
}

#[test]
fn a_start_takes_the_artifact_as_it_is_then() {
    let lab = Lab::new();
    lab.write("a.txt", "one\n");
    lab.ok("artifact add localhost/art:1 a.txt");
    lab.ok("create --name c --network none --mount type=artifact,src=localhost/art:1,dst=/m box cat /m");
    assert_eq!(lab.ok("start -a c"), "one");
    lab.write("a.txt", "two\n");
    lab.ok("artifact add --replace localhost/art:1 a.txt");
    assert_eq!(lab.ok("start -a c"), "two");
    lab.ok("artifact rm localhost/art:1");
    let error = lab.creel("start -a c").run().fails(125);
    assert!(error.contains("localhost/art:1: artifact does not exist"), "{error}");
    lab.ok("rm c");
}

#[test]
fn content_is_kept_while_something_needs_it_and_given_back() {
    let lab = with_files();
    if differs_on_purpose("the layout of the store") {
        return;
    }
    let blob = || files(&lab.store()).iter().any(|path| path.to_string_lossy().ends_with(&HELLO["sha256:".len()..]));
    lab.ok("artifact add localhost/one:1 a.txt");
    lab.ok("artifact add localhost/two:1 a.txt b.json");
    lab.ok("system prune -af");
    lab.ok("system check");
    assert!(lab.ok("system df").contains("Artifacts"));
    lab.ok("artifact rm localhost/one:1");
    assert!(blob(), "the other artifact needs it");
    lab.ok("artifact extract --title a.txt localhost/two:1 out");
    lab.ok("artifact rm localhost/two:1");
    assert!(!blob(), "nobody needs it");
    assert!(!lab.ok("system df").contains("Artifacts"));
}

#[test]
fn a_damaged_artifact_is_found_and_repaired() {
    if differs_on_purpose("the layout of the store") {
        return;
    }
    let lab = with_files();
    lab.ok("artifact add localhost/one:1 a.txt");
    lab.ok("artifact add localhost/two:1 c.bin");
    let hex = &HELLO["sha256:".len()..];
    let blob = files(&lab.store()).into_iter().find(|path| path.to_string_lossy().ends_with(hex)).unwrap();
    std::fs::write(&blob, "hullo\n").unwrap();
    let error = lab.creel("artifact extract localhost/one:1 out").run().fails(125);
    assert!(error.contains("digest mismatch"), "{error}");
    lab.creel("system check").run().fails(125);
    lab.ok("system check --repair --force");
    assert_eq!(lab.ok("artifact ls -n --format {{.Repository}}"), "localhost/two");
    lab.ok("system check");
}

#[test]
fn kill_leaves_whole_artifacts_or_none() {
    let lab = Lab::empty();
    lab.write("big", vec![7; 64 << 20]);
    for round in 0..8 {
        let running = lab.creel("artifact add --replace localhost/big:1 big").within(60).spawn();
        std::thread::sleep(std::time::Duration::from_millis(10 + round * 25));
        running.signal(nix::sys::signal::Signal::SIGKILL);
        let _ = running.end().exit_code();
        if !lab.ok("artifact ls -n").is_empty() {
            lab.ok("artifact extract localhost/big:1 out");
            assert_eq!(std::fs::metadata(lab.path("out")).unwrap().len(), 64 << 20);
        }
    }
    lab.ok("artifact rm --all");
    if !crate::lab::is_podman() {
        lab.ok("system check");
        let left =
            || files(&lab.store()).iter().filter_map(|path| path.metadata().ok()).map(|stat| stat.len()).sum::<u64>();
        assert!(comes_true(std::time::Duration::from_secs(5), || left() < 1 << 20), "{} bytes are left", left());
    }
}
