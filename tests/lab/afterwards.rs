//! The end of a test: whatever it has left running, mounted or lying about fails it, and is cleared away.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Lab, Outcome, Process, comes_true, command, is_podman, program, tests_are_root};

impl Lab {
    /// What is left that should not be; processes get some time to go.
    fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let of_engine = |process: &Process| is_podman() && process.command.contains("catatonit");
        comes_true(Duration::from_secs(20), || self.processes().iter().all(of_engine));
        left.extend(self.processes().iter().filter(|process| !of_engine(process)).map(|process| {
            let parent = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap_or_default();
            let parent = parent.lines().find(|line| line.starts_with("PPid:")).unwrap_or("").replace('\t', " ");
            format!("process {} {} ({parent})", process.pid, process.command)
        }));
        for line in fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
            if line.contains(&format!("{}/", self.dir.display()))
                || line.contains(&format!("{}/", self.runtime.display()))
            {
                left.push(format!("mount {line}"));
            }
        }
        if is_podman() {
            return left;
        }
        for path in files(&self.runtime) {
            let kind = fs::symlink_metadata(&path).map(|metadata| metadata.file_type());
            let of_a_container =
                path.iter().any(|part| part.len() == 64 && part.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit));
            if of_a_container || kind.is_ok_and(|kind| kind.is_socket() || kind.is_fifo()) {
                left.push(format!("file {}", path.display()));
            }
        }
        left.extend(files(&self.tmp()).iter().map(|path| format!("file {}", path.display())));
        left
    }

    /// What somebody wants to know who sees the failure later and elsewhere. Nothing in it panics.
    fn tell_how_it_stands(&self) {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!("load {}; the last commands:\n{}", load.trim(), command::remembered());
        for process in self.processes() {
            println!("process {} {}", process.pid, process.command);
        }
        let program = program().display().to_string();
        for words in [&["ps", "-a", "--pod"][..], &["events", "--stream=false", "--since", "5m"]] {
            let command = [&["timeout", "-k", "1", "20", &program][..], words].concat();
            if let Ok(output) = self.command(&command).output() {
                let text = String::from_utf8_lossy(&output.stdout);
                let last = text.lines().rev().take(60).collect::<Vec<_>>();
                println!("{}: {}", words.join(" "), output.status);
                last.iter().rev().for_each(|line| println!("    {line}"));
            }
        }
    }

    fn remove_all_containers(&self) -> Outcome {
        if self.tracker.alive().is_empty() && is_podman() {
            return self.program("true").run();
        }
        self.creel("rm --force --all --time 0").within(60).run()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let calm = !std::thread::panicking();
        let mut complaints = Vec::new();
        if calm {
            let removed = self.remove_all_containers();
            if removed.exit_code() != 0 {
                complaints.push(removed.to_string());
            }
            complaints.extend(self.leftovers());
        }
        if !calm || !complaints.is_empty() {
            self.tell_how_it_stands();
        }
        self.tracker.kill();
        comes_true(Duration::from_secs(5), || {
            self.tracker.kill();
            self.processes().is_empty()
        });
        if fs::remove_dir_all(&self.dir).is_err() && !tests_are_root() {
            // Files of subordinate ids can be removed only inside of the user namespace.
            let _ = self.creel(&format!("unshare rm -rf {}", self.dir.display())).run();
            self.tracker.kill();
        }
        let _ = fs::remove_dir_all(&self.dir);
        let _ = fs::remove_dir_all(&self.runtime);
        if calm {
            assert!(complaints.is_empty(), "left behind:\n{}", complaints.join("\n"));
        }
    }
}

/// All that is no folder below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
