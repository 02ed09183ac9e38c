//! `system service`: Docker's API, as its clients speak it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{Background, Lab, differs_on_purpose, eventually, free_port, is_podman};

struct Service {
    path: PathBuf,
    process: Background,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Each line that is JSON.
    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
        self
    }
}

impl Service {
    fn start(lab: &Lab) -> Service {
        // A socket's path has 108 bytes.
        let path = lab.runtime().join("api.sock");
        let process = lab.creel(&format!("system service --time 0 unix://{}", path.display())).spawn();
        eventually("the service listens", || UnixStream::connect(&path).is_ok());
        Service { path, process }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    fn send(&self, method: &str, path: &str, body: &[u8], kind: &str) -> Answer {
        let mut stream = self.connect();
        let head = format!(
            "{method} /v1.41{path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // One that answers before it has read everything may have closed already.
        let _ = stream.write_all(body);
        read_answer(&mut BufReader::new(stream), method == "HEAD")
    }

    fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"", "text/plain")
    }

    fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, b"", "text/plain")
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send("POST", path, body.as_bytes(), "application/json")
    }

    /// Makes a container of `box`; its id.
    fn create(&self, name: &str, wanted: Value) -> String {
        let mut config = json!({ "Image": "localhost/box:latest", "HostConfig": { "NetworkMode": "none" } });
        for (key, value) in wanted.as_object().unwrap() {
            config[key] = value.clone();
        }
        let made = self.post(&format!("/containers/create?name={name}"), config).is(201).json();
        made["Id"].as_str().unwrap().to_owned()
    }

    /// A connection that has become that of a container's streams.
    fn hijack(&self, path: &str, body: &Value) -> BufReader<UnixStream> {
        let mut stream = self.connect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "POST /v1.41{path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let head = read_head(&mut reader);
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        reader
    }

    fn end(self) {
        self.process.signal(nix::sys::signal::Signal::SIGTERM);
        self.process.end().ok();
        assert!(!self.path.exists(), "the socket is left");
    }
}

fn read_head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the answer ends in its head: {head}");
    }
    head
}

fn read_answer(reader: &mut impl BufRead, is_head: bool) -> Answer {
    let head = read_head(reader);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let lower = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if !is_head && lower.contains("transfer-encoding: chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).unwrap();
            let size =
                u64::from_str_radix(size.trim(), 16).unwrap_or_else(|_| panic!("cut off: {size:?} after {body:?}"));
            reader.take(size).read_to_end(&mut body).unwrap();
            reader.read_line(&mut String::new()).unwrap();
            if size == 0 {
                break;
            }
        }
    } else if !is_head && let Some(length) = lower.split("content-length: ").nth(1) {
        let length = length.lines().next().unwrap().trim().parse().unwrap();
        reader.take(length).read_to_end(&mut body).unwrap();
    }
    Answer { status, head, body }
}

/// What came of each stream, taken out of its frames.
fn unframed(mut bytes: &[u8]) -> (String, String) {
    let mut streams = [String::new(), String::new()];
    while let [kind, _, _, _, a, b, c, d, rest @ ..] = bytes {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        streams[usize::from(*kind) - 1].push_str(std::str::from_utf8(&rest[..length]).unwrap());
        bytes = &rest[length..];
    }
    let [out, err] = streams;
    (out, err)
}

#[test]
fn the_service_says_what_it_is() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    let ping = service.get("/_ping").is(200);
    assert_eq!(ping.text(), "OK");
    assert!(ping.head.to_lowercase().contains("api-version: 1.44"), "{}", ping.head);
    let version = service.get("/version").is(200).json();
    assert_eq!(
        (&version["ApiVersion"], &version["MinAPIVersion"], &version["Os"]),
        (&json!("1.44"), &json!("1.24"), &json!("linux"))
    );
    let info = service.get("/info").is(200).json();
    assert_eq!((&info["OSType"], &info["Containers"]), (&json!("linux"), &json!(0)));
    assert_eq!(service.get("/nothing/of/that/name").status, 404);
    service.end();
}

#[test]
fn it_ends_when_nobody_needs_it_and_replaces_a_dead_socket() {
    let lab = Lab::empty();
    let path = lab.runtime().join("s.sock");
    let uri = format!("unix://{}", path.display());
    let first = lab.creel(&format!("system service --time 0 {uri}")).spawn();
    eventually("it listens", || UnixStream::connect(&path).is_ok());
    if !differs_on_purpose("two services at one socket: the second takes the path away from the first") {
        lab.creel(&format!("system service --time 1 {uri}")).run().fails(125);
    }
    first.signal(nix::sys::signal::Signal::SIGKILL);
    assert_ne!(first.end().exit_code(), 0);
    assert!(path.exists());
    lab.creel(&format!("system service --time 1 {uri}")).within(20).run().ok();
    assert!(!path.exists());
}

#[test]
fn mistakes_on_the_command_line_are_said() {
    let lab = Lab::empty();
    for (line, words) in [
        ("system service --time x", "invalid argument \"x\""),
        ("system service a b", "accepts at most 1 arg(s), received 2"),
        ("system service foo://bar", "endpoint scheme \"foo\" is not supported"),
        ("system service /tmp/x.sock", "endpoint scheme \"\" is not supported"),
        ("system service unix:///no/such/dir/x.sock", "unable to create socket"),
    ] {
        let outcome = lab.creel(line).run();
        let text = outcome.fails(125);
        assert!(text.contains(words), "{line}: {text}");
    }
}

#[test]
fn a_container_lives_through_its_requests() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    let id = service.create(
        "web",
        json!({ "Cmd": ["sleep", "1000"], "Env": ["A=b"], "Labels": { "x": "y" }, "WorkingDir": "/", "StopTimeout": 0 }),
    );
    let shown = service.get("/containers/web/json").is(200).json();
    assert_eq!(
        (&shown["Id"], &shown["Name"], &shown["State"]["Status"]),
        (&json!(id), &json!("/web"), &json!("created"))
    );
    assert_eq!((&shown["Path"], &shown["Args"]), (&json!("sleep"), &json!(["1000"])));
    assert!(shown["Config"]["Env"].as_array().unwrap().contains(&json!("A=b")), "{shown}");
    service.post("/containers/web/start", Value::Null).is(204);
    service.post("/containers/web/start", Value::Null).is(304);
    let rows = service.get("/containers/json?filters=%7B%22label%22%3A%5B%22x%3Dy%22%5D%7D").is(200).json();
    assert_eq!((&rows[0]["Names"], &rows[0]["State"]), (&json!(["/web"]), &json!("running")));
    assert_eq!(service.get("/containers/json?filters=%7B%22label%22%3A%5B%22x%3Dz%22%5D%7D").json(), json!([]));
    service.delete("/containers/web").is(conflict());
    service.post("/containers/web/rename?name=other", Value::Null).is(204);
    service.post("/containers/other/stop?t=0", Value::Null).is(204);
    service.post("/containers/other/stop?t=0", Value::Null).is(304);
    let ended = service.post("/containers/other/wait", Value::Null).is(200).json();
    assert_eq!(ended["StatusCode"], 137);
    service.delete("/containers/other").is(204);
    let missing = service.get("/containers/other/json").is(404).json();
    assert!(missing["message"].as_str().unwrap().contains("no such container"), "{missing}");
    service.end();
}

/// For what the state of a container forbids: Docker's documented status. Podman has one for all errors.
fn conflict() -> u16 {
    if is_podman() { 500 } else { 409 }
}

#[test]
fn what_cannot_be_made_is_refused_with_its_status() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    service.post("/containers/create", json!({ "Image": "nowhere:1" })).is(404);
    if !differs_on_purpose("a body that is no JSON is the client's mistake: 400, not 500") {
        service.send("POST", "/containers/create", b"{bad", "application/json").is(400);
    }
    service.create("taken", json!({}));
    service.post("/containers/create?name=taken", json!({ "Image": "localhost/box:latest" })).is(conflict());
    assert_eq!(lab.ok("ps -a --format {{.Names}}"), "taken");
    let id = service.create("broken", json!({ "Cmd": ["nosuchprogram"] }));
    let refused = service.post(&format!("/containers/{id}/start"), Value::Null);
    assert!(refused.status >= 400, "{}", refused.text());
    assert!(refused.json()["message"].as_str().unwrap().contains("nosuchprogram"), "{}", refused.text());
    service.end();
}

#[test]
fn a_client_that_attaches_before_the_start_misses_nothing() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    let script = "cat; echo err >&2; exit 3";
    let id = service.create(
        "one",
        json!({ "Cmd": ["sh", "-c", script], "OpenStdin": true, "StdinOnce": true, "AttachStdin": true }),
    );
    let mut streams =
        service.hijack(&format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1"), &Value::Null);
    // All of it is said before there is anybody to hear it.
    streams.get_ref().write_all(b"all that is said\n").unwrap();
    streams.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    let mut waiting = service.connect();
    let head = format!(
        "POST /v1.41/containers/{id}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
    );
    waiting.write_all(head.as_bytes()).unwrap();
    service.post(&format!("/containers/{id}/start"), Value::Null).is(204);
    let mut bytes = Vec::new();
    streams.read_to_end(&mut bytes).unwrap();
    assert_eq!(unframed(&bytes), ("all that is said\n".into(), "err\n".into()));
    let ended = read_answer(&mut BufReader::new(waiting), false).is(200).json();
    assert_eq!(ended["StatusCode"], 3);
    let logs = service.get("/containers/one/logs?stdout=1&stderr=1").is(200);
    assert_eq!(unframed(&logs.body), ("all that is said\n".into(), "err\n".into()));
    let only = service.get("/containers/one/logs?stderr=1").is(200);
    assert_eq!(unframed(&only.body), (String::new(), "err\n".into()));
    service.get("/containers/one/logs").is(400);
    service.end();
}

#[test]
fn a_container_that_goes_by_itself_is_waited_for_to_the_end() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    for round in 0..5 {
        let host = json!({ "AutoRemove": true, "NetworkMode": "none" });
        let id = service.create("gone", json!({ "Cmd": ["sh", "-c", format!("exit {round}")], "HostConfig": host }));
        let mut waiting = service.connect();
        let head = format!(
            "POST /v1.41/containers/{id}/wait?condition=removed HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
        );
        waiting.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(waiting);
        if !crate::lab::is_podman() {
            // Its head says that it is waited for.
            assert!(!reader.fill_buf().unwrap().is_empty());
        }
        service.post(&format!("/containers/{id}/start"), Value::Null).is(204);
        assert_eq!(read_answer(&mut reader, false).is(200).json()["StatusCode"], round);
    }
    assert_eq!(lab.ok("ps -aq"), "");
    service.end();
}

#[test]
fn programs_run_in_a_container_with_and_without_a_terminal() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    let id = service.create("one", json!({ "Cmd": ["sleep", "1000"] }));
    service.post(&format!("/containers/{id}/start"), Value::Null).is(204);
    let exec = |config: Value| {
        let made = service.post("/containers/one/exec", config).is(201).json();
        made["Id"].as_str().unwrap().to_owned()
    };
    let session = exec(
        json!({ "Cmd": ["sh", "-c", "cat; echo $B; exit 5"], "Env": ["B=c"], "AttachStdin": true, "AttachStdout": true, "AttachStderr": true }),
    );
    assert_eq!(service.get(&format!("/exec/{session}/json")).is(200).json()["Running"], false);
    let mut streams = service.hijack(&format!("/exec/{session}/start"), &json!({ "Detach": false, "Tty": false }));
    streams.get_ref().write_all(b"in\n").unwrap();
    streams.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    streams.read_to_end(&mut bytes).unwrap();
    assert_eq!(unframed(&bytes).0, "in\nc\n");
    let shown = service.get(&format!("/exec/{session}/json")).is(200).json();
    assert_eq!((&shown["ExitCode"], &shown["Running"], &shown["ContainerID"]), (&json!(5), &json!(false), &json!(id)));

    let session = exec(
        json!({ "Cmd": ["sh", "-c", "read x; stty size; test -t 0 && echo terminal"], "Tty": true, "AttachStdin": true, "AttachStdout": true }),
    );
    let mut streams = service.hijack(&format!("/exec/{session}/start"), &json!({ "Detach": false, "Tty": true }));
    service.post(&format!("/exec/{session}/resize?h=12&w=34"), Value::Null);
    streams.get_ref().write_all(b"\n").unwrap();
    let mut bytes = Vec::new();
    let _ = streams.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).replace('\r', "");
    assert!(text.ends_with("12 34\nterminal\n"), "{text:?}");

    let session = exec(json!({ "Cmd": ["touch", "/made"] }));
    service.post(&format!("/exec/{session}/start"), json!({ "Detach": true })).is(200);
    eventually("the program has run", || lab.creel("exec one test -e /made").run().exit_code() == 0);
    service.post("/exec/nosuch/start", json!({})).is(404);
    service.post("/containers/one/kill", Value::Null).is(204);
    service.post("/containers/one/wait", Value::Null).is(200);
    service.post("/containers/one/exec", json!({ "Cmd": ["true"] })).is(conflict());
    service.end();
    if is_podman() {
        // It keeps a process for each exec for some minutes.
        lab.kill_what_is_left();
    }
}

#[test]
fn files_go_in_and_out_as_archives() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    service.create("one", json!({}));
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(7);
    header.set_mode(0o640);
    archive.append_data(&mut header, "made", &b"content"[..]).unwrap();
    service
        .send("PUT", "/containers/one/archive?path=/etc", &archive.into_inner().unwrap(), "application/x-tar")
        .is(200);
    let stat = service.send("HEAD", "/containers/one/archive?path=/etc/made", b"", "text/plain").is(200);
    assert!(stat.head.to_lowercase().contains("x-docker-container-path-stat: "), "{}", stat.head);
    let sent = service.get("/containers/one/archive?path=/etc/made").is(200);
    let mut archive = tar::Archive::new(&sent.body[..]);
    let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
    let mut text = String::new();
    entry.read_to_string(&mut text).unwrap();
    assert_eq!((entry.path().unwrap().to_str().unwrap(), text.as_str()), ("made", "content"));
    service.get("/containers/one/archive?path=/etc/nothing").is(404);
    let whole = service.get("/containers/one/export").is(200);
    let mut archive = tar::Archive::new(&whole.body[..]);
    assert!(archive.entries().unwrap().any(|entry| entry.unwrap().path().unwrap().ends_with("etc/made")));
    service.end();
}

#[test]
fn images_are_listed_tagged_saved_loaded_built_and_removed() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    let rows = service.get("/images/json").is(200).json();
    assert_eq!(rows[0]["RepoTags"], json!(["localhost/box:latest"]));
    let id = rows[0]["Id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(service.get("/images/localhost/box/json").is(200).json()["Id"], json!(id));
    assert!(service.get("/images/localhost/box/history").is(200).json()[0]["Created"].as_i64().is_some());
    service.post("/images/localhost/box/tag?repo=localhost/other&tag=1", Value::Null).is(201);
    let archive = service.get("/images/localhost/other:1/get").is(200).body;
    service.delete("/images/localhost/other:1").is(200);
    service.get("/images/localhost/other:1/json").is(404);
    let loaded = service.send("POST", "/images/load", &archive, "application/x-tar").is(200).lines();
    assert!(
        loaded.iter().any(|line| line["stream"].as_str().unwrap_or_default().contains("localhost/other:1")),
        "{loaded:?}"
    );

    let mut context = tar::Builder::new(Vec::new());
    let text = b"FROM localhost/box:latest\nARG WORD\nRUN echo $WORD > /made\nLABEL a=b\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    context.append_data(&mut header, "Dockerfile", &text[..]).unwrap();
    let context = context.into_inner().unwrap();
    let built = service
        .send(
            "POST",
            "/build?t=localhost/built&buildargs=%7B%22WORD%22%3A%22hello%22%7D",
            &context,
            "application/x-tar",
        )
        .is(200)
        .lines();
    assert!(
        built.iter().any(|line| line["aux"]["ID"].as_str().is_some_and(|id| id.starts_with("sha256:"))),
        "{built:?}"
    );
    assert_eq!(lab.ok("run --rm --network none localhost/built cat /made"), "hello");
    let failed = service.send("POST", "/build?dockerfile=nowhere", &context, "application/x-tar");
    let said = failed.lines();
    assert!(failed.status >= 400 || said.iter().any(|line| line["error"].is_string()), "{said:?}");
    service.end();
}

#[test]
fn networks_and_volumes_have_dockers_shape() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    let made = service
        .post(
            "/networks/create",
            json!({ "Name": "net", "Labels": { "a": "b" }, "IPAM": { "Config": [{ "Subnet": "10.77.9.0/24" }] } }),
        )
        .is(201)
        .json();
    let shown = service.get("/networks/net").is(200).json();
    assert_eq!(
        (&shown["Id"], &shown["Name"], &shown["Driver"], &shown["Scope"]),
        (&made["Id"], &json!("net"), &json!("bridge"), &json!("local"))
    );
    assert_eq!(shown["IPAM"]["Config"][0]["Subnet"], "10.77.9.0/24");
    let names = |path: &str| -> Vec<String> {
        let rows = service.get(path).is(200).json();
        rows.as_array().unwrap().iter().map(|row| row["Name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names("/networks").contains(&"bridge".to_owned()), "Docker's default network has its name");
    service.get("/networks/bridge").is(200);
    let port = free_port();
    let wanted = json!({
        "Image": "localhost/box:latest", "Cmd": ["sleep", "1000"],
        "HostConfig": { "NetworkMode": "net", "PortBindings": { "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": port.to_string() }] } },
        "NetworkingConfig": { "EndpointsConfig": { "net": { "Aliases": ["web"], "IPAMConfig": { "IPv4Address": "10.77.9.9" } } } },
    });
    service.post("/containers/create?name=one", wanted).is(201);
    service.post("/containers/one/start", Value::Null).is(204);
    let shown = service.get("/containers/one/json").is(200).json();
    let on = &shown["NetworkSettings"]["Networks"]["net"];
    assert_eq!(on["IPAddress"], "10.77.9.9");
    assert!(on["Aliases"].as_array().unwrap().contains(&json!("web")), "{on}");
    assert_eq!(shown["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"], json!(port.to_string()));
    let members = service.get("/networks/net").json();
    assert_eq!(members["Containers"][shown["Id"].as_str().unwrap()]["Name"], "one");
    service.post("/networks/net/disconnect", json!({ "Container": "one" })).is(200);
    service.post("/networks/net/connect", json!({ "Container": "one" })).is(200);
    service.delete("/containers/one?force=1").is(204);
    service.delete("/networks/net").is(204);
    service.get("/networks/net").is(404);

    let volume = service.post("/volumes/create", json!({ "Name": "data", "Labels": { "x": "y" } })).is(201).json();
    assert_eq!(
        (&volume["Name"], &volume["Driver"], &volume["Labels"]["x"]),
        (&json!("data"), &json!("local"), &json!("y"))
    );
    assert_eq!(service.get("/volumes").is(200).json()["Volumes"][0]["Name"], "data");
    service.delete("/volumes/data").is(204);
    service.delete("/volumes/data").is(404);
    service.end();
}

#[test]
fn what_happens_is_told_in_dockers_words() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    lab.creel("run --rm --name one --network none box sh -c 'exit 4'").run().code(4);
    let until = now() + 1;
    let told = service
        .get(&format!("/events?since=1&until={until}&filters=%7B%22type%22%3A%5B%22container%22%5D%7D"))
        .is(200)
        .lines();
    let words: Vec<&str> = told.iter().map(|event| event["Action"].as_str().unwrap()).collect();
    for word in ["create", "start", "die"] {
        assert!(words.contains(&word), "{word} in {words:?}");
    }
    let died = told.iter().find(|event| event["Action"] == "die").unwrap();
    assert_eq!((&died["Actor"]["Attributes"]["name"], &died["Type"]), (&json!("one"), &json!("container")));
    assert!(service.get("/system/df").is(200).json()["Images"][0]["Size"].as_i64().unwrap() > 0);
    service.end();
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn clients_that_talk_nonsense_or_go_hold_up_nobody() {
    let lab = Lab::new();
    let service = Service::start(&lab);
    for nonsense in [
        "hello\r\n\r\n",
        "GET / HTTP/9\r\n\r\n",
        "POST /v1.41/build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut stream = service.connect();
        stream.write_all(nonsense.as_bytes()).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty()
                || answer.starts_with(b"HTTP/1.1 4")
                || answer.starts_with(b"HTTP/1.1 5")
                || answer.starts_with(b"HTTP/1.1 200"),
            "{nonsense:?}"
        );
    }
    // Half a request, a stream of events and one of logs whose clients go.
    let id = service.create("one", json!({ "Cmd": ["sleep", "1000"] }));
    service.post("/containers/one/start", Value::Null).is(204);
    for path in
        ["/events".to_owned(), format!("/containers/{id}/logs?stdout=1&follow=1"), format!("/containers/{id}/stats")]
    {
        let mut stream = service.connect();
        stream.write_all(format!("GET /v1.41{path} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes()).unwrap();
    }
    let _half = {
        let mut stream = service.connect();
        stream.write_all(b"GET /v1.41/inf").unwrap();
        stream
    };
    service.get("/_ping").is(200);
    service.delete("/containers/one?force=1").is(204);
    // What worked for them is gone: the guard of the test looks for processes that are left.
    service.end();
}

#[test]
fn systemd_starts_it_for_whoever_asks_first() {
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/user");
    crate::limits::in_machine(
        "systemd_starts_it_for_whoever_asks_first",
        &format!(
            r#"
        mkdir -p ~/.config/systemd/user; cp {units}/creel.socket ~/.config/systemd/user/
        sed "s|=creel|=$creel|; s|service$|service --time 1|" {units}/creel.service > ~/.config/systemd/user/creel.service
        systemctl --user daemon-reload; systemctl --user start creel.socket
        ! systemctl --user is-active --quiet creel.service
        ask() {{ curl --silent --fail --unix-socket $XDG_RUNTIME_DIR/podman/podman.sock "$@"; }}
        [ "$(ask http://d/_ping)" = OK ]; systemctl --user is-active --quiet creel.service
        made=$(ask -X POST 'http://d/containers/create?name=api' -H 'Content-Type: application/json' \
            -d "{{\"Image\":\"$image\",\"Cmd\":[\"idle\"],\"HostConfig\":{{\"NetworkMode\":\"none\"}}}}")
        ask -X POST http://d/containers/api/start
        for second in $(seq 20); do systemctl --user is-active --quiet creel.service || break; sleep 1; done
        ! systemctl --user is-active --quiet creel.service
        [ "$($creel ps --format '{{{{.Names}}}}')" = api ]
        ask http://d/containers/api/json | grep -q '"Running":true'
        $creel rm -f -t 0 api; systemctl --user stop creel.socket creel.service"#
        ),
    );
}
