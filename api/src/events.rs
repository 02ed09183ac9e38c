//! `/events`: Podman's events in Docker's words, as they happen.

use std::io::{BufRead, BufReader, Write};

use serde_json::{Map, Value, json};

use crate::call::{Call, Reply};
use crate::creel::{Result, Words};
use crate::json::{members, number, text};
use crate::streams::Watch;

/// Docker's word for what has happened; none where Docker has no such event.
fn action(kind: &str, word: &str) -> Option<String> {
    Some(match (kind, word) {
        ("container", "died") => "die".into(),
        ("container", "remove") => "destroy".into(),
        ("container", "cleanup" | "init" | "sync" | "mount" | "unmount") => return None,
        ("container", "exec_died") => "exec_die".into(),
        ("container", "exec") => "exec_start".into(),
        ("image", "remove") => "delete".into(),
        ("image", "loadfromarchive") => "load".into(),
        ("volume" | "network", "remove") => {
            if kind == "volume" {
                "destroy".into()
            } else {
                "remove".into()
            }
        }
        (_, other) => other.into(),
    })
}

fn shape(event: &Value) -> Option<Value> {
    let kind = text(event, "Type");
    if kind == "pod" || kind == "system" || kind == "secret" {
        return None;
    }
    let mut action = action(kind, text(event, "Status"))?;
    if let Some(health) = crate::json::some_text(event, "HealthStatus") {
        action = format!("{action}: {health}");
    }
    let mut attributes: Map<String, Value> =
        members(event, "Attributes").map(|(key, value)| (key.to_owned(), value.clone())).collect();
    attributes.insert("name".into(), text(event, "Name").into());
    let mut id = text(event, "ID").to_owned();
    match kind {
        "container" => {
            attributes.insert("image".into(), text(event, "Image").into());
            if action == "die" {
                attributes.insert("exitCode".into(), number(event, "ContainerExitCode").to_string().into());
            }
        }
        "volume" => {
            id = text(event, "Name").to_owned();
            attributes.insert("driver".into(), "local".into());
        }
        _ => {}
    }
    Some(json!({
        "status": action,
        "id": id,
        "from": text(event, "Image"),
        "Type": kind,
        "Action": action,
        "Actor": { "ID": id, "Attributes": attributes },
        "scope": "local",
        "time": number(event, "time"),
        "timeNano": number(event, "timeNano"),
    }))
}

/// Podman's words for what a client asks to see.
fn filter(key: &str, value: &str) -> String {
    let word = match (key, value) {
        ("event", "die") => "died",
        ("event", "destroy" | "delete") => "remove",
        ("event", "exec_start") => "exec",
        ("event", "exec_die") => "exec_died",
        (_, other) => other,
    };
    format!("{key}={word}")
}

pub(crate) fn events(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["events", "--format=json", "--no-trunc"]);
    words.flag("since", call.query("since")).flag("until", call.query("until"));
    for (key, value) in call.filters()? {
        words.flag("filter", Some(filter(&key, &value)));
    }
    let mut child = call.creel.command(&words).spawn()?;
    let stdout = child.stdout.take();
    let watch = Watch::new(call.connection, &child)?;
    let mut out = call.lines()?;
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| watch.run());
        for line in stdout.map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            let Some(shown) = serde_json::from_str(&line?).ok().as_ref().and_then(shape) else { continue };
            if out.write_all(format!("{shown}\n").as_bytes()).is_err() {
                child.kill()?;
            }
        }
        child.wait()?;
        Ok(())
    })?;
    out.finish()?;
    Ok(Reply::Sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_dockers_words() {
        let event = json!({
            "ID": "1", "Image": "i", "Name": "n", "Status": "died", "Type": "container", "ContainerExitCode": 3,
            "time": 5, "timeNano": 5_000_000_000_u64, "Attributes": { "l": "v" },
        });
        let shown = shape(&event).unwrap();
        assert_eq!(shown["Action"], "die");
        assert_eq!(
            shown["Actor"],
            json!({ "ID": "1", "Attributes": { "l": "v", "name": "n", "image": "i", "exitCode": "3" } })
        );
        assert_eq!(shape(&json!({ "Type": "pod", "Status": "create" })), None);
        assert_eq!(filter("event", "die"), "event=died");
    }
}
