//! File systems of their own, mounted for one test.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Lab, skip, tests_are_root};

/// A mount that goes with the value: what still uses it then fails the test.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
}

impl Place {
    /// `script` mounts it at `$place` and may use the folder `$own`. `None` (and a skip) where it cannot.
    pub(crate) fn mount(lab: &Lab, script: &str) -> Option<Place> {
        if !tests_are_root() {
            skip("only root can mount a file system");
            return None;
        }
        let (path, own) = (lab.folder("place"), lab.folder("place-own"));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("set -e; PATH=$PATH:/usr/sbin:/sbin; {script}")])
            .env("place", &path)
            .env("own", own);
        let made = shell.output().unwrap();
        if !made.status.success() {
            skip(&format!("it cannot be mounted here: {}", String::from_utf8_lossy(&made.stderr).trim()));
            return None;
        }
        let place = Place { path };
        lab.give(&place.path);
        Some(place)
    }

    /// Flags for a store on it.
    pub(crate) fn options(&self) -> String {
        format!("--root {0}/root --runroot {0}/run", self.path.display())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for _ in 0..200 {
            if Command::new("umount").arg(&self.path).output().unwrap().status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
        assert!(std::thread::panicking(), "something still uses {}", self.path.display());
    }
}
