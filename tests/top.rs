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
fn anything_else_is_for_ps_which_is_the_host_s() {
    let lab = Lab::new();
    if !crate::lab::has_program("ps") {
        return;
    }
    lab.ok("run -d --name one -u alice --network none box sleep 1000");
    let lines = |words: &str| lab.ok(&format!("top one {words}")).lines().map(str::to_owned).collect::<Vec<_>>();
    // The box has no such ps, and the lines are printed as they come.
    assert_eq!(lines("-eo pid,args"), ["    PID COMMAND", "      1 sleep 1000"]);
    assert_eq!(lines("-e -o pid,args"), ["    PID COMMAND", "      1 sleep 1000"]);
    let all = lines("aux");
    assert!(all[0].starts_with("USER") && all[1].ends_with("sleep 1000") && all.len() == 2, "{all:?}");
    let error = lab.creel("top one --nosuch").run().fails(125);
    assert!(error.contains("ps(1) failed with exit code 1: error: unknown gnu long option"), "{error}");
    assert_eq!(lines("pid,args")[1], "1           sleep 1000 ");
}

#[test]
fn only_what_runs_has_processes() {
    let lab = Lab::new();
    lab.ok("create --name idle --network none box true");
    lab.creel("top idle").run().fails(125);
    lab.creel("top nosuch").run().fails(125);
}
