//! `--hooks-dir`: programs of the user's that see containers at fixed moments; `--runtime`: another OCI runtime.

use crate::lab::{Lab, eventually, is_podman, skip};

/// A hook that writes what it hears to a file named after its stage.
fn lab_with_hooks() -> Lab {
    let lab = Lab::new();
    let out = lab.folder("heard");
    let hook = lab.executable("hook", &format!("#!/bin/sh\ncat > {}/$1\n", out.display()));
    for stage in ["createRuntime", "poststart", "poststop"] {
        lab.write(
            &format!("hooks/{stage}.json"),
            format!(
                r#"{{"version": "1.0.0", "hook": {{"path": {hook:?}, "args": ["hook", "{stage}"]}},
                     "when": {{"annotations": {{"^org\\.watch$": "^(yes|oui)$"}}}}, "stages": ["{stage}"]}}"#
            ),
        );
    }
    lab
}

#[test]
fn hooks_see_the_containers_that_fit_at_their_moments() {
    let lab = lab_with_hooks();
    let dir = lab.path("hooks");
    let id = lab.ok(&format!(
        "--hooks-dir {} run -d --name one --annotation org.watch=oui --network none box sleep 1000",
        dir.display()
    ));
    let heard =
        |stage: &str| -> serde_json::Value { serde_json::from_str(&lab.read(&format!("heard/{stage}"))).unwrap() };
    assert_eq!(heard("createRuntime")["id"], id.as_str());
    assert_eq!(heard("poststart")["status"], "running");
    assert_eq!(heard("poststart")["pid"].to_string(), lab.inspect("one", "{{.State.Pid}}"));
    assert!(!lab.path("heard/poststop").exists());
    lab.ok("stop -t 0 one");
    eventually("the last hook has heard", || lab.path("heard/poststop").exists());
}

#[test]
fn hooks_do_not_see_the_others_and_a_bad_one_is_named() {
    let lab = lab_with_hooks();
    let dir = lab.path("hooks");
    lab.ok(&format!("--hooks-dir {} run --rm --annotation org.watch=no --network none box true", dir.display()));
    lab.ok(&format!("--hooks-dir {} run --rm --network none box true", lab.path("nowhere").display()));
    assert!(!lab.path("heard/createRuntime").exists());
    lab.write("hooks/bad.json", "{}");
    let told = lab.creel(&format!("--hooks-dir {} run --rm --network none box true", dir.display())).run();
    assert!(told.exit_code() >= 125 && told.err().contains("bad.json"), "{told}");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_precreate_hook_may_change_the_configuration() {
    let lab = Lab::new();
    let hook = lab.executable("hook", "#!/bin/sh\nsed 's/\"ORIGIN=image\"/\"ORIGIN=hook\"/'\n");
    lab.write(
        "hooks/change.json",
        format!(
            r#"{{"version": "1.0.0", "hook": {{"path": {hook:?}}}, "when": {{"always": true}}, "stages": ["precreate"]}}"#
        ),
    );
    let line = format!("--hooks-dir {} run --rm --network none box sh -c 'echo $ORIGIN'", lab.path("hooks").display());
    assert_eq!(lab.ok(&line), "hook");
}

#[test]
fn another_runtime_runs_the_container() {
    let Some(name) = ["crun", "runc"].into_iter().find(|name| {
        ["/usr/bin", "/usr/sbin", "/usr/local/bin"].iter().any(|dir| std::path::Path::new(dir).join(name).exists())
    }) else {
        return skip("neither crun nor runc on this machine");
    };
    let lab = Lab::new();
    let run = format!("--runtime {name} run");
    assert_eq!(lab.ok(&format!("{run} --rm --network none box echo hello")), "hello");
    assert_eq!(lab.creel(&format!("{run} --rm --network none box sh -c 'exit 3'")).run().exit_code(), 3);
    assert_eq!(lab.creel(&format!("{run} --rm --network none box nosuch")).run().exit_code(), 127);
    lab.ok(&format!("{run} -d --name one --network none box idle"));
    assert_eq!(lab.ok("exec one echo inside"), "inside");
    if !is_podman() {
        assert!(lab.inspect("one", "{{.OCIRuntime}}").ends_with(name));
    }
    lab.ok("restart -t 0 one");
    assert_eq!(lab.state("one"), "running");
    lab.ok("rm -f -t 0 one");
    assert_eq!(
        lab.creel("--runtime nosuch run --rm --network none box true").run().fails(125).lines().next(),
        Some("Error: default OCI runtime \"nosuch\" not found: invalid argument")
    );
}
