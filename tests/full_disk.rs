//! A store on a file system that fills up.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::{Lab, is_podman, skip, tests_are_root};

/// A small file system of its own, mounted for one test.
struct Small {
    place: PathBuf,
}

impl Small {
    /// `None` (and a skip) where it cannot be made.
    fn mount(lab: &Lab, megabytes: u32) -> Option<Small> {
        if !tests_are_root() {
            skip("only root can mount a small file system");
            return None;
        }
        let place = lab.folder("small");
        let image = lab.path("small.img");
        let script = format!(
            "truncate -s {megabytes}M {0} && mkfs.ext4 -q -m 0 -O ^has_journal {0} && mount -o loop {0} {1}",
            image.display(),
            place.display()
        );
        let made = Command::new("sh").args(["-c", &format!("PATH=$PATH:/usr/sbin:/sbin; {script}")]).output().unwrap();
        if !made.status.success() {
            skip(&format!("no loop mount here: {}", String::from_utf8_lossy(&made.stderr).trim()));
            return None;
        }
        let small = Small { place };
        lab.give(&small.place);
        Some(small)
    }

    fn options(&self) -> String {
        format!("--root {0}/root --runroot {0}/run", self.place.display())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        for _ in 0..200 {
            if Command::new("umount").arg(&self.place).output().unwrap().status.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = Command::new("umount").arg("-l").arg(&self.place).output();
        assert!(std::thread::panicking(), "something still uses {}", self.place.display());
    }
}

fn free(place: &Path) -> u64 {
    let stat = rustix::fs::statvfs(place).unwrap();
    stat.f_bavail * stat.f_frsize
}

#[test]
fn a_full_store_still_answers_and_can_be_emptied() {
    let lab = Lab::empty();
    let Some(small) = Small::mount(&lab, 24) else { return };
    let options = small.options();
    let creel = |line: &str| lab.creel(&format!("{options} {line}")).run();
    creel(&format!("load -q -i {}", lab.box_archive().display())).ok();
    creel("run -d --name idle --network none box idle").ok();
    let outcome = creel("run --name fat --network none box dd if=/dev/zero of=/fat bs=64k");
    assert_eq!(outcome.exit_code(), 1, "{outcome}");
    assert!(outcome.err().contains("No space left on device"), "{outcome}");
    assert!(free(&small.place) < 300_000);
    // Everything that only looks works, and so does what makes room.
    assert_eq!(creel("ps -a --format {{.Names}}").ok().lines().count(), 2);
    creel("inspect idle").ok();
    creel("logs fat").ok();
    creel("images").ok();
    let refused = creel(&format!("load -q -i {}", lab.write("big.tar", big()).display()));
    let error = refused.fails(125);
    assert!(error.to_lowercase().contains("no space left on device"), "{error}");
    let _ = creel("run --rm --network none box true").exit_code();
    creel("stop -t 0 idle").ok();
    creel("rm fat").ok();
    assert_eq!(creel("run --rm --network none box echo room").ok(), "room");
    if !is_podman() {
        creel("system check").ok();
    }
    creel("rm -f -t 0 idle").ok();
    creel("rmi -a -f").ok();
    if is_podman() {
        lab.kill_what_is_left();
    }
}

#[test]
fn an_image_that_does_not_fit_leaves_nothing() {
    let lab = Lab::empty();
    let Some(small) = Small::mount(&lab, 12) else { return };
    let options = small.options();
    let creel = |line: &str| lab.creel(&format!("{options} {line}")).run();
    creel("images").ok();
    let before = free(&small.place);
    let archive = lab.write("big.tar", big());
    for _ in 0..3 {
        let error = creel(&format!("load -q -i {}", archive.display())).fails(125);
        assert!(error.to_lowercase().contains("no space left on device"), "{error}");
        assert_eq!(creel("images -q").ok(), "");
    }
    if !is_podman() {
        assert!(before - free(&small.place) < 500_000, "{before} free before, {} now", free(&small.place));
        creel("system check").ok();
    }
    creel(&format!("load -q -i {}", lab.box_archive().display())).ok();
    creel("run --rm --network none box true").ok();
    if is_podman() {
        lab.kill_what_is_left();
    }
}

/// An image of 16 MB that does not compress.
fn big() -> Vec<u8> {
    let mut draft = crate::lab::image::box_draft().clone();
    let mut state = 1u64;
    let noise: Vec<u8> = (0..16_000_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    draft.layers.push(crate::lab::archive::Archive::new().file("noise", 0o644, noise).bytes());
    draft.docker_archive(&["localhost/big:latest"])
}
