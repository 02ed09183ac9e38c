//! `ps`

use crate::lab::Lab;

fn some() -> Lab {
    let lab = Lab::new();
    lab.ok("run -d --name runs -l colour=red -l size=big --network none box idle");
    lab.ok("run --name ended -l colour=blue --network none box sh -c 'exit 0'");
    lab.creel("run --name failed --network none box sh -c 'exit 3'").run().code(3);
    lab.ok("create --name fresh --network none box true");
    lab
}

#[test]
fn the_default_table_shows_what_runs() {
    let lab = some();
    let text = lab.ok("ps");
    let lines: Vec<&str> = text.lines().collect();
    for heading in ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"] {
        assert!(lines[0].contains(heading), "{text}");
    }
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[1].contains("localhost/box:latest")
            && lines[1].contains("idle")
            && lines[1].contains("Up ")
            && lines[1].ends_with("runs"),
        "{text}"
    );
    for name in ["container ls", "container list", "container ps"] {
        assert_eq!(lab.ok(&format!("{name} --format {{{{.Names}}}}")), "runs");
    }
    assert_eq!(lab.ok("ps --noheading").lines().count(), 1);
}

#[test]
fn all_shows_every_state_oldest_first() {
    let lab = some();
    let text = lab.ok("ps -a --format '{{.Names}} {{.State}} {{.Status}}'");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("runs running Up "), "{text}");
    assert!(lines[1].starts_with("ended exited Exited (0) ") && lines[1].ends_with(" ago"), "{text}");
    assert!(lines[2].starts_with("failed exited Exited (3) "), "{text}");
    assert_eq!(lines[3], "fresh created Created");
}

#[test]
fn quiet_prints_ids_and_no_trunc_prints_them_whole() {
    let lab = some();
    let id = lab.inspect("runs", "{{.Id}}");
    assert_eq!(lab.ok("ps -q"), &id[..12]);
    assert_eq!(lab.ok("ps -q --no-trunc"), id);
    assert_eq!(lab.ok("ps -aq").lines().count(), 4);
    let long = lab.ok("create --network none box echo a very long command line indeed");
    let shown = |flags: &str| lab.ok(&format!("ps -a {flags} --filter id={long} --format {{{{.Command}}}}"));
    assert_eq!(shown("--no-trunc"), "echo a very long command line indeed");
    assert_eq!(shown(""), "echo a very long ...");
}

#[test]
fn filters_choose() {
    let lab = some();
    let names =
        |filters: &str| lab.ok(&format!("ps -a --sort names --format {{{{.Names}}}} {filters}")).replace('\n', " ");
    for (filters, expected) in [
        ("--filter name=^f", "failed fresh"),
        ("--filter name=ende", "ended"),
        ("--filter status=running", "runs"),
        ("--filter status=exited", "ended failed"),
        ("--filter status=created --filter status=running", "fresh runs"),
        ("--filter exited=3", "failed"),
        ("--filter label=colour", "ended runs"),
        ("--filter label=colour=red", "runs"),
        ("--filter label=colour --filter label=size", "runs"),
        ("--filter label!=colour", "failed fresh"),
        ("--filter ancestor=box", "ended failed fresh runs"),
        ("--filter ancestor=nosuch", ""),
        ("--filter before=ended", "runs"),
        ("--filter since=ended", "failed fresh"),
        ("--filter command=idle", "runs"),
        ("--filter until=1h", ""),
        ("--filter status=exited --filter name=fail", "failed"),
    ] {
        assert_eq!(names(filters), expected, "{filters}");
    }
    lab.creel("ps --filter nonsense=1").run().fails(125);
    lab.creel("ps --filter status=nonsense").run().fails(125);
}

#[test]
fn volumes_and_networks_are_filters_too() {
    let lab = Lab::new();
    lab.ok("create --name with -v data:/data --network none box true");
    lab.ok("create --name without --network none box true");
    assert_eq!(lab.ok("ps -a --filter volume=data --format {{.Names}}"), "with");
}

#[test]
fn last_and_latest_take_the_newest() {
    let lab = some();
    assert_eq!(lab.ok("ps --last 2 --format {{.Names}}"), "failed\nfresh");
    assert_eq!(lab.ok("ps -n 1 --format {{.Names}}"), "fresh");
    assert_eq!(lab.ok("ps -l --format {{.Names}}"), "fresh");
}

#[test]
fn templates_and_tables_are_written_as_in_go() {
    let lab = some();
    let format = |template: &str| lab.creel_words(&["ps", "--format", template]).run().ok();
    assert_eq!(format("{{.Names}}|{{.Image}}|{{.State}}"), "runs|localhost/box:latest|running");
    let table = format("table {{.Names}} {{.State}}");
    assert_eq!(
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(),
        ["NAMES STATE", "runs running"]
    );
    assert_eq!(format("{{.Names}}\\t{{.State}}"), "runs\trunning");
    assert_eq!(format(r#"{{.Label "colour"}} {{json .Names}} {{upper .State}}"#), r#"red "runs" RUNNING"#);
    assert_eq!(format("{{range .}}{{.Names}};{{end}}").trim_end(), "runs;");
    let outcome = lab.creel_words(&["ps", "--format", "{{.NoSuchField}}"]).run();
    outcome.fails(125);
}

#[test]
fn json_has_the_known_shape() {
    let lab = some();
    let json = lab.json("ps -a --format json");
    let all = json.as_array().unwrap();
    assert_eq!(all.len(), 4);
    let runs = all.iter().find(|one| one["Names"][0] == "runs").unwrap();
    for key in [
        "AutoRemove",
        "Command",
        "CreatedAt",
        "Exited",
        "ExitedAt",
        "ExitCode",
        "Id",
        "Image",
        "ImageID",
        "IsInfra",
        "Labels",
        "Mounts",
        "Names",
        "Namespaces",
        "Networks",
        "Pid",
        "Pod",
        "PodName",
        "Ports",
        "Restarts",
        "Size",
        "StartedAt",
        "State",
        "Status",
        "Created",
    ] {
        assert!(runs.get(key).is_some(), "{key} in {runs}");
    }
    assert_eq!(runs["State"], "running");
    assert_eq!(runs["Labels"]["colour"], "red");
    assert_eq!(runs["Command"][0], "idle");
    assert!(runs["Pid"].as_i64().unwrap() > 1);
    assert!(runs["Created"].as_i64().unwrap() > 1_700_000_000);
    let failed = all.iter().find(|one| one["Names"][0] == "failed").unwrap();
    assert_eq!(failed["ExitCode"], 3);
    assert_eq!(Lab::empty().ok("ps --format json").trim(), "[]");
}

#[test]
fn sort_keys_order_the_lines() {
    let lab = some();
    let sorted = |key: &str| lab.ok(&format!("ps -a --sort {key} --format {{{{.Names}}}}")).replace('\n', " ");
    assert_eq!(sorted("names"), "ended failed fresh runs");
    assert_eq!(sorted("created"), "runs ended failed fresh");
    lab.creel("ps --sort nonsense").run().fails(125);
}

#[test]
fn size_tells_what_the_container_has_written() {
    let lab = Lab::new();
    lab.ok("run --name fat --network none box dd if=/dev/zero of=/big bs=1000 count=2000");
    let text = lab.ok("ps -as --format {{.Size}}");
    assert!(text.starts_with('2') && text.contains("MB (virtual "), "{text}");
}

#[test]
fn a_store_of_one_s_own_is_a_world_of_its_own() {
    let lab = some();
    let place = lab.folder("elsewhere");
    let options = format!("--root {0}/root --runroot {0}/run", place.display());
    assert_eq!(lab.ok(&format!("{options} ps -aq")), "");
    assert_eq!(lab.ok(&format!("{options} images -q")), "");
    assert!(lab.path("elsewhere/root").is_dir());
}

#[test]
fn annotations_choose_what_is_listed() {
    if crate::lab::is_podman() {
        // It came with 6.0.
        return;
    }
    let lab = Lab::new();
    lab.ok("create --name one --annotation colour=red --network none box true");
    lab.ok("create --name two --network none box true");
    let listed = |filter: &str| lab.ok(&format!("ps -a --filter {filter} --format {{{{.Names}}}}"));
    assert_eq!(listed("annotation=colour"), "one");
    assert_eq!(listed("annotation=colour=red"), "one");
    assert_eq!(listed("annotation=colour=blue"), "");
}

#[test]
fn a_row_fits_the_terminal_and_is_whole_everywhere_else() {
    if crate::lab::differs_on_purpose("Podman's rows break where the terminal ends") {
        return;
    }
    let lab = Lab::new();
    let name = "a-container-with-quite-some-name";
    lab.ok(&format!("create --name {name} -p 8080:80 -p 8443:443 box sh -c 'sleep 1000; sleep 1000'"));
    let rows = |line: &str| {
        let mut terminal = lab.terminal(line);
        let heading = terminal.expect("NAMES\r\n");
        let row = terminal.expect("\r\n");
        assert_eq!(terminal.end(), 0);
        [heading, row].map(|row| row.trim_end().to_owned())
    };
    let short = rows("ps -a");
    assert!(short.iter().all(|row| row.chars().count() <= 80), "{short:?}");
    assert!(short[1].contains("…") && short[1].contains("a-contain"), "{short:?}");
    // What is asked for as a whole, or read by a program, is whole.
    assert!(rows("ps -a --no-trunc")[1].contains(name));
    assert!(rows("ps -a --format 'table {{.Command}} {{.Image}} {{.Ports}} {{.Names}}'")[1].contains(name));
    let piped = lab.ok("ps -a");
    assert!(piped.contains(name) && piped.contains("0.0.0.0:8080->80/tcp, 0.0.0.0:8443->443/tcp"), "{piped}");
    assert!(!piped.contains('…'), "{piped}");
}

#[test]
fn fields_are_short_unless_asked_otherwise_and_namespaces_have_names() {
    let lab = some();
    let long = lab.inspect("runs", "{{.Image}}");
    assert_eq!(lab.ok("ps --format {{.ImageID}}"), &long[..12]);
    assert_eq!(lab.ok("ps --no-trunc --format {{.ImageID}}"), long);
    let pid = lab.inspect("runs", "{{.State.Pid}}");
    let numbers = lab.ok("ps --ns --format '{{.Cgroup}} {{.IPC}} {{.MNT}} {{.NET}} {{.PIDNS}} {{.USERNS}} {{.UTS}}'");
    let links: Vec<String> = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
        .iter()
        .map(|name| lab.shell(&format!("readlink /proc/{pid}/ns/{name}")).run().ok())
        .collect();
    for (number, link) in numbers.split(' ').zip(&links) {
        assert!(link.contains(&format!("[{number}]")), "{numbers} {links:?}");
    }
    let json = lab.json("ps --ns --format json");
    let names: Vec<&String> = json[0]["Namespaces"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["Cgroup", "Ipc", "Mnt", "Net", "Pidns", "User", "Uts"]);
    assert_eq!(lab.ok("ps -w 0 -q").lines().count(), 1);
}

#[test]
fn filters_search_as_podman_does() {
    let lab = Lab::new();
    lab.ok("create --name bound -v /tmp:/there -v data:/data --network none box idle");
    lab.ok("create --name other --network none box true");
    let names = |filter: &str| lab.ok(&format!("ps -a --format {{{{.Names}}}} --filter {filter}")).replace('\n', " ");
    for (filter, expected) in [
        ("volume=/there", "bound"),
        ("volume=/tmp", ""),
        ("volume=/tmp:/there", "bound"),
        ("volume=data", "bound"),
        ("volume=data:/data", "bound"),
        ("volume=/data", ""),
        ("ancestor=ocalhos", "bound other"),
        ("command=^id", "bound"),
        ("health=none", ""),
        ("name=*a", ""),
        ("should-start-on-boot=true", ""),
    ] {
        assert_eq!(names(filter), expected, "{filter}");
    }
    for (filter, expected) in [
        ("status=bogus", "unknown container state: bogus"),
        ("restart-policy=bogus", "bogus invalid restart policy"),
        ("should-start-on-boot=bogus", "strconv.ParseBool"),
        ("until=bogus", "failed to parse value as time or duration: \"bogus\""),
    ] {
        let text = lab.creel(&format!("ps --filter {filter}")).run().fails(125);
        assert!(text.contains(expected), "{filter}: {text}");
    }
}

#[test]
fn as_a_whole_a_template_sees_what_json_does_not_say() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    let whole: serde_json::Value = serde_json::from_str(&lab.ok("ps -a --format '{{json .}}'")).unwrap();
    assert!(whole["Created"].is_string() && whole["CreatedAt"] == "" && whole["Status"] == "", "{whole}");
    let listed = lab.json("ps -a --format json");
    assert!(listed[0]["Created"].is_u64() && listed[0]["Status"] == "Created", "{listed}");
    assert_eq!(lab.ok("ps -a --format '{{.Status}} {{.Names}}'"), "Created one");
    // A template may go over the list itself, wherever it does so.
    assert_eq!(lab.ok("ps -a --format 'x{{range .}}{{.Names}}{{end}}y'"), "xoney");
    for (line, words) in [
        (
            "ps -a --format {{.Nope}}",
            "ps:1:13: executing \"ps\" at <.Nope>: can't evaluate field Nope in type containers.psReporter",
        ),
        ("ps -a --format {{.ID", "ps:1: bad character U+007B '{'"),
        (
            "inspect --format {{.State.Nope}} one",
            "inspect:1:19: executing \"inspect\" at <.State.Nope>: can't evaluate field Nope in type *define.InspectContainerState",
        ),
        ("volume ls --format {{.Nope}}", ""),
        (
            "events --stream=false --format {{.Nope}}",
            "events:1:2: executing \"events\" at <.Nope>: can't evaluate field Nope in type system.Event",
        ),
    ] {
        let outcome = lab.creel(line).run();
        match words {
            // Nothing is there that could lack it.
            "" => drop(outcome.ok()),
            words => assert!(outcome.fails(125).contains(words), "{outcome}"),
        }
    }
    assert_eq!(lab.ok("inspect --format '{{range .}}{{.Name}},{{end}}' one one"), "one,one,");
}

#[test]
fn a_container_takes_room_for_its_own_files_too() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box true");
    lab.ok("wait one");
    let size = |line: &str| lab.json(line)[0].clone();
    assert!(size("ps -a --size --format json")["Size"]["rwSize"].as_u64().unwrap() > 0);
    let told = lab.ok("container prune -f");
    assert!(lab.ok("system prune -f").ends_with("Total reclaimed space: 0B"), "{told}");
}

#[test]
fn the_last_none_are_those_that_run() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    lab.ok("run -d --name two --network none box idle");
    assert_eq!(lab.ok("ps -n 0 --format {{.Names}}"), "two");
    assert_eq!(lab.ok("ps -n 1 --format {{.Names}}"), "two");
    assert_eq!(lab.ok("ps -n 0 -a --sort names --format {{.Names}}"), "one\ntwo");
}
