//! `events`

use crate::lab::{Lab, eventually, is_podman};

#[test]
fn what_happened_is_told_in_order() {
    let lab = Lab::new();
    lab.ok("run --rm --name one -l colour=red --network none box true");
    let text = lab.ok("events --stream=false --since 1h --filter container=one --format {{.Status}}");
    let words: Vec<&str> = text.lines().collect();
    let order: Vec<usize> = ["create", "start", "died", "remove"]
        .iter()
        .map(|word| words.iter().position(|found| found == word).unwrap_or_else(|| panic!("{word} in {words:?}")))
        .collect();
    assert!(order.is_sorted(), "{words:?}");
    let text = lab.ok("events --stream=false --since 1h --filter event=died --filter label=colour=red --format '{{.Name}} {{.Type}} {{.ContainerExitCode}}'");
    assert_eq!(text, "one container 0");
}

#[test]
fn each_event_is_one_line_of_json() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    lab.ok("volume create vol");
    let text = lab.ok("events --stream=false --since 1h --format json");
    let all: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let made = all.iter().find(|event| event["Type"] == "container" && event["Status"] == "create").unwrap();
    assert_eq!(made["Name"], "one");
    assert_eq!(made["Image"], "localhost/box:latest");
    assert!(made["timeNano"].as_i64().unwrap() > 0);
    assert!(all.iter().any(|event| event["Type"] == "volume" && event["Name"] == "vol"), "{text}");
    assert!(all.iter().any(|event| event["Type"] == "image"), "{text}");
}

#[test]
fn a_stream_shows_events_as_they_come() {
    let lab = Lab::new();
    lab.ok("create --name before --network none box true");
    let filters = "--filter event=create --filter type=container";
    let mut stream = lab.creel(&format!("events --since 1h {filters} --format {{{{.Name}}}}")).spawn();
    // From here on it listens.
    assert_eq!(stream.line(), "before");
    for name in ["one", "two"] {
        lab.ok(&format!("create --name {name} --network none box true"));
        assert_eq!(stream.line(), name);
    }
    stream.signal(nix::sys::signal::Signal::SIGTERM);
    let _ = stream.end().exit_code();
}

#[test]
fn filters_choose_and_bad_ones_are_refused() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    assert_eq!(lab.ok("events --stream=false --since 1h --filter container=nosuch"), "");
    let text = lab.ok("events --stream=false --since 1h --filter container=one --filter event=create");
    assert!(text.contains(" container create ") && text.contains("name=one"), "{text}");
    lab.creel("events --stream=false --filter nonsense=1").run().fails(125);
}

#[test]
fn every_deed_is_told_of() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    lab.creel("exec one sh -c 'exit 3'").run().code(3);
    lab.ok("rename one two");
    lab.ok("restart -t 0 two");
    lab.ok("export -o /dev/null two");
    lab.ok("commit -q two made");
    lab.ok("kill two");
    lab.ok("wait two");
    lab.ok("rm two");
    lab.ok("tag made other");
    lab.ok("untag other");
    lab.ok("volume create vol");
    lab.ok("volume rm vol");
    let told = |filter: &str, format: &str| {
        let text = lab.ok(&format!("events --stream=false --filter {filter} --format '{format}'"));
        text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
    };
    let container: Vec<String> = told("type=container", "{{.Status}}");
    let expected = [
        "create",
        "init",
        "start",
        "exec",
        "exec_died",
        "rename",
        "restart",
        "died",
        "init",
        "start",
        "export",
        "commit",
        "kill",
        "died",
        "cleanup",
        "remove",
    ];
    let mut rest = container.iter();
    for word in expected {
        assert!(rest.any(|told| told == word), "{word} in its order among {container:?}");
    }
    assert_eq!(told("event=exec_died", "{{.ContainerExitCode}}"), ["3"]);
    assert_eq!(told("event=kill", "{{.Name}}"), ["two"]);
    // An exit code of 0 is there, too.
    let one = lab.ok("events --stream=false --since 1h --filter event=died --filter container=one --format json");
    assert!(one.lines().all(|line| line.starts_with("{\"ContainerExitCode\":")), "{one}");
    assert_eq!(told("type=volume", "{{.Name}} {{.Status}}"), ["vol create", "vol remove"]);
    let image = told("type=image", "{{.Status}}");
    assert!(image.ends_with(&["tag".to_owned(), "untag".to_owned(), "untag".to_owned()]), "{image:?}");
}

#[test]
fn the_time_may_be_bounded_on_both_sides() {
    let lab = Lab::empty();
    lab.ok("volume create one");
    let asked = |flags: &str| lab.ok(&format!("events --filter type=volume --format {{{{.Name}}}} {flags}"));
    assert_eq!(asked("--stream=false --since 1h"), "one");
    assert_eq!(asked("--stream=false --since -1h"), "");
    assert_eq!(asked("--stream=false --until 2020-01-01T00:00:00Z"), "");
    assert_eq!(asked("--since 1h --until 1ms"), "one");
    let text = lab.creel("events --since soon").run().fails(125);
    assert!(text.contains("unable to convert since time of soon"), "{text}");
}

#[test]
fn a_full_journal_is_set_aside_and_still_read() {
    let lab = Lab::empty();
    if is_podman() {
        return;
    }
    let conf = lab.write("small.conf", "[engine]\nevents_logfile_max_size = \"4k\"\n");
    for number in 0..60 {
        let line = format!("volume create volume-{number}");
        lab.creel(&line).env("CONTAINERS_CONF", conf.to_str().unwrap()).run().ok();
    }
    let size = |name: &str| std::fs::metadata(lab.store().join(name)).unwrap().len();
    assert!(size("events.log") <= 5000 && (4096..5000).contains(&size("events.log.1")));
    let text = lab.ok("events --stream=false --format {{.Name}}");
    let names: Vec<&str> = text.lines().collect();
    assert_eq!(names.last(), Some(&"volume-59"));
    assert!(names.len() > 50, "{names:?}");
}

#[test]
fn nothing_is_told_where_nobody_wants_it() {
    let lab = Lab::empty();
    lab.ok("--events-backend none volume create one");
    assert_eq!(lab.ok("events --stream=false --filter type=volume"), "");
    lab.creel("--events-backend none events --stream=false").run().fails(125);
    lab.creel("--events-backend nonsense volume create two").run().fails(125);
    lab.creel("volume exists two").run().code(1);
}

#[test]
fn events_of_networks_name_the_driver_and_the_container() {
    let lab = Lab::new();
    lab.ok("network create lan");
    lab.ok("run -d --name one --network none box idle");
    lab.ok("run -d --name two --network lan box idle");
    lab.ok("network disconnect lan two");
    lab.ok("network connect lan two");
    let told = |format: &str| lab.ok(&format!("events --stream=false --since 1h --filter type=network{format}"));
    let text = told("");
    assert!(text.lines().next().unwrap().ends_with(" (name=lan, type=bridge)"), "{text}");
    let json: Vec<serde_json::Value> =
        told(" --format json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json[0]["Attributes"]["driver"], "bridge");
    assert_eq!(json[0]["network"], "lan");
    assert!(json[0].get("Name").is_none());
    let names: Vec<_> = json[1..].iter().map(|event| (&event["Status"], &event["Name"], &event["network"])).collect();
    assert!(names.iter().all(|(_, name, network)| *name == "two" && *network == "lan"), "{names:?}");
}

#[test]
fn systemds_journal_keeps_events_too() {
    crate::limits::in_machine(
        "systemds_journal_keeps_events_too",
        r#"
        creel="$creel --events-backend journald"
        [ "$($creel info --format '{{.Host.EventLogger}}')" = journald ]
        $creel events --since 1m --filter type=container --format '{{.Name}} {{.Status}}' > ~/told 2> ~/why & listener=$!
        $creel run --name told -l colour=red --network none $image sh -c 'exit 3' || [ $? = 3 ]
        $creel rm told
        for second in $(seq 20); do grep -q 'told remove' ~/told && break; sleep 0.5; done
        cat ~/told ~/why; kill $listener; grep 'told died' ~/told; ! grep -v told ~/told
        died=$($creel events --stream=false --filter event=died --filter label=colour=red --format '{{.Name}} {{.ContainerExitCode}}')
        [ "$died" = 'told 3' ]
        [ -z "$(${creel%% *} events --stream=false --since 1h --filter container=told)" ]"#,
    );
}

/// What was told of containers and pods since the last time, one `TYPE STATUS NAME` on each line.
fn told(lab: &Lab, seen: &mut usize) -> Vec<String> {
    let text = lab.ok(
        "events --stream=false --filter type=container --filter type=pod --format '{{.Type}} {{.Status}} {{.Name}}'",
    );
    // Podman tells of a graceful stop only where it is quicker than what cleans up.
    let is_told = |line: &&str| !(is_podman() && line.starts_with("container stop "));
    let all: Vec<String> = text.lines().filter(is_told).map(str::to_owned).collect();
    let new = all[*seen..].to_vec();
    *seen = all.len();
    new
}

#[test]
fn each_way_to_an_end_has_its_own_story() {
    let lab = Lab::new();
    let seen = &mut 0;
    lab.ok(
        "run -d --name one --network none box sh -c 'trap \"exit 0\" TERM; echo ready; while :; do sleep 0.1; done'",
    );
    lab.log_holds("one", "ready");
    told(&lab, seen);
    lab.ok("stop one");
    // The clean-up comes when the command is over already.
    eventually("it is cleaned up", || !lab.ok("events --stream=false --filter event=cleanup").is_empty());
    let expected = ["container stop one", "container died one", "container cleanup one"];
    assert_eq!(told(&lab, seen), expected[usize::from(is_podman())..]);
    lab.ok("start one");
    told(&lab, seen);
    lab.ok("restart -t 0 one");
    let expected = ["container restart one", "container died one", "container init one", "container start one"];
    assert_eq!(told(&lab, seen), expected);
    lab.ok("rm -f -t 0 one");
    // Two processes tell it, in either order.
    let mut ending = told(&lab, seen);
    ending.sort_unstable();
    assert_eq!(ending, ["container died one", "container remove one"]);

    lab.ok("run -d --restart on-failure:1 --name again --network none box false");
    eventually("it is cleaned up", || {
        !lab.ok("events --stream=false --filter container=again --filter event=cleanup").is_empty()
    });
    let round = |word: &str| format!("container {word} again");
    let expected = ["create", "init", "start", "died", "restart", "init", "start", "died", "cleanup"].map(round);
    assert_eq!(told(&lab, seen), expected);
    lab.ok("rm again");
}

#[test]
fn a_pod_says_first_what_it_does_to_its_containers() {
    let lab = Lab::new();
    let seen = &mut 0;
    lab.ok("pod create --name duo --infra=false --share none");
    lab.ok("run -d --pod duo --name one --network none box idle");
    told(&lab, seen);
    lab.ok("pod stop -t 0 duo");
    let new = told(&lab, seen);
    assert_eq!(new[..2], ["pod stop duo", "container died one"], "{new:?}");
    lab.ok("pod start duo");
    eventually("it is cleaned up", || !lab.ok("events --stream=false --filter event=cleanup").is_empty());
    told(&lab, seen);
    lab.ok("pod kill duo");
    let new = told(&lab, seen);
    assert_eq!(new[..3], ["pod kill duo", "container kill one", "container died one"], "{new:?}");
    lab.ok("pod rm -f -t 0 duo");
    let new = told(&lab, seen);
    assert!(!new.iter().any(|line| line == "pod stop duo") && new.last().unwrap() == "pod remove duo", "{new:?}");
}
