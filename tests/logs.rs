//! `logs`

use crate::lab::{Lab, differs_on_purpose};

fn logged(lab: &Lab, script: &str) {
    lab.creel_words(&["run", "--name", "one", "--network", "none", "box", "sh", "-c", script]).run().ok();
}

#[test]
fn both_streams_come_back_apart() {
    let lab = Lab::new();
    logged(&lab, "echo out; echo err >&2; printf unfinished");
    let outcome = lab.creel("logs one").run();
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "out\nunfinished");
    assert_eq!(outcome.err(), "err");
}

#[test]
fn a_very_long_line_comes_back_whole() {
    let lab = Lab::new();
    logged(&lab, "yes x | head -n 100000 | tr -d '\\n'; echo");
    assert_eq!(lab.ok("logs one").len(), 100_000);
}

#[test]
fn tail_takes_the_last_lines() {
    let lab = Lab::new();
    logged(&lab, "seq 1 50");
    assert_eq!(lab.ok("logs --tail 3 one"), "48\n49\n50");
    assert_eq!(lab.ok("logs --tail 0 one"), "");
    assert_eq!(lab.ok("logs --tail 1000 one").lines().count(), 50);
    assert_eq!(lab.ok("logs --tail -1 one").lines().count(), 50);
}

#[test]
fn follow_ends_with_the_container() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'for i in 1 2 3 4 5; do echo $i; sleep 0.1; done'");
    assert_eq!(lab.ok("logs -f one"), "1\n2\n3\n4\n5");
    assert_eq!(lab.ok("logs -f one"), "1\n2\n3\n4\n5");
}

#[test]
fn follow_shows_lines_as_they_come() {
    let lab = Lab::new();
    lab.ok("run -d -i --name one --network none box cat");
    let mut following = lab.creel("logs -f one").spawn();
    for word in ["first", "second"] {
        let attached = lab.creel("exec -i one sh -c 'cat > /proc/1/fd/1'").input(format!("{word}\n")).run();
        if attached.exit_code() != 0 {
            return crate::lab::skip("the kernel does not let exec write to the first process's pipe");
        }
        assert_eq!(following.line(), word);
    }
    lab.ok("stop -t 0 one");
    following.end().ok();
}

#[test]
fn timestamps_are_shown_and_compared() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'echo early; until [ -e /go ]; do sleep 0.05; done; echo late; idle'");
    lab.log_holds("one", "early");
    std::thread::sleep(std::time::Duration::from_millis(50));
    let between = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    std::thread::sleep(std::time::Duration::from_millis(50));
    lab.ok("exec one touch /go");
    lab.log_holds("one", "late");
    let text = lab.ok("logs -t one");
    let (time, word) = text.lines().next().unwrap().split_once(' ').unwrap();
    assert_eq!(word, "early");
    assert!(time.len() >= 20 && time.contains('T'), "{text}");
    assert_eq!(lab.ok(&format!("logs --since {between:.6} one")).lines().next(), Some("late"));
    assert_eq!(lab.ok(&format!("logs --until {between:.6} one")), "early");
    assert_eq!(lab.ok("logs --since 1h one").lines().next(), Some("early"));
    // A duration behind --until lies ahead, unlike one behind --since.
    assert_eq!(lab.ok("logs --until 1h one").lines().next(), Some("early"));
    assert_eq!(lab.ok("logs --until=-1h one"), "");
    lab.creel("logs --since nonsense one").run().fails(125);
}

#[test]
fn a_restart_keeps_what_was_said_before() {
    let lab = Lab::new();
    logged(&lab, "echo once");
    lab.ok("start -a one");
    assert_eq!(lab.ok("logs one"), "once\nonce");
}

#[test]
fn several_containers_can_be_named_and_told_apart() {
    let lab = Lab::new();
    lab.ok("run --name a --network none box echo from-a");
    lab.ok("run --name b --network none box echo from-b");
    let text = lab.ok("logs a b");
    assert!(text.contains("from-a") && text.contains("from-b"), "{text}");
    let text = lab.ok("logs --names a b");
    assert!(text.lines().any(|line| line.starts_with("a ") && line.ends_with("from-a")), "{text}");
}

#[test]
fn a_missing_container_is_an_error() {
    let lab = Lab::new();
    let error = lab.creel("logs nosuch").run().fails(125);
    assert!(error.contains("no such container"), "{error}");
    lab.ok("create --name silent --network none box true");
    assert_eq!(lab.ok("logs silent"), "");
}

#[test]
fn the_file_has_the_kubernetes_form_and_can_be_placed() {
    let lab = Lab::new();
    lab.creel_words(&[
        "run",
        "--name",
        "one",
        "--network",
        "none",
        "--log-driver",
        "k8s-file",
        "--log-opt",
        &format!("path={}", lab.path("my.log").display()),
        "box",
        "sh",
        "-c",
        "echo whole; printf part",
    ])
    .run()
    .ok();
    let text = lab.read("my.log");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(" stdout F whole"), "{text}");
    assert!(lines[1].ends_with(" stdout P part"), "{text}");
    assert_eq!(lab.inspect("one", "{{.HostConfig.LogConfig.Path}}"), lab.path("my.log").display().to_string());
    assert_eq!(lab.ok("logs one"), "whole\npart");
}

#[test]
fn the_file_does_not_grow_beyond_its_limit() {
    let lab = Lab::new();
    lab.ok("run --name one --network none --log-driver k8s-file --log-opt max-size=10kb box seq 1 5000");
    let path = lab.inspect("one", "{{.HostConfig.LogConfig.Path}}");
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 40_000, "{size}");
    assert!(lab.ok("logs one").ends_with("5000"));
    if !differs_on_purpose("conmon starts the file again") {
        lab.ok("logs --tail 3 one");
    }
}

#[test]
fn rotated_files_are_kept_and_read() {
    if differs_on_purpose("podman keeps no rotated file") {
        return;
    }
    let lab = Lab::new();
    let path = lab.path("my.log");
    let options = format!("--log-opt path={} --log-opt max-size=10kb --log-opt max-file=3", path.display());
    lab.ok(&format!("run --name one --network none --log-driver json-file {options} box seq 1 800"));
    let sizes: Vec<u64> = ["", ".1", ".2", ".3"]
        .iter()
        .map(|end| std::fs::metadata(format!("{}{end}", path.display())).map_or(0, |file| file.len()))
        .collect();
    assert!(sizes.iter().all(|size| (1..=10_240).contains(size)), "{sizes:?}");
    assert!(!lab.path("my.log.4").exists());
    assert_eq!(lab.ok("logs one").lines().count(), 800);
    assert_eq!(lab.inspect("one", "{{.HostConfig.LogConfig.Type}}"), "json-file");
}

#[test]
fn a_log_that_nobody_keeps_says_so() {
    let lab = Lab::new();
    for driver in ["none", "passthrough"] {
        lab.ok(&format!("run --name {driver} --log-driver {driver} --network none box echo hi"));
        let told = lab.creel(&format!("logs {driver}")).run().fails(125);
        assert_eq!(
            told,
            format!(
                "Error: this container is using the '{driver}' log driver, cannot read logs: this container is not logging output"
            )
        );
    }
    assert_eq!(lab.ok("run --rm --log-driver passthrough --network none box echo through"), "through");
}

#[test]
fn a_terminal_is_passed_through_only_when_it_is_meant() {
    let lab = Lab::new();
    let line = "run --rm --network none --log-driver passthrough";
    let mut refused = lab.terminal(&format!("{line} box true"));
    refused.expect("cannot be used on a TTY");
    assert_eq!(refused.end(), 125);
    let mut passed = lab.terminal(&format!("{line}-tty box sh -c 'test -t 1 && echo a terminal'"));
    passed.expect("a terminal");
    assert_eq!(passed.end(), 0);
}

#[test]
fn options_that_a_driver_does_not_have_are_refused() {
    if differs_on_purpose("podman passes over most of them, and fails at the start for others") {
        return;
    }
    let lab = Lab::new();
    for (options, told) in [
        ("--log-opt tag=x", "Error: the log option tag is for the log driver journald"),
        ("--log-opt label=A=b", "Error: the log option label is for the log driver journald"),
        ("--log-opt label=b", "Error: invalid log label \"b\""),
        ("--log-opt env=x", "Error: unknown log option \"env\""),
    ] {
        let error = lab.creel(&format!("create --network none {options} box true")).run().fails(125);
        assert_eq!(error.lines().next().unwrap(), told);
    }
    if !std::path::Path::new("/run/systemd/journal/socket").exists() {
        let error = lab.creel("create --network none --log-driver journald box true").run().fails(125);
        assert!(error.starts_with("Error: the log driver journald needs systemd-journald"), "{error}");
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn the_journal_keeps_and_gives_back_what_a_container_says() {
    crate::limits::in_machine(
        "the_journal_keeps_and_gives_back_what_a_container_says",
        "
        run=\"$creel run --network none --log-driver journald\"
        $run --name one $image sh -c 'echo out; echo err >&2; printf part' >/dev/null
        for i in 1 2 3 4 5 6 7 8 9; do $creel logs one >out 2>err; grep -q part out && break; sleep 0.2; done
        [ \"$(cat out)\" = \"$(printf 'out\\npart')\" ]; [ \"$(cat err)\" = err ]
        [ \"$($creel logs --tail 1 one)\" = part ]
        $run -d --name two --log-opt 'tag={{.Name}}-{{.ID}}' --log-opt label=color=green $image sh -c 'for i in 1 2 3 4 5; do echo $i; sleep 0.2; done'
        [ \"$(timeout 20 $creel logs -f two | tr -d '\\n')\" = 12345 ]
        journalctl -o export CONTAINER_NAME=two >entry
        grep -q \"^CONTAINER_TAG=two-$($creel inspect --format '{{.ID}}' two | cut -c1-12)$\" entry
        grep -q ^COLOR=green entry; grep -q ^PRIORITY=6 entry
        [ \"$($creel inspect --format '{{.HostConfig.LogConfig.Type}}' two)\" = journald ]
        $creel rm one two",
    );
}

#[test]
fn colours_tell_containers_apart() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box echo 1");
    lab.ok("run --name two --network none box echo 2");
    assert_eq!(lab.ok("logs --color one"), "\u{1b}[37m1\u{1b}[0m");
    let both = lab.ok("logs --color --names one two");
    assert!(both.contains("\u{1b}[37mone 1\u{1b}[0m") && both.contains("\u{1b}[31mtwo 2\u{1b}[0m"), "{both:?}");
    let line = lab.creel("logs -t one").env("TZ", "UTC").run().ok();
    assert!(line.ends_with("Z 1"), "{line}");
}
