//! What the service manager that started us hears: NOTIFY_SOCKET, see sd_notify(3).

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lab::{Lab, differs_on_purpose, eventually};

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(lab: &Lab) -> Manager {
        let path = lab.path("manager.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Manager { socket, path }
    }

    fn start(&self, lab: &Lab, line: &str) -> String {
        lab.creel(line).env("NOTIFY_SOCKET", self.path.to_str().unwrap()).run().ok()
    }

    fn hears(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("a message within 30 s");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[track_caller]
    fn hears_nothing_more(&self) {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        if let Ok(length) = self.socket.recv(&mut buffer) {
            panic!("{}", String::from_utf8_lossy(&buffer[..length]));
        }
        self.socket.set_nonblocking(false).unwrap();
    }
}

/// The container's own socket, from outside.
fn inner_socket(dir: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_socket() && entry.file_name() == "notify.sock" {
            return Some(entry.path());
        }
        if kind.is_dir()
            && let Some(found) = inner_socket(&entry.path())
        {
            return Some(found);
        }
    }
    None
}

/// Says these to the only container that has a socket of its own, as its program would.
fn container_says(lab: &Lab, messages: &[&str]) {
    let inner = [lab.runtime(), &lab.home()].into_iter().find_map(inner_socket).unwrap();
    let container = UnixDatagram::unbound().unwrap();
    // A socket's path has 108 bytes.
    let dir = fs::File::open(inner.parent().unwrap()).unwrap();
    let inner = PathBuf::from(format!("/proc/self/fd/{}/notify.sock", dir.as_raw_fd()));
    for message in messages {
        container.send_to(message.as_bytes(), &inner).unwrap();
    }
}

fn main_pid(lab: &Lab, name: &str) -> String {
    format!("MAINPID={}", lab.inspect(name, "{{.State.ConmonPid}}"))
}

#[test]
fn the_container_says_itself_when_it_is_ready() {
    let lab = Lab::new();
    let manager = Manager::new(&lab);
    manager.start(&lab, "run -d --name one --network none box sh -c 'echo $NOTIFY_SOCKET; exec idle'");
    assert_eq!(manager.hears(), main_pid(&lab, "one"));
    eventually("the path is told", || lab.ok("logs one").starts_with("/run/notify/notify.sock\n"));
    assert_eq!(lab.ok("exec one stat -c '%F %a' /run/notify/notify.sock"), "socket 777");
    container_says(&lab, &["MAINPID=1", "READY=1\nSTATUS=up", "BARRIER=1", "WATCHDOG=1"]);
    assert_eq!([manager.hears(), manager.hears()], ["READY=1\nSTATUS=up", "WATCHDOG=1"]);
    manager.hears_nothing_more();
    lab.ok("stop -t 0 one");
    manager.start(&lab, "start one");
    assert_eq!(manager.hears(), main_pid(&lab, "one"));
}

#[test]
fn what_runs_is_ready_where_the_monitor_says_so() {
    let lab = Lab::new();
    let manager = Manager::new(&lab);
    manager.start(&lab, "run -d --name one --sdnotify conmon --network none box idle");
    assert_eq!(manager.hears(), format!("{}\nREADY=1", main_pid(&lab, "one")));
    for mode in ["conmon", "ignore"] {
        let line = format!("run --rm --sdnotify {mode} --network none box sh -c 'echo ${{NOTIFY_SOCKET:-none}}'");
        assert_eq!(manager.start(&lab, &line), "none");
    }
    assert!(manager.hears().ends_with("\nREADY=1"));
    manager.hears_nothing_more();
}

#[test]
fn a_container_is_ready_when_it_is_healthy() {
    if differs_on_purpose("podman leaves the time of checks to systemd, which does not run everywhere") {
        return;
    }
    let lab = Lab::new();
    let manager = Manager::new(&lab);
    let run = "run -d --sdnotify healthy --network none --health-interval 200ms";
    let waiting = lab
        .creel(&format!("{run} --name one --health-cmd 'test -e /well' box idle"))
        .env("NOTIFY_SOCKET", manager.path.to_str().unwrap())
        .spawn();
    assert!(manager.hears().starts_with("MAINPID="));
    eventually("it runs", || lab.creel("exec one true").run().exit_code() == 0);
    manager.hears_nothing_more();
    lab.ok("exec one touch /well");
    assert_eq!(manager.hears(), "READY=1");
    assert_eq!(waiting.end().exit_code(), 0);

    let over = lab.creel(&format!("{run} --name two --health-cmd false box sleep 1")).run().fails(126);
    assert_eq!(over, "Error: container is stopped");
    let none = lab.creel("create --sdnotify healthy --network none box true").run().fails(125);
    assert_eq!(none, "Error: invalid argument: sdnotify policy \"healthy\" requires a healthcheck to be set");
}

#[test]
fn a_unit_of_systemd_lives_and_ends_with_its_container() {
    crate::limits::in_machine(
        "a_unit_of_systemd_lives_and_ends_with_its_container",
        "
        unit() { name=$1; shift; systemd-run --user --quiet --unit $name --service-type notify --property NotifyAccess=all --property Delegate=yes $creel run -d --cgroups split --network none \"$@\"; }
        # Returns when the unit is up: so it has heard that it is ready.
        unit conmon --name one --sdnotify conmon $image sh -c 'trap \"exit 7\" TERM; while :; do sleep 0.1; done'
        [ $(systemctl --user show --property MainPID --value conmon) = $($creel inspect --format '{{.State.ConmonPid}}' one) ]
        $creel stop -t 60 one
        for i in 1 2 3 4 5 6 7 8 9; do systemctl --user is-failed --quiet conmon && break; sleep 0.2; done
        [ $(systemctl --user show --property ExecMainStatus --value conmon) = 7 ]
        unit healthy --name two --sdnotify healthy --health-interval 200ms --health-cmd 'test -e /up' $image sh -c 'sleep 1; touch /up; idle'
        [ $($creel inspect --format '{{.State.Health.Status}}' two) = healthy ]
        systemctl --user stop healthy; [ -z \"$($creel ps -q)\" ]
        $creel rm one two",
    );
}

#[test]
fn a_play_is_over_when_its_containers_say_that_they_are_ready() {
    if differs_on_purpose("podman has the containers' sockets elsewhere") {
        return;
    }
    let lab = Lab::new();
    let manager = Manager::new(&lab);
    lab.write(
        "pod.yaml",
        "
apiVersion: v1
kind: Pod
metadata: { name: two, annotations: { io.containers.sdnotify/slow: container } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - { name: slow, image: localhost/box, command: [sh, -c, 'echo $NOTIFY_SOCKET; exec idle'] }
  - { name: other, image: localhost/box, command: [sh, -c, 'echo ${NOTIFY_SOCKET:-none}; exec idle'] }
",
    );
    let play = lab
        .creel("kube play --service-container pod.yaml")
        .env("NOTIFY_SOCKET", manager.path.to_str().unwrap())
        .spawn();
    for (name, socket) in [("slow", "/run/notify/notify.sock"), ("other", "none")] {
        eventually("it runs", || lab.creel(&format!("logs two-{name}")).run().out().starts_with(socket));
    }
    assert_eq!(lab.inspect("two-slow", "{{.Config.SdNotifyMode}}"), "container");
    assert_eq!(lab.inspect("two-other", "{{.Config.SdNotifyMode}}"), "ignore");
    // It is the play that tells the manager, and it waits.
    container_says(&lab, &["STATUS=soon", "READY=0"]);
    manager.hears_nothing_more();
    container_says(&lab, &["STATUS=up\nREADY=1"]);
    let service = lab.ok("ps --filter name=-service --format '{{.Names}}'");
    assert_eq!(manager.hears(), format!("{}\nREADY=1", main_pid(&lab, &service)));
    assert!(play.end().ok().starts_with("Pod:\n"));
    // What it has said counts for the run.
    assert_eq!(lab.ok("kube play --service-container pod.yaml"), "pod/two unchanged");
    lab.ok("kube down pod.yaml");

    lab.write(
        "pod.yaml",
        "
apiVersion: v1
kind: Pod
metadata: { name: healthy, annotations: { io.containers.sdnotify: healthy } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: it
    image: localhost/box
    command: [sh, -c, 'usleep 700000; touch /tmp/up; exec idle']
    readinessProbe: { exec: { command: [test, -e, /tmp/up] }, periodSeconds: 1 }
",
    );
    lab.ok("kube play pod.yaml");
    lab.ok("exec healthy-it test -e /tmp/up");
    lab.ok("kube down pod.yaml");
}
