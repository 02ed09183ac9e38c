//! `packaging/quickstart`, the first thing a stranger runs, and `packaging/deb`, on a machine that was made a minute ago.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::{Lab, differs_on_purpose, free_port, has_program, skip, tests_are_root};

fn script(name: &str) -> String {
    format!("{}/packaging/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs it as root; what it printed. `Err` with all it said when it fails.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.env("LC_ALL", "C").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(format!("{command:?}: {}\n{said}", output.status)) }
}

/// The Debian package of the program under test.
fn build_package(output: &Path) -> PathBuf {
    let mut command = Command::new(script("deb"));
    command.arg("--binary").arg(crate::lab::program()).arg("--output").arg(output);
    PathBuf::from(run(&mut command).unwrap().trim())
}

/// A fresh installation of what this machine is, with nothing but the essentials; `None` (and a skip) where there is no
/// network to fetch it from.
fn fresh_system(root: &Path) -> Option<()> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
    let listed = run(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME)",
        "Created-By: Packages",
    ]));
    let listed = listed.unwrap_or_default();
    let of_suite =
        |line: &str| line.split_once(' ').filter(|(_, of)| *of == suite).map(|(mirror, _)| mirror.to_owned());
    let Some(mirror) = listed.lines().find_map(of_suite) else {
        skip("apt knows no archive to install a fresh system from");
        return None;
    };
    let made = run(Command::new("debootstrap").args(["--variant=minbase", suite]).arg(root).arg(mirror));
    match made {
        Ok(_) => Some(()),
        Err(why) if why.contains("Failed getting release file") || why.contains("Couldn't download") => {
            skip("no network to install a fresh system from");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

/// A shell script as root of the fresh system. Not by chroot(2): in a chroot the kernel gives nobody a user namespace.
fn inside(root: &Path, script: &str) -> String {
    const ENTER: &str = r#"
        mount --bind "$1" "$1"; cd "$1"
        mount --rbind /dev dev; mount -t proc proc proc; mount --rbind /sys sys
        mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp
        cp /etc/resolv.conf etc/resolv.conf
        pivot_root . mnt; umount -l /mnt
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive HOME=/root \
            LC_ALL=C.UTF-8 /bin/sh -ec "$2"
    "#;
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
        "/bin/bash",
        "-ec",
        ENTER,
        "enter",
    ]);
    run(command.arg(root).arg(script)).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn the_package_has_what_a_user_expects_of_one() {
    if differs_on_purpose("packaged by others") || !has_program("dpkg-deb") {
        return;
    }
    let lab = Lab::empty();
    let package = build_package(&lab.path("package"));
    let field = |name: &str| run(Command::new("dpkg-deb").arg("--field").arg(&package).arg(name)).unwrap();
    assert!(field("Depends").contains("uidmap, skopeo"));
    assert_eq!(format!("creel version {}", field("Version").trim()), lab.ok("--version"));
    let content = run(Command::new("dpkg-deb").arg("--contents").arg(&package)).unwrap();
    for file in [
        "-rwxr-xr-x root/root ./usr/bin/creel",
        "./usr/share/man/man1/creel-run.1.gz",
        "./usr/share/man/man1/creel-volume-ls.1.gz",
        "./usr/share/bash-completion/completions/creel",
        "./usr/share/zsh/vendor-completions/_creel",
        "./usr/share/fish/vendor_completions.d/creel.fish",
        "./usr/lib/systemd/user/creel-auto-update.service",
        "./usr/lib/systemd/user/creel-auto-update.timer",
        "./usr/lib/systemd/user/creel-kube@.service",
        "./usr/lib/systemd/user/creel-prune.service",
        "./usr/lib/systemd/user/creel-prune.timer",
        "./usr/lib/systemd/user/creel-restart.service",
        "./usr/lib/systemd/user/creel.socket",
        "./usr/lib/systemd/user/creel.service",
        "./usr/share/doc/creel/copyright",
        "./usr/lib/systemd/user-generators/creel-user-generator -> ../../../bin/creel",
    ] {
        let (mode, path) = file.split_once(" root/root ").unwrap_or(("", file));
        assert!(content.lines().any(|line| line.starts_with(mode) && line.ends_with(path)), "{file}: {content}");
    }
    std::fs::remove_dir_all(lab.path("package")).unwrap();
}

#[test]
fn the_package_runs_a_container_on_a_fresh_system_and_goes_without_a_trace() {
    if differs_on_purpose("packaged by others") {
        return;
    }
    if !tests_are_root() {
        return skip("a fresh system can be made by root only");
    }
    if !["debootstrap", "dpkg-deb", "apt-get", "pivot_root"].into_iter().all(has_program) {
        return;
    }
    let lab = Lab::empty();
    let root = lab.path("fresh");
    if fresh_system(&root).is_some() {
        let package = build_package(&root);
        std::fs::rename(package, root.join("creel.deb")).unwrap();
        std::fs::copy(script("quickstart"), root.join("quickstart")).unwrap();
        inside(
            &root,
            "apt-get update -qq; apt-get install -y -qq --no-install-recommends /creel.deb; useradd --create-home sam",
        );
        // A login gives a runtime directory; here nobody logs in.
        let as_sam = |script: &str| {
            let enter = "mkdir -p /run/user/1000; chown sam /run/user/1000; chmod 700 /run/user/1000; \
                         exec setpriv --reuid=sam --regid=sam --init-groups --reset-env \
                         env XDG_RUNTIME_DIR=/run/user/1000 sh -ec 'cd; ";
            inside(&root, &format!("{enter}{script}'"))
        };
        assert!(as_sam("creel run --rm localhost/creel/hello --version 2>&1").contains("creel "));
        let doctor = as_sam("creel doctor 2>&1");
        assert!(doctor.contains("\nid map             good        ids 0 to 65536\n"), "{doctor}");
        assert!(doctor.contains("\nuplink             good        creel is ready"), "{doctor}");
        let port = free_port();
        let served = as_sam(&format!(
            "creel run -d --name web -p 127.0.0.1:{port}:8080 localhost/creel/hello >/dev/null; creel port web; \
             creel exec web /creel --version || true; creel ps --format \"{{{{.Names}}}} {{{{.Image}}}}\"; creel rm -f -t 0 web",
        ));
        assert!(served.contains(&format!("8080/tcp -> 127.0.0.1:{port}")), "{served}");
        assert!(served.contains("web localhost/creel/hello:latest"), "{served}");
        assert_eq!(inside(&root, "dpkg --verify creel"), "");
        let quickstart = inside(&root, "bash /quickstart --binary /usr/bin/creel 2>&1");
        assert!(quickstart.contains("it says: Hello from creel"), "{quickstart}");
        inside(&root, "apt-get purge -y -qq creel");
        assert_eq!(
            inside(&root, "find /usr /etc /var/lib/dpkg/info -name \"*creel*\" | grep -v creel-quickstart || true"),
            ""
        );
        // The user's own things are the user's.
        assert!(root.join("home/sam/.local/share/creel").exists());
    }
    let _ = std::fs::remove_dir_all(&root);
}

#[test]
fn the_quickstart_serves_a_page_and_leaves_nothing() {
    if differs_on_purpose("it starts creel") {
        return;
    }
    let lab = Lab::empty();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/quickstart");
    let copy = lab.executable("quickstart", &std::fs::read_to_string(script).unwrap());
    let line = format!("{} --binary {}", copy.display(), crate::lab::program().display());
    let text = lab.program(&line).within(120).run().ok();
    assert!(text.contains("it says: Hello from creel"), "{text}");
    assert!(text.contains("it works"), "{text}");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn scripts_are_sound_shell() {
    let scripts = ["packaging/quickstart", "packaging/deb", "packaging/debian/postinst", "packaging/debian/prerm"];
    for script in scripts.into_iter().chain(["packaging/debian/postrm", "tests/run", ".ci/run"]) {
        let path = format!("{}/{script}", env!("CARGO_MANIFEST_DIR"));
        if !std::path::Path::new(&path).exists() {
            continue;
        }
        let checked = Command::new("bash").args(["-n", &path]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    assert!(tests_are_root() || !crate::lab::user().name.is_empty());
}
