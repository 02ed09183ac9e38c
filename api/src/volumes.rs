//! `/volumes`

use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::creel::{Result, Words};
use crate::json::{members, some_text, text};

/// As lists, inspections and `/system/df` show it.
pub(crate) fn shape(volume: &Value) -> Value {
    let map = |key: &str| volume.get(key).filter(|value| value.is_object()).cloned().unwrap_or_else(|| json!({}));
    json!({
        "Name": text(volume, "Name"),
        "Driver": text(volume, "Driver"),
        "Mountpoint": text(volume, "Mountpoint"),
        "CreatedAt": text(volume, "CreatedAt"),
        "Labels": map("Labels"),
        "Scope": "local",
        "Options": map("Options"),
    })
}

pub(crate) fn list(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["volume", "ls", "--format=json"]);
    call.filter(&mut words)?;
    let found = call.creel.json(&words)?;
    let volumes: Vec<Value> = found.as_array().into_iter().flatten().map(shape).collect();
    Reply::json(&json!({ "Volumes": volumes, "Warnings": [] }))
}

fn shown(call: &Call<'_>, name: &str) -> Result<Value> {
    let found = call.creel.json(Words::new(&["volume", "inspect"]).names([name]))?;
    Ok(shape(found.get(0).unwrap_or(&Value::Null)))
}

pub(crate) fn inspect(call: &mut Call<'_>) -> Result<Reply> {
    Reply::json(&shown(call, call.name())?)
}

pub(crate) fn create(call: &mut Call<'_>) -> Result<Reply> {
    let wanted = call.body()?;
    // One that is there is what was asked for.
    let mut words = Words::new(&["volume", "create", "--ignore"]);
    words.flag("driver", some_text(&wanted, "Driver"));
    for (flag, key) in [("label", "Labels"), ("opt", "DriverOpts")] {
        for (key, value) in members(&wanted, key) {
            words.flag(flag, Some(format!("{key}={}", value.as_str().unwrap_or_default())));
        }
    }
    if let Some(name) = some_text(&wanted, "Name") {
        words.names([name]);
    }
    let name = call.creel.run(&words)?;
    Reply::created(&shown(call, name.trim())?)
}

pub(crate) fn remove(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["volume", "rm"]);
    words.set("force", call.asks("force"));
    call.act(words)
}

pub(crate) fn prune(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["volume", "prune", "--force"]);
    call.filter(&mut words)?;
    let removed = call.creel.run(&words)?;
    Reply::json(&json!({ "VolumesDeleted": removed.lines().collect::<Vec<_>>(), "SpaceReclaimed": 0 }))
}
