//! The place in which one test works: an own home, an own store, own names, an own small image, and a guard that looks
//! afterwards whether anything of it was left running, mounted or lying about.

pub(crate) mod archive;
mod command;
mod greeter;
pub(crate) mod image;
pub(crate) mod name_server;
pub(crate) mod probe;
mod processes;
pub(crate) mod registry;
mod servers;
mod terminal;
mod user;
mod words;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) use command::{Background, Invocation, Outcome, comes_true, eventually};
pub(crate) use greeter::greeter;
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

/// What the tests are run against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Engine {
    Creel,
    Podman,
}

fn engine() -> (Engine, &'static Path) {
    static ENGINE: OnceLock<(Engine, PathBuf)> = OnceLock::new();
    let (engine, program) = ENGINE.get_or_init(|| {
        let named = std::env::var_os("CREEL_UNDER_TEST").map(PathBuf::from);
        if let Some(program) = named.as_ref().filter(|program| program.ends_with("podman")) {
            return (Engine::Podman, program.clone());
        }
        let program = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_creel")));
        // The checkout may lie where the ordinary user cannot go.
        let copy = base().join("creel");
        fs::copy(&program, &copy).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        (Engine::Creel, copy)
    });
    (*engine, program)
}

/// The file of the program under test.
pub(crate) fn program() -> &'static Path {
    engine().1
}

/// The folder of this whole test run. Those of earlier runs that were killed go first.
fn base() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let parent = std::env::var_os("CREEL_TEST_DIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        for parent in [parent.as_path(), Path::new("/dev/shm")] {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let Some(pid) = name.to_str().and_then(|name| name.strip_prefix("creel-")) else { continue };
                if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
        let base = parent.join(format!("creel-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
        base
    })
}

/// True under podman, where the behaviour that the test pins is another on purpose; the reason is printed.
pub(crate) fn differs_on_purpose(reason: &str) -> bool {
    let podman = engine().0 == Engine::Podman;
    if podman {
        record("DIFFERS", reason);
    }
    podman
}

pub(crate) fn is_podman() -> bool {
    engine().0 == Engine::Podman
}

/// Says loudly that the test could not be made here, and counts it.
pub(crate) fn skip(reason: &str) {
    record("SKIP", reason);
}

fn record(word: &str, reason: &str) {
    let thread = std::thread::current();
    let line = format!("{word} {}: {reason}\n", thread.name().unwrap_or("?"));
    // Not eprint!: the test harness would keep that to itself.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("CREEL_TEST_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Whether a program is there; else the test is skipped for that reason.
pub(crate) fn has_program(name: &str) -> bool {
    let found = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .any(|dir| Path::new(dir).join(name).exists());
    if !found {
        skip(&format!("no {name} on this machine"));
    }
    found
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
        let mut command = self.command(&[engine().1.to_str().unwrap()]);
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
        let program = engine().1.display();
        let text = format!("creel() {{ {program} \"$@\"; }}; {script}");
        let mut command = self.command(&["/bin/bash", "-c"]);
        command.arg(text).env("CREEL", engine().1);
        Invocation::new(command, script.to_owned())
    }

    /// A copy that any user may execute.
    pub(crate) fn program_under_test(&self) -> &'static Path {
        engine().1
    }

    /// Any other program as the ordinary user.
    pub(crate) fn program(&self, line: &str) -> Invocation {
        let words = words::split(line);
        Invocation::new(self.command(&words.iter().map(String::as_str).collect::<Vec<_>>()), line.to_owned())
    }

    /// The program under test on a terminal of 24 rows and 80 columns.
    pub(crate) fn terminal(&self, line: &str) -> Terminal {
        let mut command = self.command(&["setsid", "--ctty", engine().1.to_str().unwrap()]);
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
        let dir = engine().1.parent().unwrap().display();
        command
            .env("TERM", "xterm")
            .env("PATH", format!("{dir}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"))
            .env("INPUTRC", "/dev/null");
        Terminal::start(command, words.join(" "), 24, 80)
    }

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
        let program = engine().1.display().to_string();
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
        if !std::thread::panicking() {
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

/// Ports that the kernel gives to no outgoing connection (`ip_local_port_range` in ip(7)), nor creel to a Service.
const FREE_PORTS: std::ops::Range<usize> = 16_000..30_000;

/// A port of the loopback address that nobody listens on now, and that no other test was given.
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}

/// `count` neighbouring free ports; the first.
pub(crate) fn free_ports(count: u16) -> u16 {
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    // Test programs that run side by side begin at places of their own.
    let begin = std::process::id() as usize * 389;
    loop {
        let given = GIVEN.fetch_add(usize::from(count), Ordering::Relaxed);
        let first = u16::try_from(FREE_PORTS.start + (begin + given) % FREE_PORTS.len()).unwrap();
        if (first..first + count).all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

/// The port on which Ingresses are served.
pub(crate) fn ingress_port() -> u16 {
    if first_port() <= 80 { 80 } else { 8080 }
}

/// The port on which those with certificates are served, too.
pub(crate) fn ingress_tls_port() -> u16 {
    if first_port() <= 443 { 443 } else { 8443 }
}

/// The lowest that is not root's alone.
fn first_port() -> u16 {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    first.trim().parse().unwrap()
}

/// The ports of Ingresses are there once on a machine: tests take turns at them. `None` (and a skip) while somebody else
/// has one.
pub(crate) fn ingress_turn() -> Option<std::sync::MutexGuard<'static, ()>> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for port in [ingress_port(), ingress_tls_port()] {
        let is_free = || std::net::TcpListener::bind(("0.0.0.0", port)).is_ok();
        if !comes_true(Duration::from_secs(10), is_free) {
            skip(&format!("port {port} is in use on this machine"));
            return None;
        }
    }
    Some(turn)
}
