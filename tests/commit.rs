//! `commit`

use crate::lab::{Lab, differs_on_purpose, files};

#[test]
fn what_a_container_wrote_becomes_an_image() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box sh -c 'echo new > /content/new; rm /content/one; chown 1000 /content/sub; ln -s new /content/link'");
    let id = lab.ok("commit -q one derived:v1");
    assert_eq!(id.len(), 64);
    assert_eq!(lab.ok("image inspect --format {{.Id}} derived:v1"), id);
    assert_eq!(
        lab.ok("run --rm --network none derived:v1 sh -c 'cat /content/link; ls /content; stat -c %u /content/sub'"),
        "new\nlink\nnew\nsub\n1000"
    );
    assert_eq!(lab.json("image inspect derived:v1")[0]["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert_eq!(lab.ok("run --rm --network none box cat /content/one"), "one");
}

#[test]
fn changes_author_and_message_are_written_down() {
    let lab = Lab::new();
    lab.ok("run --name one --network none -e A=1 -w /content box true");
    lab.creel_words(&[
        "commit",
        "-q",
        "-f",
        "docker",
        "-a",
        "Some One",
        "-m",
        "a remark",
        "-c",
        "CMD [\"echo\", \"changed\"]",
        "-c",
        "ENV B=2",
        "-c",
        "EXPOSE 80",
        "-c",
        "LABEL l=m",
        "-c",
        "USER alice",
        "-c",
        "WORKDIR /www",
        "one",
        "changed",
    ])
    .run()
    .ok();
    let json = lab.json("image inspect changed");
    let image = &json[0];
    assert_eq!(image["Author"], "Some One");
    assert_eq!(image["Config"]["Cmd"], serde_json::json!(["echo", "changed"]));
    assert_eq!(image["Config"]["User"], "alice");
    assert_eq!(image["Config"]["WorkingDir"], "/www");
    assert_eq!(image["Config"]["Labels"]["l"], "m");
    assert!(
        image["Config"]["ExposedPorts"].get("80/tcp").is_some() || image["Config"]["ExposedPorts"].get("80").is_some(),
        "{image}"
    );
    let environment = image["Config"]["Env"].as_array().unwrap();
    assert!(environment.iter().any(|entry| entry == "B=2"));
    assert_eq!(lab.ok("run --rm --network none changed"), "changed");
    lab.creel("commit -q -c 'NONSENSE x' one bad").run().fails(125);
}

#[test]
fn a_running_container_is_committed_whole() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'echo x > /mark; idle'");
    lab.log_holds("one", "ready");
    lab.ok("commit -q --pause=false one live");
    assert_eq!(lab.ok("run --rm --network none live cat /mark"), "x");
    assert_eq!(lab.state("one"), "running");
}

#[test]
fn volumes_and_secrets_stay_out() {
    let lab = Lab::new();
    lab.ok("run --name one --network none -v data:/data box sh -c 'echo x > /data/f'");
    lab.ok("commit -q one bare");
    lab.creel("run --rm --network none bare cat /data/f").run().fails(1);
    assert!(!files(&lab.home()).is_empty());
}

#[test]
fn squash_gives_one_layer_and_iidfile_the_id() {
    let lab = Lab::new();
    lab.ok("run --name one --network none box rm /content/one");
    let id = lab.ok("commit -q --squash --iidfile id one flat");
    assert!(lab.read("id").trim().ends_with(&id));
    assert_eq!(lab.json("image inspect flat")[0]["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    assert_eq!(lab.ok("run --rm --network none flat ls /content"), "sub");
    lab.creel("commit nosuch x").run().fails(125);
}

#[test]
fn anonymous_volumes_a_comment_and_a_file_of_settings_go_into_the_image() {
    let lab = Lab::new();
    lab.ok("run --name one --network none -v /data -v named:/n -v /tmp:/t box true");
    let config = |image: &str| lab.json(&format!("image inspect {image}"))[0]["Config"].clone();
    lab.ok("commit -q one plain");
    assert_eq!(config("plain")["Volumes"], serde_json::json!({ "/data": {} }));
    lab.ok("commit -q --include-volumes one all");
    assert_eq!(config("all")["Volumes"], serde_json::json!({ "/data": {}, "/n": {}, "/t": {} }));
    lab.ok("commit -q -f docker -m 'a remark' one docker");
    assert_eq!(lab.ok("image inspect --format {{.Comment}} docker"), "a remark");
    let history = lab.ok("history --format {{.Comment}} docker");
    assert_eq!(history.lines().next(), Some("FROM localhost/box:latest"));
    lab.write("settings.json", r#"{"Cmd":["from","file"],"Env":["F=1"]}"#);
    lab.ok("commit -q --config settings.json one merged");
    assert_eq!(config("merged")["Cmd"], serde_json::json!(["from", "file"]));
    let environment = config("merged")["Env"].to_string();
    assert!(environment.contains("F=1") && environment.contains("ORIGIN=image"), "{environment}");
    lab.write("broken.json", "{");
    for wrong in ["--config broken.json one x", "--config nosuch.json one x", "-f colour one x", "-c NOPE one x"] {
        lab.creel(&format!("commit -q {wrong}")).run().fails(125);
    }
    if !differs_on_purpose("CMD without a command is a slip") {
        lab.creel("commit -q -c CMD one x").run().fails(125);
    }
    assert_eq!(lab.creel("image exists x").run().exit_code(), 1);
}

#[test]
fn an_image_says_what_its_container_said() {
    let lab = Lab::new();
    lab.ok("create --name c -p 8080 -p 8081 --label k=v box sh");
    lab.ok("commit -q c made");
    let made = lab.json("image inspect made");
    let ports: Vec<&String> = made[0]["Config"]["ExposedPorts"].as_object().unwrap().keys().collect();
    assert_eq!(ports, ["8080/tcp", "8081/tcp"]);
    assert_eq!(made[0]["Config"]["WorkingDir"], "/");
    assert!(made[0]["Annotations"]["org.opencontainers.image.created"].is_string(), "{made}");
    assert_eq!(lab.ok("history --format {{.CreatedBy}} made").lines().next(), Some("/bin/sh"));
}
