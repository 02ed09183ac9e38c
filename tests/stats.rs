//! `stats`

use crate::lab::Lab;

#[test]
fn what_runs_is_shown_with_what_it_uses() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'while :; do :; done'");
    lab.ok("create --name two --network none box true");
    let shown = lab.json("stats --no-stream --format json");
    let rows = shown.as_array().unwrap();
    assert_eq!(rows.len(), 1, "{shown}");
    let keys: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    for key in
        ["id", "name", "cpu_time", "cpu_percent", "avg_cpu", "mem_usage", "mem_percent", "net_io", "block_io", "pids"]
    {
        assert!(keys.iter().any(|found| *found == key), "{key} in {keys:?}");
    }
    assert_eq!(rows[0]["name"], "one");
    assert_eq!(rows[0]["net_io"], "0B / 0B");
    assert!(rows[0]["mem_usage"].as_str().unwrap().contains("B / "), "{shown}");
    let all = lab.ok("stats --no-stream -a --format '{{.Name}} {{.PIDs}}'");
    assert!(all.lines().any(|line| line == "two 0"), "{all}");
    let table = lab.ok("stats --no-stream one");
    assert!(table.starts_with("ID "), "{table}");
    for heading in ["CPU %", "MEM USAGE / LIMIT", "MEM %", "NET IO", "BLOCK IO", "PIDS", "CPU TIME", "AVG CPU %"] {
        assert!(table.lines().next().unwrap().contains(heading), "{table}");
    }
}

#[test]
fn looks_are_repeated_and_the_time_grows() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'while :; do :; done'");
    let mut stream = lab.creel("stats --interval 1 --format '{{.Name}} {{.CPUNano}}' one").spawn();
    let mut look = || {
        let line = stream.line();
        let (name, time) = line.split_once(' ').unwrap();
        assert_eq!(name, "one");
        time.parse::<u64>().unwrap()
    };
    let first = look();
    let second = look();
    assert!(second > first, "{first} {second}");
    stream.signal(nix::sys::signal::Signal::SIGTERM);
    let _ = stream.end().exit_code();
}

#[test]
fn memory_of_the_processes_is_counted_where_no_cgroup_does() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'x=$(head -c 3000000 /dev/zero | tr \"\\0\" a); sleep 1000'");
    let used = || {
        let text = lab.ok("stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' one");
        text.contains("MB / ").then_some(text)
    };
    // Podman knows nothing without the controller.
    if crate::lab::is_podman() {
        return;
    }
    crate::lab::eventually("three megabytes are seen", || used().is_some());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    for line in ["stats --no-stream -a one", "stats --no-stream -l one", "stats -i 0 one", "stats --no-stream nosuch"] {
        lab.creel(line).run().fails(125);
    }
    lab.creel("stats --no-stream extra --format '{{.Nonsense}}'").run().fails(125);
}

#[test]
fn figures_are_whole_on_a_narrow_terminal() {
    if crate::lab::differs_on_purpose("Podman's rows break where the terminal ends") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name a-container-with-quite-some-name --network none box sleep 1000");
    let mut terminal = lab.terminal("stats --no-stream");
    let heading = terminal.expect("…\r\n");
    let heading = heading.lines().last().unwrap_or_default();
    assert!(heading.trim_end().chars().count() <= 80, "{heading}");
    for column in ["ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %"] {
        assert!(heading.contains(column), "{heading}");
    }
    let row = terminal.expect("\r\n");
    assert!(row.trim_end().chars().count() <= 80 && row.contains("B / ") && row.contains("% "), "{row}");
    assert_eq!(terminal.end(), 0);
    assert!(lab.ok("stats --no-stream").contains("AVG CPU %"));
}

#[test]
fn a_template_sees_the_figures() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    let whole: serde_json::Value = serde_json::from_str(&lab.ok("stats --no-stream --format '{{json .}}'")).unwrap();
    assert_eq!((&whole["Name"], whole["ContainerID"].as_str().unwrap().len()), (&"one".into(), 64));
    assert!(whole["CPUNano"].is_u64() && whole["MemLimit"].is_u64() && whole.get("name").is_none(), "{whole}");
    let listed = lab.json("stats --no-stream --format json");
    assert!(listed[0]["cpu_percent"].is_string() && listed[0].get("CPUNano").is_none(), "{listed}");
}
