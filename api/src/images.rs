//! `/images`

use std::io::{BufRead, BufReader, Write};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::credentials::Credentials;
use crate::creel::{Creel, Error, Result, Words};
use crate::json::{digest, number, some_text, text, texts};

/// A name as Docker means it: without a registry it is Docker Hub's.
pub(crate) fn docker_name(name: &str) -> String {
    if name.starts_with("sha256:") || name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return name.to_owned();
    }
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

/// The name under which an image is here: as it was said, else as Docker means it.
pub(crate) fn local_name(creel: &Creel, name: &str) -> Result<String> {
    let whole = docker_name(name);
    for candidate in [name, whole.as_str()] {
        if creel.run(Words::new(&["image", "exists"]).names([candidate])).is_ok() {
            return Ok(candidate.to_owned());
        }
    }
    Err(Error { status: 404, message: format!("No such image: {name}") })
}

/// The name that `repo=` and `tag=` ask for.
fn target(call: &Call<'_>) -> Option<String> {
    let name = docker_name(call.query("repo")?);
    Some(call.query("tag").map_or_else(|| name.clone(), |tag| format!("{name}:{tag}")))
}

pub(crate) fn list(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["images", "--format=json", "--no-trunc"]);
    words.set("all", call.asks("all"));
    call.filter(&mut words)?;
    let found = call.creel.json(&words)?;
    Reply::json(&found.as_array().into_iter().flatten().map(row).collect())
}

/// As lists and `/system/df` show it.
pub(crate) fn row(image: &Value) -> Value {
    json!({
        "Id": digest(text(image, "Id")),
        "ParentId": digest(text(image, "ParentId")),
        "RepoTags": texts(image, "Names"),
        "RepoDigests": texts(image, "RepoDigests"),
        "Created": number(image, "Created"),
        "Size": number(image, "Size"),
        "SharedSize": -1,
        "VirtualSize": number(image, "Size"),
        "Labels": image.get("Labels").cloned().unwrap_or(Value::Null),
        "Containers": number(image, "Containers"),
    })
}

pub(crate) fn inspect(call: &mut Call<'_>) -> Result<Reply> {
    let name = local_name(call.creel, call.name())?;
    let found = call.creel.json(Words::new(&["image", "inspect"]).names([name.as_str()]))?;
    let mut image = found.get(0).cloned().unwrap_or(Value::Null);
    image["Id"] = digest(text(&image, "Id")).into();
    image["Parent"] = digest(text(&image, "Parent")).into();
    for key in ["RepoTags", "RepoDigests"] {
        image[key] = json!(texts(&image, key));
    }
    image["Metadata"] = json!({ "LastTagTime": "0001-01-01T00:00:00Z" });
    Reply::json(&image)
}

pub(crate) fn history(call: &mut Call<'_>) -> Result<Reply> {
    let name = local_name(call.creel, call.name())?;
    let found = call.creel.json(Words::new(&["history", "--format=json", "--no-trunc"]).names([name.as_str()]))?;
    let rows = found.as_array().into_iter().flatten().map(|layer| {
        let id = some_text(layer, "id").filter(|id| *id != "<missing>").map_or("<missing>".to_owned(), digest);
        json!({
            "Id": id,
            "Created": text(layer, "created").parse::<Timestamp>().ok().map(Timestamp::as_second),
            "CreatedBy": text(layer, "CreatedBy"),
            "Tags": layer.get("tags").cloned().unwrap_or(Value::Null),
            "Size": number(layer, "size"),
            "Comment": text(layer, "comment"),
        })
    });
    Reply::json(&rows.collect())
}

pub(crate) fn tag(call: &mut Call<'_>) -> Result<Reply> {
    let name = local_name(call.creel, call.name())?;
    let target = target(call).ok_or_else(|| Error::bad("no repository is named: repo is empty"))?;
    call.creel.run(Words::new(&["tag"]).names([name.as_str(), target.as_str()]))?;
    Reply::empty(201)
}

pub(crate) fn remove(call: &mut Call<'_>) -> Result<Reply> {
    let name = local_name(call.creel, call.name())?;
    let mut words = Words::new(&["rmi"]);
    words.set("force", call.asks("force")).set("no-prune", call.asks("noprune"));
    let printed = call.creel.run(words.names([name.as_str()]))?;
    let rows = printed.lines().map(|line| match line.strip_prefix("Untagged: ") {
        Some(name) => json!({ "Untagged": name }),
        None => json!({ "Deleted": digest(line.trim_start_matches("Deleted: ")) }),
    });
    Reply::json(&rows.collect())
}

pub(crate) fn prune(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["image", "prune", "--force"]);
    for (key, value) in call.filters()? {
        match key.as_str() {
            "dangling" => words.set("all", matches!(value.as_str(), "false" | "0")),
            _ => words.flag("filter", Some(format!("{key}={value}"))),
        };
    }
    let removed = call.creel.run(&words)?;
    let rows: Vec<Value> = removed.lines().map(|id| json!({ "Deleted": digest(id) })).collect();
    Reply::json(&json!({ "ImagesDeleted": rows, "SpaceReclaimed": 0 }))
}

pub(crate) fn search(call: &mut Call<'_>) -> Result<Reply> {
    let term = call.query("term").ok_or_else(|| Error::bad("term is empty"))?;
    let mut words = Words::new(&["search", "--format=json", "--no-trunc"]);
    words.flag("limit", call.query("limit"));
    call.filter(&mut words)?;
    let found = call.creel.json(words.names([docker_name(term).trim_start_matches("docker.io/library/")]))?;
    let rows = found.as_array().into_iter().flatten().map(|row| {
        let is_set = |key: &str| !matches!(text(row, key), "" | "false");
        json!({
            "name": text(row, "Name"),
            "description": text(row, "Description"),
            "star_count": number(row, "Stars"),
            "is_official": is_set("Official"),
            "is_automated": is_set("Automated"),
        })
    });
    Reply::json(&rows.collect())
}

/// `/images/get?names=` and `/images/{name}/get`
pub(crate) fn save(call: &mut Call<'_>) -> Result<Reply> {
    let asked: Vec<String> = match call.names.first() {
        Some(name) => vec![name.clone()],
        None => call.request.query.all("names").map(str::to_owned).collect(),
    };
    if asked.is_empty() {
        return Err(Error::bad("no image is named: names is empty"));
    }
    let names: Vec<String> = asked.iter().map(|name| local_name(call.creel, name)).collect::<Result<_>>()?;
    let mut words = Words::new(&["save", "--quiet"]);
    words.set("multi-image-archive", names.len() > 1).names(names.iter().map(String::as_str));
    crate::transfer::send(call, &words, "application/x-tar", &[])
}

pub(crate) fn load(call: &mut Call<'_>) -> Result<Reply> {
    let creel = call.creel;
    let mut body = call.connection.body(&mut call.request)?;
    let printed = creel.feed(&Words::new(&["load", "--quiet"]), &mut body)?;
    lines(call, &printed.lines().map(|line| json!({ "stream": format!("{line}\n") })).collect::<Vec<_>>())
}

/// Lines of JSON that are known at once.
fn lines(call: &mut Call<'_>, values: &[Value]) -> Result<Reply> {
    let mut out = call.lines()?;
    for value in values {
        out.write_all(format!("{value}\r\n").as_bytes())?;
    }
    out.finish()?;
    Ok(Reply::Sent)
}

/// `POST /images/create`: a pull, or with `fromSrc` an import.
pub(crate) fn create(call: &mut Call<'_>) -> Result<Reply> {
    if let Some(source) = call.query("fromSrc") {
        let source = source.to_owned();
        return import(call, &source);
    }
    let image = call.query("fromImage").ok_or_else(|| Error::bad("no image is named: fromImage is empty"))?;
    let name = docker_name(image);
    let name = match call.query("tag") {
        Some(tag) if tag.contains(':') => format!("{name}@{tag}"),
        Some(tag) => format!("{name}:{tag}"),
        None => name,
    };
    let credentials = Credentials::of(call)?;
    let mut words = Words::new(&["pull"]);
    words.flag("platform", call.query("platform")).flag("authfile", credentials.as_ref().map(Credentials::path));
    words.names([name.as_str()]);
    progress(call, &words, &format!("Pulling from {image}"))
}

fn import(call: &mut Call<'_>, source: &str) -> Result<Reply> {
    let mut words = Words::new(&["import", "--quiet"]);
    words.flag("message", call.query("message"));
    for change in call.request.query.all("changes") {
        words.flag("change", Some(change));
    }
    words.names([source]);
    words.0.extend(target(call));
    let creel = call.creel;
    let printed = if source == "-" {
        let mut body = call.connection.body(&mut call.request)?;
        creel.feed(&words, &mut body)?
    } else {
        creel.run(&words)?
    };
    lines(call, &[json!({ "status": digest(printed.trim()) })])
}

pub(crate) fn push(call: &mut Call<'_>) -> Result<Reply> {
    let name = match call.query("tag") {
        Some(tag) => format!("{}:{tag}", call.name()),
        None => call.name().to_owned(),
    };
    let local = local_name(call.creel, &name)?;
    let credentials = Credentials::of(call)?;
    let mut words = Words::new(&["push"]);
    words.flag("authfile", credentials.as_ref().map(Credentials::path)).names([local.as_str()]);
    progress(call, &words, &format!("The push refers to repository [{}]", docker_name(call.name())))
}

/// Shows what a command says of its way, a line each, and at the end how it went.
fn progress(call: &mut Call<'_>, words: &Words, first: &str) -> Result<Reply> {
    let mut child = call.creel.command(words).spawn()?;
    let mut out = call.lines()?;
    let mut tell = |value: Value| out.write_all(format!("{value}\r\n").as_bytes());
    tell(json!({ "status": first }))?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            if !line.starts_with("Error: ") && said.is_empty() {
                tell(json!({ "status": line }))?;
            } else {
                said += &format!("{line}\n");
            }
        }
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        tell(json!({ "status": format!("Digest: {}", digest(&id)) }))?;
        tell(json!({ "status": "Status: Done" }))?;
    } else {
        let message = Error::said(&said).message;
        tell(json!({ "errorDetail": { "message": message }, "error": message }))?;
    }
    out.finish()?;
    Ok(Reply::Sent)
}

/// `/commit`
pub(crate) fn commit(call: &mut Call<'_>) -> Result<Reply> {
    let container = call.query("container").ok_or_else(|| Error::bad("no container is named"))?.to_owned();
    let mut words = Words::new(&["commit", "--quiet", "--format=docker"]);
    words.flag("message", call.query("comment")).flag("author", call.query("author"));
    words.flag("pause", Some(if call.query("pause").is_none() || call.asks("pause") { "true" } else { "false" }));
    for change in call.request.query.all("changes").flat_map(str::lines).filter(|line| !line.is_empty()) {
        words.flag("change", Some(change));
    }
    words.names([container.as_str()]);
    words.0.extend(target(call));
    let id = call.creel.run(&words)?;
    Reply::created(&json!({ "Id": digest(id.trim()) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_registry_are_docker_hubs() {
        for (said, meant) in [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:3", "docker.io/library/alpine:3"),
            ("a/b", "docker.io/a/b"),
            ("localhost/a", "localhost/a"),
            ("host:5000/a", "host:5000/a"),
            ("quay.io/a/b", "quay.io/a/b"),
            ("sha256:ab", "sha256:ab"),
        ] {
            assert_eq!(docker_name(said), meant);
        }
    }
}
