//! `exec`

use crate::lab::Lab;

fn with_target() -> Lab {
    let lab = Lab::new();
    lab.ok("run -d --name target --network none -e FROM_RUN=1 box idle");
    lab
}

#[test]
fn the_exit_code_of_the_command_is_ours() {
    let lab = with_target();
    for code in [0, 1, 42, 255] {
        lab.creel(&format!("exec target sh -c 'exit {code}'")).run().code(code);
    }
    lab.creel("exec target sh -c 'kill -9 $$'").run().code(137);
    lab.creel("exec target no-such-program").run().fails(127);
    lab.creel("exec target /etc/notes").run().fails(126);
    assert_eq!(lab.state("target"), "running");
}

#[test]
fn a_container_that_does_not_run_or_exist_is_an_error() {
    let lab = Lab::new();
    lab.ok("create --name idle --network none box true");
    let error = lab.creel("exec idle true").run().fails(255);
    assert!(error.contains("can only create exec sessions on running containers: container state improper"), "{error}");
    let error = lab.creel("exec nosuch true").run().fails(125);
    assert!(error.contains("no container with name or ID \"nosuch\" found: no such container"), "{error}");
    lab.creel("exec idle").run().fails(125);
}

#[test]
fn streams_are_kept_apart_and_input_needs_asking_for() {
    let lab = with_target();
    let outcome = lab.creel("exec target sh -c 'echo out; echo err >&2'").run();
    assert_eq!((outcome.ok().as_str(), outcome.err().as_str()), ("out", "err"));
    assert_eq!(lab.creel("exec -i target cat").input("typed").run().ok(), "typed");
    assert_eq!(lab.creel("exec target cat").input("typed").run().ok(), "");
    let input: Vec<u8> = (0..500_000u32).map(|number| (number % 251) as u8).collect();
    let outcome = lab.creel("exec -i target cat").input(input.clone()).run();
    assert!(outcome.stdout == input, "{} bytes came back", outcome.stdout.len());
}

#[test]
fn it_shares_the_container_s_files_processes_and_variables() {
    let lab = with_target();
    lab.ok("exec target sh -c 'echo left > /tmp/note'");
    assert_eq!(lab.ok("exec target cat /tmp/note"), "left");
    assert!(lab.ok("exec target ps").contains("idle"));
    let text = lab.ok("exec -e MORE=2 -e FROM_RUN=3 target env");
    for line in ["ORIGIN=image", "MORE=2", "FROM_RUN=3", "container=podman", "HOME=/root"] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts", "user"] {
        let own = lab.ok(&format!("exec target readlink /proc/self/ns/{kind}"));
        assert_eq!(own, lab.ok(&format!("exec target readlink /proc/1/ns/{kind}")), "{kind}");
    }
}

#[test]
fn user_folder_and_files_of_variables_can_be_chosen() {
    let lab = with_target();
    assert_eq!(lab.ok("exec -u alice target id -un"), "alice");
    assert_eq!(lab.ok("exec -u 1000:50 target id -g"), "50");
    assert_eq!(lab.ok("exec -u alice target sh -c 'echo $HOME'"), "/home/alice");
    assert_eq!(lab.ok("exec -w /content target cat one"), "one");
    lab.write("vars", "A=1\n");
    assert_eq!(lab.ok("exec --env-file vars target sh -c 'echo $A'"), "1");
    assert_ne!(lab.creel("exec -w /no/such/folder target true").run().exit_code(), 0);
    assert_ne!(lab.creel("exec -u nobody-here target true").run().exit_code(), 0);
}

#[test]
fn the_container_s_own_user_and_folder_are_the_default() {
    let lab = Lab::new();
    lab.ok("run -d --name target -u alice -w /content --network none box idle");
    assert_eq!(lab.ok("exec target sh -c 'id -un; pwd'"), "alice\n/content");
}

#[test]
fn detached_returns_at_once_and_the_command_goes_on() {
    let lab = with_target();
    let id = lab.ok("exec -d target sh -c 'sleep 0.3; echo done > /tmp/done'");
    assert_eq!(id.len(), 64, "{id}");
    crate::lab::eventually("it went on", || lab.creel("exec target cat /tmp/done").run().out() == "done");
}

#[test]
fn what_exec_started_ends_with_the_container() {
    let lab = with_target();
    let mut running = lab.creel("exec target sh -c 'echo up; exec sleep 1000'").spawn();
    assert_eq!(running.line(), "up");
    lab.ok("stop -t 5 target");
    assert_eq!(running.end().exit_code(), 137);
}

#[test]
fn signals_do_not_reach_the_container_s_first_process() {
    let lab = with_target();
    let mut running = lab.creel("exec target sh -c 'echo up; exec sleep 1000'").spawn();
    assert_eq!(running.line(), "up");
    running.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(running.end().exit_code(), 137);
    assert_eq!(lab.state("target"), "running");
    lab.ok("exec target true");
}

#[test]
fn twenty_at_once_all_come_back() {
    let lab = with_target();
    let all: Vec<_> =
        (0..20).map(|number| lab.creel(&format!("exec target sh -c 'echo {number}; exit {number}'")).spawn()).collect();
    for (number, running) in all.into_iter().enumerate() {
        assert_eq!(running.end().code(i32::try_from(number).unwrap()), number.to_string());
    }
}

#[test]
fn on_a_terminal_it_is_one() {
    let lab = with_target();
    let mut terminal = lab.terminal("exec -it target sh");
    terminal.type_in("tty && stty size; echo 'end'ed\n");
    terminal.expect("/dev/pts/");
    terminal.expect("24 80");
    terminal.expect("ended");
    terminal.type_in("exit 7\n");
    assert_eq!(terminal.end(), 7);
}

#[test]
fn the_id_of_a_running_exec_is_told_by_inspect() {
    let lab = with_target();
    lab.ok("exec -d target sleep 1000");
    let json = lab.json("container inspect target");
    assert_eq!(json[0]["ExecIDs"].as_array().map(Vec::len), Some(1), "{}", json[0]["ExecIDs"]);
}

#[test]
fn preserve_fds_passes_exactly_that_many() {
    let lab = with_target();
    assert_eq!(lab.shell("echo through > f; exec 3< f 4< f; creel exec --preserve-fds 1 target sh -c 'cat <&3; ls /proc/self/fd | wc -l'").run().ok(), "through\n5");
}

#[test]
fn what_begins_no_session_has_a_code_of_its_own() {
    let lab = with_target();
    for (flags, expected) in [
        ("-u nosuch", "unable to find user nosuch"),
        ("-u 1:nosuch", "unable to find group nosuch"),
        ("--detach-keys bogus", "invalid detach keys"),
    ] {
        let text = lab.creel(&format!("exec {flags} target true")).run().fails(255);
        assert!(text.contains(expected), "{flags}: {text}");
    }
    lab.creel("exec -d -u nosuch target true").run().fails(125);
    let text = lab.creel("exec target /no/such/program").run().fails(127);
    assert!(text.contains("/no/such/program") && text.contains("No such file or directory"), "{text}");
    lab.creel("exec -w /no/such/folder target true").run().fails(127);
    let text = lab.creel("exec target /etc").run().fails(126);
    assert!(text.contains("is not a regular file"), "{text}");
}

#[test]
fn an_exec_waits_for_its_container_when_asked() {
    let lab = with_target();
    assert_eq!(lab.ok("exec --wait 5 target echo here"), "here");
    let text = lab.creel("exec --wait 1 nosuch true").run().fails(125);
    assert!(text.contains("timed out waiting for container: nosuch"), "{text}");
    lab.ok("create --name later --network none box idle");
    let waiting = lab.creel("exec --wait 60 later echo there").spawn();
    lab.ok("start later");
    assert_eq!(waiting.end().ok(), "there");
}
