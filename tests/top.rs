//! `top`

use crate::lab::Lab;

#[test]
fn top_lists_the_container_s_processes() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box idle");
    lab.log_holds("one", "ready");
    let text = lab.ok("top one");
    let header: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"]);
    assert!(text.lines().skip(1).any(|line| line.starts_with("root") && line.contains("idle")), "{text}");
}

#[test]
fn columns_can_be_chosen() {
    let lab = Lab::new();
    lab.ok("run -d --name one -u alice --network none box sleep 1000");
    assert_eq!(
        lab.ok("top one pid user args").split_whitespace().collect::<Vec<_>>(),
        ["PID", "USER", "COMMAND", "1", "alice", "sleep", "1000"]
    );
    let text = lab.ok("top one hpid");
    assert_eq!(text.lines().nth(1).unwrap().trim(), lab.inspect("one", "{{.State.Pid}}"));
}

#[test]
fn only_what_runs_has_processes() {
    let lab = Lab::new();
    lab.ok("create --name idle --network none box true");
    lab.creel("top idle").run().fails(125);
    lab.creel("top nosuch").run().fails(125);
}
