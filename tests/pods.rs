//! `pod`

use crate::lab::{Lab, eventually, free_port};

#[test]

fn a_pod_is_made_listed_looked_at_and_removed() {
    let lab = Lab::new();
    let id = lab.ok("pod create --name one -l k=v");
    assert_eq!(id.len(), 64);
    lab.creel("pod create --name one").run().fails(125);
    lab.ok("pod exists one");
    assert_eq!(lab.creel("pod exists two").run().exit_code(), 1);
    let text = lab.ok("pod ps");
    for heading in ["POD ID", "NAME", "STATUS", "CREATED", "INFRA ID", "# OF CONTAINERS"] {
        assert!(text.lines().next().unwrap().contains(heading), "{text}");
    }
    assert_eq!(lab.ok("pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}'"), "one Created 1");
    assert!(lab.ok("pod ps -q --filter label=k=v").starts_with(&id[..12]));
    let json = lab.json("pod inspect one");
    let pod = if json.is_array() { &json[0] } else { &json };
    assert_eq!((&pod["Id"], &pod["Name"], &pod["State"]), (&id.as_str().into(), &"one".into(), &"Created".into()));
    assert_eq!(lab.ok("pod rm one"), id);
    let error = lab.creel("pod rm one").run().fails(1);
    assert!(
        error.contains("no pod with name or ID one found: no such pod") || error.contains("no such pod"),
        "{error}"
    );
}

#[test]

fn members_share_network_ipc_and_host_name() {
    let lab = Lab::new();
    lab.ok("pod create --name duo");
    lab.ok("run -d --pod duo --name web box httpd -f -p 80 -h /www");
    eventually("served inside of the pod", || {
        lab.creel("run --rm --pod duo box wget -qO- http://127.0.0.1/").run().out() == "hello from the box"
    });
    assert_eq!(lab.ok("run --rm --pod duo box hostname"), "duo");
    for kind in ["net", "ipc", "uts"] {
        let own = lab.ok(&format!("run --rm --pod duo box readlink /proc/self/ns/{kind}"));
        assert_eq!(own, lab.ok(&format!("exec web readlink /proc/self/ns/{kind}")), "{kind}");
    }
    assert_ne!(
        lab.ok("run --rm --pod duo box readlink /proc/self/ns/pid"),
        lab.ok("exec web readlink /proc/self/ns/pid")
    );
    assert_eq!(lab.ok("ps --pod --format '{{.Names}} {{.PodName}}' --filter name=web"), "web duo");
    lab.ok("pod rm -f -t 0 duo");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]

fn start_stop_and_restart_take_all_members() {
    let lab = Lab::new();
    lab.ok("pod create --name duo");
    lab.ok("create --pod duo --name a box idle");
    lab.ok("create --pod duo --name b box idle");
    assert_eq!(lab.ok("pod start duo"), "duo");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Running");
    assert_eq!((lab.state("a"), lab.state("b")), ("running".to_owned(), "running".to_owned()));
    lab.log_holds("a", "ready");
    lab.log_holds("b", "ready");
    lab.ok("stop -t 0 a");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Degraded");
    lab.ok("pod restart duo");
    assert_eq!(lab.state("a"), "running");
    assert_eq!(lab.ok("pod stop -t 1 duo"), "duo");
    assert_eq!(lab.state("b"), "exited");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Exited");
    lab.ok("pod rm duo");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]

fn a_pod_publishes_for_its_members() {
    let lab = Lab::new();
    let port = free_port();
    lab.ok(&format!("pod create --name web -p 127.0.0.1:{port}:80"));
    lab.ok("run -d --pod web box httpd -f -p 80 -h /www");
    eventually("the port is served", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| {
            use std::io::{Read, Write};
            let mut text = String::new();
            let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
            text.contains("hello from the box")
        })
    });
    lab.creel("run --rm --pod web -p 8081:81 box true").run().fails(125);
    lab.ok("pod rm -f -t 0 web");
}

#[test]

fn a_pod_can_be_made_on_the_way() {
    let lab = Lab::new();
    lab.ok("run -d --pod new:fresh --name one box idle");
    assert_eq!(lab.ok("pod ps --format {{.Name}}"), "fresh");
    lab.creel("pod rm fresh").run().fails(125);
    assert_eq!(lab.ok("pod kill fresh").len(), 64);
    eventually("all is over", || lab.state("one") == "exited");
    lab.ok("pod rm -f -t 0 fresh");
    lab.creel("run --rm --pod nosuch box true").run().fails(125);
}

#[test]

fn namespaces_are_shared_as_asked() {
    let lab = Lab::new();
    lab.ok("pod create --name all --share +pid");
    lab.ok("run -d --pod all --name a box idle");
    assert!(lab.ok("run --rm --pod all box ps -o comm").contains("idle"));
    lab.ok("pod rm -f -t 0 all");
    lab.ok("pod create --name none --share none --infra=false");
    lab.ok("run -d --pod none --name b --network none box idle");
    assert_ne!(
        lab.ok("run --rm --pod none --network none box readlink /proc/self/ns/uts"),
        lab.ok("exec b readlink /proc/self/ns/uts")
    );
    lab.ok("pod rm -f -t 0 none");
}
