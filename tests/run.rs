//! `run`: from an image to an exit code.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::lab::{Lab, differs_on_purpose, eventually, image, is_podman};

#[test]
fn the_exit_code_of_the_command_is_ours() {
    let lab = Lab::new();
    for code in [0, 1, 42, 125, 255] {
        lab.creel(&format!("run --rm --network none box sh -c 'exit {code}'")).run().code(code);
    }
}

#[test]
fn a_command_that_was_killed_gives_128_and_the_signal() {
    let lab = Lab::new();
    let mut running = lab.creel("run --rm --name victim --network none box sh -c 'echo ready; exec sleep 100'").spawn();
    assert_eq!(running.line(), "ready");
    lab.ok("kill --signal KILL victim");
    running.end().code(137);
    // Process 1 is killed only by signals it has a handler for, or by KILL from outside; a child of it by any.
    let script = "sleep 100 & kill -TERM $!; wait $!";
    lab.creel_words(&["run", "--rm", "--network", "none", "box", "sh", "-c", script]).run().code(143);
}

#[test]
fn a_failure_of_the_program_itself_is_125() {
    let lab = Lab::new();
    let error = lab.creel("run --rm --no-such-flag box true").run().fails(125);
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
    lab.creel("run").run().fails(125);
    lab.creel("run --rm --volume /no/such/folder:/x box true").run().fails(125);
    lab.creel("run --rm --pull never nowhere.invalid/nothing true").run().fails(125);
}

#[test]
fn a_command_that_is_no_program_is_126() {
    let lab = Lab::new();
    let error = lab.creel("run --rm --network none box /etc/notes").run().fails(126);
    assert!(error.to_lowercase().contains("permission denied"), "{error}");
    lab.creel("run --rm --network none box /etc").run().fails(126);
}

#[test]
fn a_command_that_does_not_exist_is_127() {
    let lab = Lab::new();
    let error = lab.creel("run --rm --network none box no-such-program").run().fails(127);
    assert!(error.contains("no-such-program"), "{error}");
    lab.creel("run --rm --network none box /no/such/program").run().fails(127);
}

#[test]
fn standard_output_and_standard_error_stay_apart() {
    let lab = Lab::new();
    let outcome = lab.creel("run --rm --network none box sh -c 'echo out; echo err >&2'").run();
    assert_eq!(outcome.ok(), "out");
    assert_eq!(outcome.err(), "err");
}

#[test]
fn output_without_a_newline_and_binary_output_arrive_unchanged() {
    let lab = Lab::new();
    assert_eq!(lab.creel(r#"run --rm --network none box printf 'no newline'"#).run().stdout, b"no newline");
    let outcome = lab.creel(r#"run --rm --network none box printf '\000\377\r\n\001'"#).run();
    assert_eq!(outcome.stdout, b"\0\xff\r\n\x01");
}

#[test]
fn a_megabyte_of_output_arrives_whole() {
    let lab = Lab::new();
    let outcome = lab.creel("run --rm --network none box sh -c 'yes 0123456789abcde | head -c 1048576'").run();
    assert_eq!(outcome.code(0).len() + 1, 1_048_576);
}

#[test]
fn input_reaches_the_command_only_when_asked() {
    let lab = Lab::new();
    assert_eq!(lab.creel("run --rm -i --network none box cat").input("some input\n").run().ok(), "some input");
    assert_eq!(lab.creel("run --rm --network none box cat").input("some input\n").run().ok(), "");
}

#[test]
fn a_megabyte_of_input_comes_back_through_the_container() {
    let lab = Lab::new();
    let input: Vec<u8> = (0..1_048_576u32).map(|number| (number % 251) as u8).collect();
    let outcome = lab.creel("run --rm -i --network none box cat").input(input.clone()).run();
    assert_eq!(outcome.exit_code(), 0, "{outcome}");
    assert!(outcome.stdout == input, "{} bytes came back", outcome.stdout.len());
}

#[test]
fn the_image_s_command_runs_when_none_is_given() {
    let lab = Lab::new();
    assert_eq!(lab.creel("run --rm -i --network none box").input("echo from the shell\n").run().ok(), "from the shell");
}

#[test]
fn detached_prints_the_full_id_and_returns_at_once() {
    let lab = Lab::new();
    let start = Instant::now();
    let id = lab.ok("run -d --name one box sleep 100");
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
    assert_eq!(id.len(), 64);
    assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(lab.inspect("one", "{{.Id}}"), id);
    assert_eq!(lab.state(&id[..12]), "running");
}

#[test]
fn a_detached_container_has_none_of_our_descriptors() {
    let lab = Lab::new();
    // The command substitution ends only when nobody holds its pipe any more.
    let script = "id=$(creel run -d --network none box idle 2>&1); creel inspect --format '{{.State.Status}}' $id";
    assert_eq!(lab.shell(script).run().ok(), "running");
}

#[test]
fn rm_removes_the_container_and_its_anonymous_volumes() {
    let lab = Lab::new();
    lab.ok("run --rm --network none -v /scratch box touch /scratch/file");
    assert_eq!(lab.ok("ps -aq"), "");
    assert_eq!(lab.ok("volume ls -q"), "");
    lab.ok("run --network none box true");
    assert_eq!(lab.ok("ps -aq").lines().count(), 1);
}

#[test]
fn rm_of_a_detached_container_happens_when_it_ends() {
    let lab = Lab::new();
    lab.ok("run -d --rm --name brief --network none box sleep 0.2");
    eventually("the container is gone", || lab.creel("container exists brief").run().exit_code() == 1);
}

#[test]
fn a_name_that_ended_with_rm_is_free_when_run_returns() {
    let lab = Lab::new();
    for _ in 0..10 {
        lab.ok("run --rm --name again --network none box true");
    }
}

#[test]
fn a_name_can_be_had_once() {
    let lab = Lab::new();
    let id = lab.ok("run -d --name only --network none box idle");
    let error = lab.creel("run -d --name only --network none box idle").run().fails(125);
    assert!(error.contains("creating container storage: the container name \"only\" is already in use by"), "{error}");
    assert!(error.contains(&id[..12]), "{error}");
    assert_eq!(lab.ok("ps -aq").lines().count(), 1);
}

#[test]
fn a_bad_name_is_refused() {
    let lab = Lab::new();
    for name in ["a/b", ".a", "-a", "a b"] {
        lab.creel_words(&["run", "--rm", "--name", name, "box", "true"]).run().fails(125);
    }
    lab.ok("run --rm --name a_b.c-9 --network none box true");
}

#[test]
fn replace_takes_the_place_of_a_container_of_that_name() {
    let lab = Lab::new();
    let first = lab.ok("run -d --name web --network none box idle");
    let second = lab.ok("run -d --replace --name web --network none box idle");
    assert_ne!(first, second);
    assert_eq!(lab.ok("ps -q --no-trunc"), second);
    lab.creel("run -d --replace box idle").run().fails(125);
}

#[test]
fn a_container_without_a_name_gets_one_of_two_words() {
    let lab = Lab::new();
    let id = lab.ok("run -d --network none box true");
    let name = lab.inspect(&id, "{{.Name}}");
    assert_eq!(name.split('_').count(), 2, "{name}");
}

#[test]
fn cidfile_holds_the_id() {
    let lab = Lab::new();
    let id = lab.ok("run -d --cidfile id --network none box true");
    assert_eq!(lab.read("id").trim(), id);
    lab.ok(&format!("wait {id}"));
    assert_eq!(lab.ok("rm --cidfile id"), id);
}

#[test]
fn entrypoint_takes_the_place_of_the_image_s_and_drops_its_command() {
    let lab = Lab::new();
    let draft = image::box_with(serde_json::json!({ "Entrypoint": ["echo", "entry"], "Cmd": ["cmd"] }));
    let archive = lab.write("echo.tar", draft.docker_archive(&["localhost/echo:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    assert_eq!(lab.ok("run --rm --network none echo"), "entry cmd");
    assert_eq!(lab.ok("run --rm --network none echo a b"), "entry a b");
    assert_eq!(lab.ok("run --rm --network none --entrypoint hostid echo").len(), 8);
    assert_eq!(lab.ok("run --rm --network none --entrypoint printf echo %s x"), "x");
    assert_eq!(lab.ok(r#"run --rm --network none --entrypoint '["printf", "<%s>"]' echo x"#), "<x>");
    assert_eq!(lab.ok(r#"run --rm --network none --entrypoint "" echo echo bare"#), "bare");
}

#[test]
fn a_container_that_cannot_be_made_is_126_and_what_is_not_there_127() {
    let lab = Lab::new();
    lab.write("file", "");
    for (flags, code, words) in [
        ("--ulimit nofile=999999999:999999999", 126, "OCI permission denied"),
        ("--sysctl net.foo=1", 127, "net"),
        ("--sysctl kernel.shmmax=abc", 126, "OCI runtime error"),
        ("-v ./file:/bin", 126, "OCI runtime error"),
        ("-v ./file:/bin/sh/x", 126, "OCI runtime error"),
        ("--mount type=tmpfs,dst=/bin/sh", 126, "OCI runtime error"),
        ("--group-add nosuch", 126, "unable to find group nosuch"),
    ] {
        let error = lab.creel(&format!("run --rm --network none {flags} box true")).run().fails(code);
        assert!(error.contains(words), "{flags}: {error}");
        assert_eq!(lab.ok("ps -aq"), "", "{flags}");
    }
    let port = crate::lab::free_port();
    lab.ok(&format!("run -d --name holder -p {port}:80 box idle"));
    lab.creel(&format!("run --rm -p {port}:80 box true")).run().fails(126);
}

#[test]
fn nothing_to_run_is_an_error() {
    let lab = Lab::new();
    let draft = image::box_with(serde_json::json!({ "Cmd": null }));
    let archive = lab.write("mute.tar", draft.docker_archive(&["localhost/mute:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    for flags in ["mute", "--entrypoint '' mute", "--entrypoint '' box", "--entrypoint [] mute"] {
        let error = lab.creel(&format!("run --rm --network none {flags}")).run().fails(127);
        assert!(error.contains("cannot find `` in $PATH"), "{flags}: {error}");
    }
    for flags in ["--entrypoint '' mute", "--entrypoint [] mute", "--entrypoint '' box", "--entrypoint '[\"\"]' box"] {
        assert_eq!(lab.ok(&format!("run --rm --network none {flags} echo said")), "said", "{flags}");
    }
}

#[test]
fn signals_are_passed_on_to_the_command() {
    let lab = Lab::new();
    let script = "trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.05; done";
    let mut running = lab.creel_words(&["run", "--rm", "--network", "none", "box", "sh", "-c", script]).spawn();
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGUSR1);
    assert_eq!(running.line(), "caught");
    running.end().code(3);
}

#[test]
fn sig_proxy_off_keeps_signals_from_the_command() {
    let lab = Lab::new();
    let script = "trap 'echo caught' USR1; trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = lab
        .creel_words(&["run", "--name", "deaf", "--sig-proxy=false", "--network", "none", "box", "sh", "-c", script])
        .spawn();
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    assert_ne!(running.end_with_input_open().exit_code(), 0);
    assert_eq!(lab.state("deaf"), "running");
}

#[test]
fn timeout_ends_the_container_with_255() {
    let lab = Lab::new();
    let start = Instant::now();
    lab.creel("run --rm --timeout 1 --network none box sleep 60").run().code(255);
    assert!(start.elapsed() < Duration::from_secs(20));
    lab.creel("run --rm --timeout 30 --network none box sh -c 'exit 4'").run().code(4);
}

#[test]
fn init_reaps_orphans_and_passes_signals_on() {
    let lab = Lab::new();
    if is_init_missing(&lab) {
        return;
    }
    let script = "ps -o pid,comm | awk '$1 == 1'; (sleep 0.01 &) ; sleep 0.3; \
                  for i in 1 2 3 4 5 6 7 8 9; do ps -o stat | grep -q Z || break; sleep 1; done; ps -o stat | grep -c Z";
    let outcome = lab.creel_words(&["run", "--rm", "--init", "--network", "none", "box", "sh", "-c", script]).run();
    assert!(outcome.out().ends_with('0'), "{outcome}");
    assert!(!outcome.out().contains("1 sh"), "{outcome}");
    // `sleep` has no handler: as process 1 it would not notice.
    lab.ok("run -d --name quick --init --network none box sh -c 'echo up; exec sleep 1000'");
    lab.log_holds("quick", "up");
    let start = Instant::now();
    lab.ok("stop -t 100 quick");
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
    assert_eq!(lab.inspect("quick", "{{.State.ExitCode}}"), "143");
    lab.creel("run --rm --init --network none box sh -c 'exit 11'").run().code(11);
    // What the program behind --init cannot start, podman's init reports with a code of its own.
    if !is_podman() {
        lab.creel("run --rm --init --network none box no-such-program").run().fails(127);
    }
}

fn is_init_missing(lab: &Lab) -> bool {
    let outcome = lab.creel("run --rm --init --network none box true").run();
    let missing = outcome.exit_code() != 0 && crate::lab::is_podman();
    if missing {
        crate::lab::skip("podman has no init program here");
    }
    missing
}

#[test]
fn stop_signal_is_what_stop_sends() {
    let lab = Lab::new();
    let script = "trap 'exit 21' USR2; echo ready; while :; do sleep 0.05; done";
    lab.creel_words(&[
        "run",
        "-d",
        "--name",
        "s",
        "--stop-signal",
        "SIGUSR2",
        "--network",
        "none",
        "box",
        "sh",
        "-c",
        script,
    ])
    .run()
    .ok();
    lab.log_holds("s", "ready");
    lab.ok("stop s");
    assert_eq!(lab.inspect("s", "{{.State.ExitCode}}"), "21");
    assert_eq!(lab.inspect("s", "{{.Config.StopSignal}}"), "SIGUSR2");
    lab.creel("run --rm --stop-signal NOSUCH box true").run().fails(125);
}

#[test]
fn restart_policy_on_failure_tries_so_many_times() {
    let lab = Lab::new();
    lab.ok("run -d --name tries --restart on-failure:2 --network none box sh -c 'echo try; exit 1'");
    eventually("the third end", || lab.state("tries") == "exited" && lab.inspect("tries", "{{.RestartCount}}") == "2");
    assert_eq!(lab.ok("logs tries"), "try\ntry\ntry");
    lab.ok("run -d --name fine --restart on-failure:2 --network none box true");
    eventually("it exits", || lab.state("fine") == "exited");
    assert_eq!(lab.inspect("fine", "{{.RestartCount}}"), "0");
}

#[test]
fn restart_policy_always_ends_with_stop() {
    let lab = Lab::new();
    lab.ok("run -d --name again --restart always --network none box sh -c 'echo up; sleep 0.1'");
    eventually("it was restarted twice", || lab.inspect("again", "{{.RestartCount}}").parse::<u32>().unwrap() >= 2);
    lab.ok("stop -t 0 again");
    let count = lab.inspect("again", "{{.RestartCount}}");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(lab.inspect("again", "{{.RestartCount}}"), count);
    assert_ne!(lab.state("again"), "running");
    lab.creel("run --rm --restart always box true").run().fails(125);
    lab.creel("run -d --restart sometimes box true").run().fails(125);
}

#[test]
fn preserve_fd_passes_those_and_no_others() {
    let lab = Lab::new();
    let script = "echo through > f; exec 4< f 6< f; creel run --rm --preserve-fd 6 --network none box sh -c 'cat <&6; test -e /proc/self/fd/4 || echo closed'";
    assert_eq!(lab.shell(script).run().ok(), "through\nclosed");
    assert!(lab.creel("run --rm --preserve-fd 9 box true").run().fails(125).contains("descriptor 9 is not available"));
}

#[test]
fn preserve_fds_passes_exactly_that_many() {
    let lab = Lab::new();
    let script = "echo through > f; exec 3< f 4< f; creel run --rm --preserve-fds 1 --network none box sh -c 'cat <&3; ls /proc/self/fd | wc -l'";
    // ls has the folder open as well: 0, 1, 2, 3 and that.
    assert_eq!(lab.shell(script).run().ok(), "through\n5");
}

#[test]
fn the_command_inherits_no_descriptor() {
    let lab = Lab::new();
    let script = "exec 3< /etc/passwd 7< /etc/passwd 9> leak; creel run --rm --network none box ls -l /proc/self/fd";
    let listed = lab.shell(script).run().ok();
    let descriptors: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().nth(8)).collect();
    assert_eq!(descriptors, ["0", "1", "2", "3"], "{listed}");
    assert!(!listed.contains("leak") && !listed.contains("passwd"), "{listed}");
}

#[test]
fn signals_start_out_with_their_default_meaning() {
    let lab = Lab::new();
    let status = lab.ok("run --rm --network none box grep Sig /proc/self/status");
    for mask in ["SigBlk", "SigIgn"] {
        assert!(status.contains(&format!("{mask}:\t0000000000000000")), "{status}");
    }
}

#[test]
fn what_run_has_written_can_be_started_again() {
    let lab = Lab::new();
    lab.ok("run --name keeps --network none box sh -c 'echo more >> /tmp/kept; cat /tmp/kept'");
    assert_eq!(lab.ok("start -a keeps"), "more\nmore");
}

#[test]
fn pull_never_and_missing_use_what_is_there() {
    let lab = Lab::new();
    lab.ok("run --rm --pull never --network none box true");
    lab.ok("run --rm --pull missing --network none box true");
    let error = lab.creel("run --rm --pull never --network none absent true").run().fails(125);
    assert!(error.contains("absent"), "{error}");
    lab.creel("run --rm --pull rarely --network none box true").run().fails(125);
}

#[test]
fn an_image_is_found_by_its_id_and_by_the_start_of_it() {
    let lab = Lab::new();
    let id = lab.ok("image inspect --format {{.Id}} box");
    assert_eq!(id, image::box_draft().id());
    lab.ok(&format!("run --rm --network none {id} true"));
    lab.ok(&format!("run --rm --network none {} true", &id[..10]));
    lab.ok(&format!("run --rm --network none sha256:{id} true"));
}

#[test]
fn flags_behind_the_image_belong_to_the_command() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none box echo --rm -d --name x"), "--rm -d --name x");
}

#[test]
fn short_flags_may_be_grouped() {
    let lab = Lab::new();
    let id = lab.ok("run -dit --network none box cat");
    assert_eq!(lab.inspect(&id, "{{.Config.Tty}} {{.Config.OpenStdin}}"), "true true");
}

#[test]
fn log_driver_none_keeps_no_output() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --name mute --log-driver none --network none box echo heard"), "heard");
    lab.creel("logs mute").run().fails(125);
    lab.creel("run --rm --log-driver nonsense box true").run().fails(125);
}

#[test]
fn attach_says_which_streams_are_seen() {
    let lab = Lab::new();
    let outcome = lab.creel("run --rm -a stdout --network none box sh -c 'echo out; echo err >&2'").run();
    assert_eq!((outcome.ok().as_str(), outcome.err().as_str()), ("out", ""));
    let outcome = lab.creel("run --rm -a stderr --network none box sh -c 'echo out; echo err >&2'").run();
    assert_eq!((outcome.ok().as_str(), outcome.err().as_str()), ("", "err"));
}

#[test]
fn the_program_s_own_image_runs_with_nothing_loaded() {
    if differs_on_purpose("podman has no image built in") {
        return;
    }
    let lab = Lab::empty();
    let id = lab.ok("run -d --network none localhost/creel/hello");
    assert_eq!(lab.state(&id), "running");
    eventually("it can hear signals", || lab.creel(&format!("logs {id}")).run().err().contains("listening"));
    lab.ok(&format!("stop {id}"));
    assert_eq!(lab.inspect(&id, "{{.State.ExitCode}}"), "0");
}

#[test]
fn rmi_removes_the_image_with_the_container() {
    let lab = Lab::new();
    lab.ok("run --rm --rmi --network none box true");
    assert_eq!(lab.creel("image exists box").run().exit_code(), 1);
}

#[test]
fn the_first_instruction_already_has_everything() {
    // A program that ends in its first millisecond must not lose its output, its exit code or its log.
    let lab = Lab::new();
    for number in 0..20 {
        let name = format!("quick{number}");
        assert_eq!(
            lab.creel(&format!("run --name {name} --network none box sh -c 'echo {number}; exit {number}'"))
                .run()
                .code(number),
            number.to_string()
        );
        assert_eq!(lab.ok(&format!("logs {name}")), number.to_string());
    }
}
