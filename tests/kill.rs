//! `kill`

use crate::lab::{Lab, eventually};

#[test]
fn kill_is_sigkill() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    assert_eq!(lab.ok("kill one"), "one");
    eventually("it is over", || lab.state("one") == "exited");
    assert_eq!(lab.inspect("one", "{{.State.ExitCode}}"), "137");
}

#[test]
fn a_signal_goes_by_name_or_by_number() {
    let lab = Lab::new();
    let script = "trap 'echo hup' HUP; trap 'echo usr' USR1; echo ready; while :; do sleep 0.05; done";
    lab.creel_words(&["run", "-d", "--name", "ears", "--network", "none", "box", "sh", "-c", script]).run().ok();
    lab.log_holds("ears", "ready");
    for (signal, word) in [("HUP", "hup"), ("SIGUSR1", "usr"), ("1", "hup\nusr\nhup")] {
        lab.ok(&format!("kill -s {signal} ears"));
        lab.log_holds("ears", word);
    }
    assert_eq!(lab.state("ears"), "running");
    lab.creel("kill -s NOSUCH ears").run().fails(125);
}

#[test]
fn what_does_not_run_cannot_be_killed() {
    let lab = Lab::new();
    lab.ok("run --name done --network none box true");
    let error = lab.creel("kill done").run().fails(125);
    assert!(error.contains("container state improper"), "{error}");
    lab.creel("kill nosuch").run().fails(125);
}

#[test]
fn kill_all_kills_everything() {
    let lab = Lab::new();
    lab.ok("run -d --network none box sleep 1000");
    lab.ok("run -d --network none box sleep 1000");
    lab.ok("kill --all");
    eventually("all are over", || lab.ok("ps -q").is_empty());
}
