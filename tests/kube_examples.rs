//! The manifests of `examples/kubernetes`, with real servers and a real client.

use std::time::Duration;

use crate::lab::{Lab, comes_true, differs_on_purpose, eventually, free_port, has_program, ingress_port, ingress_turn};

/// A lab with the example `name` in it; its NodePort is `port` wherever it has one. `None` where it cannot be played.
fn example(name: &str, port: u16) -> Option<Lab> {
    if differs_on_purpose("podman plays one pod of each and no Service") || !has_program("curl") {
        return None;
    }
    let lab = Lab::with_servers()?;
    let path = format!("{}/examples/kubernetes/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    lab.write(name, text.replace("nodePort: 3008", &format!("nodePort: {port} # ")));
    Some(lab)
}

fn node_port() -> u16 {
    30000 + free_port() % 2767
}

/// What curl prints, or its exit code.
fn curl(lab: &Lab, arguments: &str) -> Result<String, i32> {
    let outcome = lab.program(&format!("curl --silent --show-error --fail --max-time 10 {arguments}")).run();
    if outcome.exit_code() == 0 { Ok(outcome.out()) } else { Err(outcome.exit_code()) }
}

fn play(lab: &Lab, file: &str) -> String {
    lab.creel(&format!("kube play {file}")).within(120).run().ok()
}

fn down(lab: &Lab, file: &str) -> String {
    lab.creel(&format!("kube down {file}")).within(60).run().ok()
}

fn running(lab: &Lab) -> Vec<String> {
    let pods = lab.ok("pod ps --filter status=running --format {{.Name}}");
    let mut pods: Vec<String> = pods.lines().map(str::to_owned).collect();
    pods.sort();
    pods
}

#[test]
fn three_nginx_behind_a_service_share_the_load_and_their_configuration() {
    let port = node_port();
    let Some(lab) = example("nginx.yaml", port) else { return };
    play(&lab, "nginx.yaml");
    let url = format!("http://127.0.0.1:{port}");
    let mut seen = std::collections::BTreeSet::new();
    eventually("all three have served", || {
        seen.extend(curl(&lab, &url).ok());
        seen.len() == 3
    });
    assert!(seen.iter().all(|page| page.starts_with("served by nginx-deployment-")), "{seen:?}");
    // By the Service's name, from inside.
    let inside = |url: &str| lab.creel(&format!("exec {}-nginx curl -sS {url}", running(&lab)[0])).run().out();
    eventually("the Service has a name", || inside("http://nginx.default").starts_with("served by"));
    assert!(lab.ok("kube get deploy").contains("3/3"), "{}", lab.ok("kube get deploy"));
    let text = lab.read("nginx.yaml");
    lab.write("nginx.yaml", text.replace("served by", "now served by").replace("replicas: 3", "replicas: 2"));
    play(&lab, "nginx.yaml");
    eventually("two are left", || running(&lab).len() == 2);
    for pod in running(&lab) {
        let conf = lab.ok(&format!("exec {pod}-nginx cat /etc/nginx/conf.d/default.conf"));
        assert!(conf.contains("now served by"), "{conf}");
        lab.ok(&format!("exec {pod}-nginx nginx -s reload"));
    }
    eventually("the new text is served", || curl(&lab, &url).is_ok_and(|page| page.starts_with("now served by")));
    down(&lab, "nginx.yaml");
    assert!(curl(&lab, &url).is_err());
}

#[test]
fn a_front_end_finds_its_store_and_what_was_written_stays() {
    let port = node_port();
    let Some(lab) = example("guestbook.yaml", port) else { return };
    play(&lab, "guestbook.yaml");
    let url = format!("http://127.0.0.1:{port}/");
    eventually("both tiers serve", || curl(&lab, &url).is_ok());
    for guest in ["Ada", "Grace"] {
        curl(&lab, &format!("--data {guest} {url}")).unwrap();
    }
    assert_eq!(curl(&lab, &url).unwrap(), "Ada\nGrace");
    let replicas = running(&lab);
    assert_eq!(replicas, ["frontend-1", "frontend-2", "redis-pod"]);
    lab.ok("pod rm -f redis-pod");
    eventually("the store is back", || running(&lab).len() == 3);
    eventually("with what was written", || curl(&lab, &url).is_ok_and(|page| page == "Ada\nGrace"));
    down(&lab, "guestbook.yaml");
    play(&lab, "guestbook.yaml");
    eventually("also after all was taken down", || curl(&lab, &url).is_ok_and(|page| page == "Ada\nGrace"));
    lab.creel("kube down --force guestbook.yaml").within(60).run().ok();
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn members_of_a_stateful_set_are_found_by_their_own_names() {
    let Some(lab) = example("statefulset.yaml", 0) else { return };
    play(&lab, "statefulset.yaml");
    eventually("all three run", || running(&lab) == ["web-0", "web-1", "web-2"]);
    let ask = |from: &str, name: &str| lab.creel(&format!("exec {from}-nginx curl -sS http://{name}/")).run().out();
    for member in ["web-0", "web-1", "web-2"] {
        eventually(member, || ask("web-1", &format!("{member}.nginx")) == member);
        let full = format!("{member}.nginx.default.svc.cluster.local");
        eventually(&full, || ask("web-2", &full) == member);
    }
    lab.ok("pod rm -f -t 0 web-1");
    // The same name and volume, and a second line in its page.
    eventually("web-1 is there again", || ask("web-0", "web-1.nginx") == "web-1\nweb-1");
    assert_eq!(lab.ok("volume ls -q"), "www-web-0\nwww-web-1\nwww-web-2");
    down(&lab, "statefulset.yaml");
    lab.ok("volume rm www-web-0 www-web-1 www-web-2");
}

#[test]
fn a_job_tries_until_it_is_right() {
    let Some(lab) = example("job.yaml", 0) else { return };
    play(&lab, "job.yaml");
    let complete = || lab.ok("kube get job/pi --no-headers").contains("1/1");
    assert!(comes_true(Duration::from_secs(90), complete), "{}", lab.ok("kube describe job/pi"));
    assert!(lab.ok("kube logs job/pi").contains("3.1415926536"), "{}", lab.ok("kube logs job/pi"));
    assert_eq!(lab.ok("run --rm --network none -v work:/work box cat /work/tries"), "xxx");
    lab.creel("kube down --force job.yaml").within(60).run().ok();
    assert_eq!(lab.ok("volume ls -q"), "");
}

#[test]
fn an_ingress_leads_to_two_services() {
    let Some(lab) = example("ingress.yaml", 0) else { return };
    let Some(_turn) = ingress_turn() else { return };
    let port = ingress_port();
    play(&lab, "ingress.yaml");
    let ask = |host: &str, path: &str| curl(&lab, &format!("-H 'Host: {host}' http://127.0.0.1:{port}{path}"));
    eventually("apple", || ask("fruit.example.com", "/apple/one").as_deref() == Ok("apple /apple/one"));
    eventually("banana", || ask("fruit.example.com", "/banana").as_deref() == Ok("banana /banana"));
    eventually("by host", || ask("a.banana.example.com", "/").as_deref() == Ok("banana /"));
    // 404, which curl calls 22.
    assert_eq!(ask("fruit.example.com", "/cherry"), Err(22));
    assert_eq!(ask("elsewhere.example.com", "/apple"), Err(22));
    assert!(lab.ok("kube get ing").contains("fruit.example.com"));
    down(&lab, "ingress.yaml");
}
