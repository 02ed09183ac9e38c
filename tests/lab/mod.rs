//! The place in which one test works: an own home, an own store, own names, an own small image, and a guard that looks
//! afterwards whether anything of it was left running, mounted or lying about.

mod afterwards;
pub(crate) mod archive;
mod command;
mod engine;
mod greeter;
pub(crate) mod image;
pub(crate) mod name_server;
mod place;
mod ports;
pub(crate) mod probe;
mod processes;
pub(crate) mod registry;
mod servers;
mod terminal;
mod user;
mod words;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use afterwards::files;
pub(crate) use command::{Background, Invocation, Outcome, comes_true, eventually};
use engine::base;
pub(crate) use engine::{differs_on_purpose, has_program, is_podman, program, skip};
pub(crate) use greeter::greeter;
pub(crate) use place::Place;
pub(crate) use ports::{free_port, free_ports, ingress_port, ingress_tls_port, ingress_turn};
pub(crate) use processes::Process;
use processes::Tracker;
pub(crate) use terminal::Terminal;
pub(crate) use user::{tests_are_root, user};

/// The small image that [`Lab::new`] loads; every test may take it for granted under the short name `box`.
pub(crate) const BOX: &str = "localhost/box:latest";

pub(crate) struct Lab {
    dir: PathBuf,
    runtime: PathBuf,
    tracker: Tracker,
}

impl Lab {
    /// With the image `box` in the store.
    pub(crate) fn new() -> Lab {
        let lab = Lab::empty();
        lab.load_box();
        lab
    }

    /// With nothing in the store.
    pub(crate) fn empty() -> Lab {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = base().join(number.to_string());
        let runtime = Path::new("/dev/shm").join(base().file_name().unwrap()).join(number.to_string());
        let tracker = Tracker::new(&dir, &format!("{}-{number}", base().file_name().unwrap().display()));
        let lab = Lab { dir, runtime, tracker };
        for folder in [
            lab.home(),
            lab.dir.join("tmp"),
            lab.home().join(".config"),
            lab.home().join(".config/containers"),
            lab.runtime.clone(),
        ] {
            fs::create_dir_all(&folder).unwrap();
            lab.give(&folder);
        }
        fs::set_permissions(&lab.runtime, fs::Permissions::from_mode(0o700)).unwrap();
        lab.write(".config/containers/policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#);
        lab.write(".config/containers/registries.conf", "unqualified-search-registries = []\n");
        if let Ok(program) = std::env::var("CREEL_TEST_MOUNT_PROGRAM") {
            let text =
                format!("[storage]\ndriver = \"overlay\"\n[storage.options.overlay]\nmount_program = \"{program}\"\n");
            lab.write(".config/containers/storage.conf", &text);
        }
        lab
    }

    /// With a cgroup of its own that the user may use, as in a login session; `None` (and a skip) where there is no
    /// cgroup v2 at all.
    pub(crate) fn with_cgroup() -> Option<Lab> {
        let lab = Lab::empty();
        if !lab.tracker.delegate() {
            skip("no cgroup v2 hierarchy that could be delegated to the user");
            return None;
        }
        lab.load_box();
        Some(lab)
    }

    pub(crate) fn load_box(&self) {
        self.creel(&format!("load -q -i {}", self.box_archive().display())).run().ok();
    }

    /// The image `box` as a file.
    pub(crate) fn box_archive(&self) -> &'static Path {
        image::box_archive(base())
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// Where the user's programs keep what does not outlive a login.
    pub(crate) fn runtime(&self) -> &Path {
        &self.runtime
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// Makes a controller of cgroup v2 available to the test's cgroup; false where it is not free.
    pub(crate) fn enable_controller(&self, name: &str) -> bool {
        self.tracker.enable_controller(name)
    }

    /// Where cgroup v2 is mounted.
    pub(crate) fn cgroup_root(&self) -> PathBuf {
        processes::cgroup_root().unwrap()
    }

    pub(crate) fn cgroup(&self) -> Option<&Path> {
        self.tracker.cgroup()
    }

    /// A path below the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// Writes a file below the home, the user's own; its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if !path.parent().unwrap().exists() {
            self.folder(Path::new(name).parent().unwrap().to_str().unwrap());
        }
        fs::write(&path, content).unwrap();
        self.give(&path);
        path
    }

    pub(crate) fn executable(&self, name: &str, content: &str) -> PathBuf {
        let path = self.write(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Makes a folder below the home, the user's own; its path.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let mut path = self.home();
        for part in Path::new(name) {
            path.push(part);
            if !path.exists() {
                fs::create_dir(&path).unwrap();
                self.give(&path);
            }
        }
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Hands a file to the ordinary user.
    pub(crate) fn give(&self, path: &Path) {
        if tests_are_root() {
            chown(path, Some(user().uid), Some(user().gid)).unwrap();
        }
    }

    /// The program under test with this command line, as one would type it.
    pub(crate) fn creel(&self, line: &str) -> Invocation {
        let words = words::split(line);
        self.creel_words(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn creel_words(&self, words: &[&str]) -> Invocation {
        let mut command = self.command(&[program().to_str().unwrap()]);
        command.args(words);
        Invocation::new(command, format!("creel {}", words.join(" ")))
    }

    /// Runs it and takes its success for granted; its output without the last newline.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        self.creel(line).run().ok()
    }

    /// A shell script as the ordinary user, in which `creel` is the program under test.
    pub(crate) fn shell(&self, script: &str) -> Invocation {
        let text = format!("creel() {{ {} \"$@\"; }}; {script}", program().display());
        let mut command = self.command(&["/bin/bash", "-c"]);
        command.arg(text).env("CREEL", program());
        Invocation::new(command, script.to_owned())
    }

    /// Any other program as the ordinary user.
    pub(crate) fn program(&self, line: &str) -> Invocation {
        let words = words::split(line);
        Invocation::new(self.command(&words.iter().map(String::as_str).collect::<Vec<_>>()), line.to_owned())
    }

    /// The program under test on a terminal of 24 rows and 80 columns.
    pub(crate) fn terminal(&self, line: &str) -> Terminal {
        let mut command = self.command(&["setsid", "--ctty", program().to_str().unwrap()]);
        command.args(words::split(line)).env("TERM", "xterm");
        Terminal::start(command, format!("creel {line}"), 24, 80)
    }

    /// The program under test on a machine on which `setup`, a shell script, has broken something: as root, in a mount
    /// namespace of its own. In it `change DIR` makes a directory changeable for this one command, `$HOME`,
    /// `$XDG_RUNTIME_DIR` and `$ME` are the ordinary user's, and `sudo` does what it says. `None` (and a skip) where the
    /// tests are not root.
    pub(crate) fn on_broken_host(&self, setup: &str, line: &str) -> Option<Invocation> {
        const WORDS: &str = r#"
            set -e
            mount -t tmpfs tmpfs /mnt
            sudo() { "$@"; }
            change() {
                upper=/mnt/$(echo "$1" | tr / _)
                mkdir -p "$upper/up" "$upper/work"
                mount -t overlay -o "lowerdir=$1,upperdir=$upper/up,workdir=$upper/work" overlay "$1"
            }
        "#;
        if !tests_are_root() {
            skip("a machine can be broken by root only");
            return None;
        }
        let inner = self.creel(line);
        let user = user();
        let mut command = Command::new("unshare");
        let script = format!("{WORDS}\n{setup}\nexec \"$@\"");
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", &script, "sh"]);
        command.arg(inner.command.get_program()).args(inner.command.get_args());
        command.env_clear().env("ME", &user.name).env("MY_ID", user.uid.to_string());
        for (name, value) in inner.command.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.current_dir("/");
        Some(Invocation::new(command, format!("{setup}\n{}", inner.line)))
    }

    fn command(&self, words: &[&str]) -> Command {
        let user = user();
        let mut prefix: Vec<String> = Vec::new();
        if let Some(cgroup) = self.tracker.entry() {
            let enter = format!("echo 0 > {}/cgroup.procs && exec \"$@\"", cgroup.display());
            prefix.extend(["/bin/sh", "-c", &enter, "sh"].map(str::to_owned));
        }
        let usual = Path::new("/sys/fs/cgroup");
        if tests_are_root() && self.tracker.is_delegated() && self.cgroup_root() != usual {
            // On a machine that mixes both versions, the second one is put where it lies on all others.
            let script = "umount -R -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$@\"";
            prefix.extend(["unshare", "--mount", "/bin/sh", "-c", script, "sh"].map(str::to_owned));
        }
        if tests_are_root() {
            prefix.extend(["setpriv".to_owned(), format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
            prefix.push("--clear-groups".to_owned());
        }
        prefix.extend(words.iter().map(|&word| word.to_owned()));
        let mut command = Command::new(&prefix[0]);
        command
            .args(&prefix[1..])
            .current_dir(self.home())
            .env_clear()
            .env("HOME", self.home())
            .env("USER", &user.name)
            .env("LOGNAME", &user.name)
            .env("LANG", "C.UTF-8")
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("XDG_RUNTIME_DIR", &self.runtime)
            .env("TMPDIR", self.tmp());
        command
    }

    /// All processes that this test's commands have started and that still live.
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.tracker.alive()
    }

    /// `inspect --format` of a container.
    #[track_caller]
    pub(crate) fn inspect(&self, name: &str, template: &str) -> String {
        self.creel_words(&["container", "inspect", "--format", template, name]).run().ok()
    }

    /// For a test whose container leaves processes behind by right.
    pub(crate) fn kill_what_is_left(&self) {
        self.tracker.kill();
    }

    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The state word of a container.
    #[track_caller]
    pub(crate) fn state(&self, name: &str) -> String {
        self.inspect(name, "{{.State.Status}}")
    }

    /// Whether a command has the files of a container open that does not run. Of creel alone.
    pub(crate) fn files_are_open(&self, name: &str) -> bool {
        let lock = self.store().join("containers").join(self.inspect(name, "{{.Id}}")).join("files.lock");
        std::fs::File::open(lock).is_ok_and(|lock| lock.try_lock().is_err())
    }

    /// Waits until the log of a container holds the text; the log.
    #[track_caller]
    pub(crate) fn log_holds(&self, name: &str, text: &str) -> String {
        let mut log = String::new();
        eventually(&format!("`{text}` in the log of {name}"), || {
            log = self.ok(&format!("logs {name}"));
            log.contains(text)
        });
        log
    }

    /// Where the store lies, as the program says.
    pub(crate) fn store(&self) -> PathBuf {
        PathBuf::from(self.creel_words(&["info", "--format", "{{.Store.GraphRoot}}"]).run().ok())
    }

    /// An interactive program, most likely a shell, on a terminal, with the program under test in its PATH.
    pub(crate) fn terminal_of(&self, words: &[&str]) -> Terminal {
        let mut all = vec!["setsid", "--ctty"];
        all.extend(words);
        let mut command = self.command(&all);
        let dir = program().parent().unwrap().display();
        command
            .env("TERM", "xterm")
            .env("PATH", format!("{dir}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"))
            .env("INPUTRC", "/dev/null");
        Terminal::start(command, words.join(" "), 24, 80)
    }
}
