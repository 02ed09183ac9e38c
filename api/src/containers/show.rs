//! What there is: lists and inspections, in Docker's shape.

use serde_json::{Map, Value, json};

use super::endpoint;
use crate::call::{Call, Reply};
use crate::creel::{Result, Words};
use crate::json::{at, digest, list as elements, members, number, object, text, texts};
use crate::networks::shown_name;

/// Docker's word for a state.
fn state(word: &str) -> &str {
    match word {
        "initialized" | "configured" => "created",
        "stopped" | "stopping" => "exited",
        other => other,
    }
}

pub(crate) fn list(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["ps", "--format=json", "--no-trunc"]);
    let filters = call.filters()?;
    // As Docker's: a status that is asked for is looked for among all.
    words.set(
        "all",
        call.asks("all") || call.query("limit").is_some() || filters.iter().any(|(key, _)| key == "status"),
    );
    words
        .set("size", call.asks("size"))
        .flag("last", call.query("limit").filter(|limit| *limit != "0" && *limit != "-1"));
    for (key, value) in filters {
        words.flag("filter", Some(format!("{key}={value}")));
    }
    let found = call.creel.json(&words)?;
    Reply::json(&found.as_array().into_iter().flatten().map(row).collect())
}

/// As lists and `/system/df` show it.
pub(crate) fn row(container: &Value) -> Value {
    let names: Vec<String> = texts(container, "Names").iter().map(|name| format!("/{name}")).collect();
    let ports: Vec<Value> = elements(container, "Ports").iter().flat_map(ports).collect();
    let networks: Map<String, Value> =
        texts(container, "Networks").iter().map(|name| (shown_name(name).to_owned(), endpoint(&Value::Null))).collect();
    let mode = networks.keys().next().map_or("default", String::as_str).to_owned();
    let mounts: Vec<Value> = texts(container, "Mounts").iter().map(|path| json!({ "Destination": path })).collect();
    json!({
        "Id": text(container, "Id"),
        "Names": names,
        "Image": text(container, "Image"),
        "ImageID": digest(text(container, "ImageID")),
        "Command": texts(container, "Command").join(" "),
        "Created": number(container, "Created"),
        "Ports": ports,
        "SizeRw": at(container, &["Size", "rwSize"]),
        "SizeRootFs": at(container, &["Size", "rootFsSize"]),
        "Labels": container.get("Labels").filter(|labels| labels.is_object()).cloned().unwrap_or_else(|| json!({})),
        "State": state(text(container, "State")),
        "Status": text(container, "Status"),
        "HostConfig": { "NetworkMode": mode },
        "NetworkSettings": { "Networks": networks },
        "Mounts": mounts,
    })
}

/// A range of ports as one entry each.
fn ports(range: &Value) -> impl Iterator<Item = Value> {
    let ip = match text(range, "host_ip") {
        "" => "0.0.0.0",
        ip => ip,
    };
    let (inside, outside) = (number(range, "container_port"), number(range, "host_port"));
    let protocol = text(range, "protocol");
    (0..number(range, "range").max(1)).map(move |offset| {
        json!({ "IP": ip, "PrivatePort": inside + offset, "PublicPort": outside + offset, "Type": protocol })
    })
}

pub(crate) fn inspect(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["container", "inspect"]);
    words.set("size", call.asks("size"));
    let found = call.creel.json(words.names([call.name()]))?;
    let found = found.get(0).unwrap_or(&Value::Null);
    let mut shown = shape(found);
    shown["ExecIDs"] = crate::exec::ids_of(call, text(found, "Id"));
    Reply::json(&shown)
}

fn shape(found: &Value) -> Value {
    let mut config = object(at(found, &["Config"]).clone());
    // What Podman adds, Docker's clients do not know.
    for key in ["Annotations", "CreateCommand", "Umask", "Timeout", "Passwd", "sdNotifyMode", "ExposedPortsList"] {
        config.remove(key);
    }
    for (key, value) in [
        ("AttachStdin", json!(false)),
        ("AttachStdout", json!(true)),
        ("AttachStderr", json!(true)),
        ("StdinOnce", json!(false)),
        ("Domainname", json!("")),
        ("OnBuild", Value::Null),
        ("Volumes", Value::Null),
    ] {
        config.entry(key).or_insert(value);
    }
    config.insert("Image".into(), text(found, "ImageName").into());
    if config.get("Entrypoint").is_some_and(Value::is_string) {
        let words = text(&Value::Object(config.clone()), "Entrypoint").to_owned();
        config.insert("Entrypoint".into(), if words.is_empty() { Value::Null } else { json!([words]) });
    }
    let exposed = exposed(found);
    if !exposed.is_empty() {
        config.insert("ExposedPorts".into(), Value::Object(exposed));
    }
    let settings = at(found, &["NetworkSettings"]);
    let networks: Map<String, Value> =
        members(settings, "Networks").map(|(name, network)| (shown_name(name).to_owned(), endpoint(network))).collect();
    let mut host = object(at(found, &["HostConfig"]).clone());
    host.entry("RestartPolicy").or_insert_with(|| json!({ "Name": "no", "MaximumRetryCount": 0 }));
    // Clients read logs only of drivers that they know; this is the one which keeps a file.
    if host.get("LogConfig").is_some_and(|log| text(log, "Type") == "k8s-file") {
        host["LogConfig"]["Type"] = "json-file".into();
    }
    let first = networks.values().next().cloned().unwrap_or_else(|| settings.clone());
    json!({
        "Id": text(found, "Id"),
        "Created": text(found, "Created"),
        "Path": text(found, "Path"),
        "Args": texts(found, "Args"),
        "State": life(at(found, &["State"])),
        "Image": digest(text(found, "Image")),
        "ResolvConfPath": text(found, "ResolvConfPath"),
        "HostnamePath": text(found, "HostnamePath"),
        "HostsPath": text(found, "HostsPath"),
        "LogPath": at(found, &["HostConfig", "LogConfig", "Path"]),
        "Name": format!("/{}", text(found, "Name")),
        "RestartCount": number(found, "RestartCount"),
        "Driver": text(found, "Driver"),
        "Platform": "linux",
        "MountLabel": text(found, "MountLabel"),
        "ProcessLabel": text(found, "ProcessLabel"),
        "AppArmorProfile": text(found, "AppArmorProfile"),
        "HostConfig": host,
        "GraphDriver": at(found, &["GraphDriver"]),
        "SizeRw": at(found, &["SizeRw"]),
        "SizeRootFs": at(found, &["SizeRootFs"]),
        "Mounts": at(found, &["Mounts"]),
        "Config": config,
        "NetworkSettings": {
            "Bridge": "",
            "SandboxID": text(settings, "SandboxID"),
            "SandboxKey": text(settings, "SandboxKey"),
            "Ports": at(settings, &["Ports"]).as_object().cloned().unwrap_or_default(),
            "Gateway": text(&first, "Gateway"),
            "IPAddress": text(&first, "IPAddress"),
            "IPPrefixLen": number(&first, "IPPrefixLen"),
            "IPv6Gateway": text(&first, "IPv6Gateway"),
            "GlobalIPv6Address": text(&first, "GlobalIPv6Address"),
            "GlobalIPv6PrefixLen": number(&first, "GlobalIPv6PrefixLen"),
            "MacAddress": text(&first, "MacAddress"),
            "Networks": networks,
        },
    })
}

/// Every port that is published or named by the image, as `{"80/tcp": {}}`.
fn exposed(found: &Value) -> Map<String, Value> {
    let of = |value: &Value| match value {
        Value::Object(ports) => ports.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let mut names = of(at(found, &["Config", "ExposedPorts"]));
    names.extend(of(at(found, &["NetworkSettings", "Ports"])));
    names.into_iter().map(|name| (name, json!({}))).collect()
}

fn life(found: &Value) -> Value {
    let word = state(text(found, "Status"));
    let mut life = json!({
        "Status": word,
        "Running": matches!(word, "running" | "paused"),
        "Paused": word == "paused",
        "Restarting": word == "restarting",
        "OOMKilled": at(found, &["OOMKilled"]).as_bool().unwrap_or_default(),
        "Dead": false,
        "Pid": number(found, "Pid"),
        "ExitCode": number(found, "ExitCode"),
        "Error": text(found, "Error"),
        "StartedAt": text(found, "StartedAt"),
        "FinishedAt": text(found, "FinishedAt"),
    });
    let health = at(found, &["Health"]);
    if !text(health, "Status").is_empty() {
        life["Health"] = health.clone();
    }
    life
}

pub(crate) fn top(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["top"]);
    words.names([call.name()]);
    // Flags of ps(1) that Docker's clients send are columns of Podman's.
    words.word("user,pid,ppid,pcpu,etime,tty,time,args");
    let table = call.creel.run(&words)?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let titles = rows.next().unwrap_or_default();
    let processes: Vec<Vec<String>> = rows
        .map(|row| {
            let last = titles.len().saturating_sub(1).min(row.len());
            let mut cells: Vec<String> = row[..last].iter().map(|cell| (*cell).to_owned()).collect();
            cells.push(row[last..].join(" "));
            cells
        })
        .collect();
    Reply::json(&json!({ "Titles": titles, "Processes": processes }))
}

pub(crate) fn changes(call: &mut Call<'_>) -> Result<Reply> {
    let found = call.creel.json(Words::new(&["container", "diff", "--format=json"]).names([call.name()]))?;
    let mut rows = Vec::new();
    for (word, kind) in [("changed", 0), ("added", 1), ("deleted", 2)] {
        rows.extend(texts(&found, word).iter().map(|path| json!({ "Path": path, "Kind": kind })));
    }
    Reply::json(&rows.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_is_one_entry_each() {
        let range = json!({ "host_ip": "", "container_port": 80, "host_port": 8080, "range": 2, "protocol": "tcp" });
        let found: Vec<Value> = ports(&range).collect();
        assert_eq!(found[1], json!({ "IP": "0.0.0.0", "PrivatePort": 81, "PublicPort": 8081, "Type": "tcp" }));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn an_inspection_has_dockers_shape() {
        let shown = shape(&json!({
            "Id": "1", "Name": "web", "Image": "ab", "ImageName": "localhost/x:latest",
            "State": { "Status": "initialized", "Health": { "Status": "" } },
            "Config": { "Entrypoint": "a", "CreateCommand": [] },
            "NetworkSettings": { "Ports": { "80/tcp": null }, "Networks": { "n": { "IPAddress": "10.0.0.2" } } },
        }));
        assert_eq!(shown["Name"], "/web");
        assert_eq!(shown["State"]["Status"], "created");
        assert_eq!(shown["State"].get("Health"), None);
        assert_eq!(shown["Image"], "sha256:ab");
        assert_eq!(shown["Config"]["Entrypoint"], json!(["a"]));
        assert_eq!(shown["Config"]["ExposedPorts"], json!({ "80/tcp": {} }));
        assert_eq!(shown["NetworkSettings"]["IPAddress"], "10.0.0.2");
    }
}
