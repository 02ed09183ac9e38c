//! `auto-update`: by systemd's units, and by creel itself where there is none.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::lab::image::{Compression, Draft, box_with};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, differs_on_purpose, eventually, free_port};

const LOCAL: &str = "--network none --label io.containers.autoupdate=local";
const APP: &str = "localhost/app";

/// Gives the image another content: the file /version.
fn make(lab: &Lab, version: &str, more: &str) {
    lab.ok(&format!("run --name making --network none box sh -c 'echo {version} > /version'"));
    lab.ok(&format!("commit -q {more} making {APP}"));
    lab.ok("rm making");
}

/// What became of each container.
fn outcomes(lab: &Lab, flags: &str) -> Vec<(String, String)> {
    let said = lab.ok(&format!("auto-update --format '{{{{.ContainerName}}}} {{{{.Updated}}}}' {flags}"));
    let pair = |line: &str| line.split_once(' ').map(|(name, word)| (name.to_owned(), word.to_owned()));
    said.lines().map(|line| pair(line).unwrap()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect()
}

#[test]
fn only_running_containers_with_a_policy_are_looked_at() {
    let lab = Lab::new();
    lab.ok(&format!("create --name created {LOCAL} box idle"));
    lab.ok("run -d --name plain --network none box idle");
    lab.ok("run -d --name disabled --network none --label io.containers.autoupdate=disabled box idle");
    assert_eq!(lab.ok("auto-update"), "");
    assert_eq!(lab.ok("auto-update --format json"), "");
    let error = lab.creel("auto-update x").run().fails(125);
    assert!(error.contains(" auto-update` takes no arguments"), "{error}");
    let error = lab.creel("auto-update --authfile /nosuch").run().fails(125);
    assert_eq!(error, "Error: credential file is not accessible: faccessat /nosuch: no such file or directory");
    lab.ok("run -d --name bogus --network none --label io.containers.autoupdate=bogus box idle");
    assert_eq!(
        lab.creel("auto-update").run().fails(125),
        "Error: invalid auto-update policy \"bogus\": valid policies are [\"disabled\" \"image\" \"local\" \"registry\"]"
    );
}

#[test]
fn a_short_name_is_not_asked_for_in_a_registry() {
    let lab = Lab::new();
    for policy in ["registry", "image"] {
        let line = format!("create --network none --label io.containers.autoupdate={policy} box true");
        assert_eq!(
            lab.creel(&line).run().fails(125),
            "Error: short name: auto updates require fully-qualified image reference: \"box\""
        );
    }
    lab.ok("create --network none --label io.containers.autoupdate=registry localhost/box true");
    lab.ok("create --network none --label io.containers.autoupdate=local box true");
}

#[test]
fn a_container_says_which_unit_made_it() {
    let lab = Lab::new();
    let made = |line: &str| lab.creel(line).env("PODMAN_SYSTEMD_UNIT", "web.service").run().ok();
    let unit = |name: &str| lab.inspect(name, "{{index .Config.Labels \"PODMAN_SYSTEMD_UNIT\"}}");
    made("create --name web --network none box true");
    made("create --name other --label PODMAN_SYSTEMD_UNIT=other.service --network none box true");
    assert_eq!((unit("web"), unit("other")), ("web.service".to_owned(), "web.service".to_owned()));
    made("pod create --name pod");
    assert_eq!(lab.json("pod inspect pod")[0]["Labels"]["PODMAN_SYSTEMD_UNIT"], "web.service");
    let infra = lab.ok("pod inspect --format {{.InfraContainerID}} pod");
    assert_eq!(unit(&infra), "web.service");
    lab.write("pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: played\nspec:\n  containers:\n  - name: one\n    image: localhost/box\n");
    made("kube play --start=false pod.yaml");
    assert_eq!(unit("played-one"), "web.service");
}

#[test]
fn one_on_the_new_image_takes_the_place() {
    if differs_on_purpose("podman updates containers of systemd only") {
        return;
    }
    let lab = Lab::new();
    make(&lab, "1", "--change LABEL=version=1 --change VOLUME=/data");
    let port = free_port();
    let ports = format!("-p 127.0.0.1:{port}:80");
    lab.ok(&format!(
        "run -d --name web {ports} --label io.containers.autoupdate=local --cidfile id -v named:/named -e A=1 {APP} \
         sh -c 'cat /version; idle'"
    ));
    lab.ok("exec web sh -c 'echo mine > /data/file; echo mine > /named/file'");
    let old = lab.inspect("web", "{{.Id}}");
    let volumes = lab.ok("volume ls -q");
    assert_eq!(outcomes(&lab, ""), pairs(&[("web", "false")]));
    make(&lab, "2", "--change LABEL=version=2 --change VOLUME=/data");
    assert_eq!(outcomes(&lab, "--dry-run"), pairs(&[("web", "pending")]));
    assert_eq!(lab.inspect("web", "{{.Id}}"), old);
    let table = lab.ok("auto-update");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let shown = format!("{} (web) {APP} local true", &old[..12]);
    assert_eq!(rows, [vec!["UNIT", "CONTAINER", "IMAGE", "POLICY", "UPDATED"], shown.split(' ').collect()]);
    let new = lab.inspect("web", "{{.Id}}");
    assert_ne!(new, old);
    assert_eq!(lab.ok("ps -a --no-trunc --format {{.ID}}"), new);
    assert_eq!(lab.read("id"), new);
    assert_eq!(lab.ok("exec web cat /version /data/file /named/file"), "2\nmine\nmine");
    assert_eq!(lab.inspect("web", "{{.Config.Labels.version}}"), "2");
    assert_eq!(lab.ok("port web"), format!("80/tcp -> 127.0.0.1:{port}"));
    // The anonymous volume went over, and goes with the new one.
    assert_eq!(lab.ok("volume ls -q"), volumes);
    lab.ok("rm -f -t 0 -v web");
    assert_eq!(lab.ok("volume ls -q"), "named");
}

#[test]
fn the_old_one_comes_back_where_the_new_one_does_not_run() {
    if differs_on_purpose("podman updates containers of systemd only") {
        return;
    }
    let lab = Lab::new();
    make(&lab, "1", "");
    let healthy = "--health-cmd 'grep -q 1 /version' --health-interval 200ms --health-retries 2";
    lab.ok(&format!("run -d --name ends {LOCAL} --rm {APP} sh -c 'grep -q 1 /version && idle'"));
    lab.ok(&format!("run -d --name looping {LOCAL} --restart always {APP} sh -c 'grep -q 1 /version && idle'"));
    lab.ok(&format!("run -d --name ill {LOCAL} {healthy} {APP} idle"));
    lab.ok(&format!("run -d --name well {LOCAL} --health-cmd 'test -e /version' --health-interval 200ms {APP} idle"));
    let ids = lab.ok("ps -q --no-trunc --filter name=ends --filter name=looping --filter name=ill");
    make(&lab, "2", "");
    let outcome = lab.creel("auto-update --format '{{.ContainerName}} {{.Updated}}'").run();
    assert_eq!(outcome.ok(), "ends rolled back\nlooping rolled back\nill rolled back\nwell true");
    let said = outcome.err();
    for (name, why) in [("ends", "it ended"), ("looping", "it ended"), ("ill", "health check fails")] {
        assert!(said.lines().any(|line| line.contains(name) && line.contains(why)), "{said}");
    }
    assert_eq!(lab.ok("ps -q --no-trunc --filter name=ends --filter name=looping --filter name=ill"), ids);
    assert_eq!(lab.ok("ps -a --format {{.Names}}").lines().count(), 4);
    for name in ["ends", "looping", "ill"] {
        assert_eq!(lab.ok(&format!("exec {name} cat /version")), "1");
    }
    assert_eq!(lab.ok("exec well cat /version"), "2");
    // Without a way back the new one stays, whatever it does.
    let outcome = lab.creel("auto-update --rollback=false").run();
    assert!(outcome.fails(125).contains("does not run with the new image"), "{outcome}");
    assert_eq!(lab.inspect("ill", "{{.State.Health.Status}}"), "unhealthy");
    assert_eq!(lab.ok("exec ill cat /version"), "2");
}

#[test]
fn a_member_of_a_pod_is_updated_in_its_pod() {
    if differs_on_purpose("podman updates containers of systemd only") {
        return;
    }
    let lab = Lab::new();
    make(&lab, "1", "");
    lab.ok("pod create --name pod --network none");
    lab.ok(&format!("run -d --name one --pod pod --label io.containers.autoupdate=local {APP} idle"));
    lab.ok("run -d --name two --pod pod box idle");
    make(&lab, "2", "");
    assert_eq!(outcomes(&lab, ""), pairs(&[("one", "true")]));
    assert_eq!(lab.ok("exec one cat /version"), "2");
    assert_eq!(lab.ok("pod ps --format '{{.Status}} {{.NumberOfContainers}}'"), "Running 3");
    let namespace = |name: &str| lab.ok(&format!("exec {name} readlink /proc/self/ns/net"));
    assert_eq!(namespace("one"), namespace("two"));
}

#[test]
fn one_that_others_need_is_left_alone() {
    if differs_on_purpose("podman updates containers of systemd only") {
        return;
    }
    let lab = Lab::new();
    make(&lab, "1", "");
    lab.ok(&format!("run -d --name one {LOCAL} {APP} idle"));
    lab.ok("run -d --name two --network container:one box idle");
    make(&lab, "2", "");
    let error = lab.creel("auto-update").run().fails(125);
    assert!(error.contains("container one cannot be replaced, others need it: two"), "{error}");
    assert_eq!((lab.state("one"), lab.ok("exec one cat /version")), ("running".to_owned(), "1".to_owned()));
    assert_eq!(lab.ok("ps -a -q").lines().count(), 2);
}

/// Kills an update at the moment that `reached` tells, and lets the next one find what is there.
fn interrupted(lab: &Lab, reached: impl FnOnce(&Lab)) {
    let updating = lab.creel("auto-update").spawn();
    reached(lab);
    updating.signal(Signal::SIGKILL);
    let _ = updating.end();
    // Whatever was reached, the name leads to a whole container.
    lab.ok("start web");
    lab.ok("exec web cat /version");
}

#[test]
fn an_update_that_is_killed_while_the_old_one_stops_is_begun_again() {
    if differs_on_purpose("podman updates containers of systemd only") {
        return;
    }
    let lab = Lab::new();
    make(&lab, "1", "");
    let stays = "trap '[ -e /go ] && exit' TERM; while :; do sleep 0.1; done";
    let run = format!("run -d --name web {LOCAL} --stop-timeout 60 {APP} sh -c");
    lab.creel_words(&[&run.split(' ').collect::<Vec<_>>()[..], &[stays]].concat()).run().ok();
    let old = lab.inspect("web", "{{.Id}}");
    make(&lab, "2", "");
    interrupted(&lab, |lab| drop(lab.ok("wait --condition stopping web")));
    assert_eq!(lab.inspect("web", "{{.Id}}"), old);
    assert_eq!(lab.ok("ps -a -q").lines().count(), 1);
    lab.ok("exec web touch /go");
    let outcome = lab.creel("auto-update --format '{{.Updated}}'").run();
    assert_eq!(outcome.ok(), "true");
    assert!(outcome.err().contains("web: an update that was interrupted has failed"), "{outcome}");
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "web");
    assert_eq!(lab.ok("exec web cat /version"), "2");
}

#[test]
fn an_update_that_is_killed_while_the_new_one_starts_is_finished() {
    if differs_on_purpose("podman updates containers of systemd only") {
        return;
    }
    let lab = Lab::new();
    make(&lab, "1", "");
    lab.folder("shared");
    let health = "--health-cmd 'test -e /shared/well' --health-interval 200ms --health-retries 1000";
    lab.ok(&format!("run -d --name web {LOCAL} {health} -v ./shared:/shared {APP} idle"));
    let old = lab.inspect("web", "{{.Id}}");
    make(&lab, "2", "");
    interrupted(&lab, |lab| {
        // For a moment, while the two change places, the name is nobody's.
        let words = ["container", "inspect", "--format", "{{.Id}} {{.State.Status}}", "web"];
        eventually("the new one runs", || {
            let shown = lab.creel_words(&words).run().out();
            shown.ends_with(" running") && !shown.starts_with(&old)
        });
    });
    assert_eq!(lab.ok("exec web cat /version"), "2");
    assert_eq!(lab.ok("ps -a -q").lines().count(), 2);
    // The old one waits: it is neither pruned nor started at boot.
    lab.ok("container prune -f");
    assert_eq!(lab.ok("ps -a -q").lines().count(), 2);
    lab.write("shared/well", "");
    let outcome = lab.creel("auto-update --format '{{.Updated}}'").run();
    assert_eq!(outcome.ok(), "false");
    assert!(outcome.err().contains("web: an update that was interrupted is finished"), "{outcome}");
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "web");
    assert_eq!(lab.ok("exec web cat /version"), "2");
}

#[test]
fn a_registry_is_asked_for_news() {
    if differs_on_purpose("podman updates containers of systemd only") {
        return;
    }
    let lab = Lab::empty();
    let Some(registry) = Registry::start(&lab, Guarded::Password) else { return };
    let version = |number: u32| -> Draft { box_with(json!({ "Labels": { "version": number.to_string() } })) };
    registry.put(&version(1), "app:latest", Compression::Gzip);
    let name = registry.name("app");
    lab.ok(&format!("login --tls-verify=false --authfile auth.json -u alice -p 'open sesame' {name}"));
    let auth = format!("--label io.containers.autoupdate.authfile={}", lab.path("auth.json").display());
    lab.ok(&format!(
        "run -d --name web --network none --tls-verify=false --authfile auth.json --label io.containers.autoupdate=registry {auth} {name} idle"
    ));
    let looked = |flags: &str| outcomes(&lab, &format!("--tls-verify=false {flags}"));
    assert_eq!(looked(""), pairs(&[("web", "false")]));
    // The same image in another dress is no news.
    registry.put(&version(1), "app:latest", Compression::Zstd);
    assert_eq!(looked("--dry-run"), pairs(&[("web", "false")]));
    registry.put(&version(2), "app:latest", Compression::Gzip);
    let images = lab.ok("images -q");
    assert_eq!(looked("--dry-run"), pairs(&[("web", "pending")]));
    assert_eq!(lab.ok("images -q"), images);
    assert_eq!(looked(""), pairs(&[("web", "true")]));
    assert_eq!(lab.inspect("web", "{{.Config.Labels.version}} {{.Image}}"), format!("2 {}", version(2).id()));
    // One that cannot be asked keeps nobody else waiting, and changes nothing.
    lab.ok(&format!("run -d --name blind --network none --label io.containers.autoupdate=registry {name} idle"));
    registry.put(&version(3), "app:latest", Compression::Gzip);
    let line = "auto-update --tls-verify=false --format '{{.ContainerName}} {{.Policy}} {{.Updated}}'";
    let outcome = lab.creel(line).run();
    assert_eq!(outcome.code(125), "web registry true\nblind registry failed");
    assert!(outcome.err().contains("checking image updates for container"), "{outcome}");
    assert_eq!(lab.inspect("blind", "{{.Config.Labels.version}}"), "2");
}

#[test]
fn a_unit_of_systemd_is_restarted_and_goes_back_where_it_fails() {
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/user");
    crate::limits::in_machine(
        "a_unit_of_systemd_is_restarted_and_goes_back_where_it_fails",
        &format!(
            r#"
        make() {{ $creel run --name making --network none $image sh -c "$1"; $creel commit -q making localhost/app; $creel rm making; }}
        is_now() {{ $creel tag $1 localhost/app; }}
        shown() {{ $creel auto-update "$@" --format '{{{{.Unit}}}} {{{{.ContainerName}}}} {{{{.Updated}}}}'; }}
        make 'echo broken > /version; rm /bin/sh'; broken=$($creel images -q localhost/app)
        make 'echo 2 > /version'; two=$($creel images -q localhost/app)
        make 'echo 1 > /version'; one=$($creel images -q localhost/app)
        mkdir -p ~/.config/systemd/user
        cat > ~/.config/systemd/user/web.service <<END
        [Service]
        Type=notify
        NotifyAccess=all
        Delegate=yes
        Environment=PODMAN_SYSTEMD_UNIT=%n
        ExecStart=$creel run -d --replace --name web --rm --cgroups split --sdnotify conmon --network none --label io.containers.autoupdate=local localhost/app sh -c "cat /version; exec idle"
        ExecStop=$creel rm -f -i -t 0 web
END
        sed -i 's/^        //' ~/.config/systemd/user/web.service
        systemctl --user daemon-reload; systemctl --user start web
        [ "$(shown)" = "web.service web false" ]
        is_now $two
        [ "$(shown --dry-run)" = "web.service web pending" ]
        [ "$(shown)" = "web.service web true" ]
        [ "$($creel exec web cat /version)" = 2 ]
        is_now $broken
        [ "$(shown)" = "web.service web rolled back" ]
        [ "$($creel exec web cat /version)" = 2 ]; systemctl --user is-active --quiet web
        is_now $broken
        if shown --rollback=false 2>said; then exit 1; fi
        grep -q 'Error: restarting unit web.service during update: error restarting systemd unit "web.service" expected "done" but received "failed"' said
        systemctl --user stop web
        # The timer's service, with a container of no unit and one of a unit that is not there.
        is_now $one
        $creel run -d --name alone --network none --label io.containers.autoupdate=local localhost/app idle
        $creel run -d --name lost --network none --label io.containers.autoupdate=local --label PODMAN_SYSTEMD_UNIT=nosuch.service localhost/app idle
        is_now $two
        if $creel auto-update 2>said; then exit 1; fi
        grep -q 'Error: restarting unit nosuch.service during rollback: Unit nosuch.service not found.' said
        $creel rm -f -t 0 lost
        # The name leads to the old image again, so there is no news for the other one.
        [ "$($creel exec alone cat /version)" = 1 ]
        is_now $two
        cp {units}/creel-auto-update.timer ~/.config/systemd/user/
        sed "s|=creel|=$creel|" {units}/creel-auto-update.service > ~/.config/systemd/user/creel-auto-update.service
        systemctl --user daemon-reload; systemctl --user start creel-auto-update.service; systemctl --user start creel-auto-update.timer
        [ "$($creel exec alone cat /version)" = 2 ]
        [ "$($creel ps --format '{{{{.Names}}}} {{{{.State}}}}')" = "alone running" ]
        systemctl --user stop creel-auto-update.timer
        $creel rm -f -t 0 alone"#
        ),
    );
}

#[test]
fn what_was_played_is_updated_as_whoever_keeps_it_does_it() {
    if differs_on_purpose("podman updates containers of systemd only") {
        return;
    }
    let lab = Lab::new();
    make(&lab, "1", "");
    let template = |name: &str| {
        format!(
            "metadata: {{ name: {name}, labels: {{ app: {name} }}, annotations: {{ io.containers.autoupdate: local }} }}\n  \
             spec: {{ containers: [{{ name: one, image: '{APP}:latest', command: [idle] }}] }}\n"
        )
    };
    let pod = template("pod").replace("\n  spec", "\nspec");
    let workload =
        template("workload").replace("metadata", "  template:\n    metadata").replace("\n  spec", "\n    spec");
    lab.write(
        "played.yaml",
        format!(
            "apiVersion: v1\nkind: Pod\n{pod}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: workload }}\nspec:\n  \
             replicas: 2\n  selector: {{ matchLabels: {{ app: workload }} }}\n{workload}"
        ),
    );
    lab.ok("kube play played.yaml");
    make(&lab, "2", "");
    let mut seen = outcomes(&lab, "");
    seen.sort();
    assert_eq!(seen, pairs(&[("pod-one", "true"), ("workload-1-one", "true"), ("workload-2-one", "true")]));
    lab.ok("kube rollout status deployment/workload");
    let images = lab.ok("ps --filter label=io.containers.autoupdate --format {{.ImageID}}");
    let new = lab.ok(&format!("images -q {APP}"));
    assert_eq!(images.lines().collect::<Vec<_>>(), [&new; 3]);
    assert!(lab.ok("kube play played.yaml").starts_with("pod/pod unchanged\n"));
    lab.ok("kube down played.yaml");
    assert_eq!(lab.ok("ps -a -q"), "");
}
