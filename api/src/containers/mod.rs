//! `/containers`.

mod create;
mod flags;
mod show;
mod watch;

pub(crate) use create::create;
pub(crate) use show::{changes, inspect, list, row, top};
pub(crate) use watch::{attach, logs, wait};

use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::creel::{Creel, Error, Result, Words};
use crate::json::{number, text};

/// A container's whole id.
pub(crate) fn id_of(creel: &Creel, name: &str) -> Result<String> {
    let found = creel.run(Words::new(&["container", "inspect", "--format={{.Id}}"]).names([name]))?;
    Ok(found.trim().to_owned())
}

/// Podman's word for its state.
pub(crate) fn status_of(creel: &Creel, name: &str) -> Result<String> {
    let found = creel.run(Words::new(&["container", "inspect", "--format={{.State.Status}}"]).names([name]))?;
    Ok(found.trim().to_owned())
}

/// Answers 304 where there is nothing to do.
fn unless(call: &Call<'_>, wanted: &[&str], words: Words) -> Result<Reply> {
    if wanted.contains(&status_of(call.creel, call.name())?.as_str()) {
        return Reply::empty(304);
    }
    call.act(words)
}

pub(crate) fn start(call: &mut Call<'_>) -> Result<Reply> {
    let started = match call.memory.refused(call.name()) {
        Some(message) => Err(Error { status: 400, message }),
        None => unless(call, &["running"], Words::new(&["start"])),
    };
    started.map_err(|error| match error.message.contains("executable file") {
        // The caller's mistake, not the engine's; by these words Docker's client exits with 127.
        true => Error { status: 400, message: format!("{}: no such file or directory", error.message) },
        false => error,
    })
}

pub(crate) fn stop(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["stop"]);
    words.flag("time", call.query("t")).flag("signal", call.query("signal"));
    unless(call, &["created", "exited", "stopped", "initialized"], words)
}

pub(crate) fn restart(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["restart"]);
    words.flag("time", call.query("t"));
    call.act(words)
}

pub(crate) fn kill(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["kill"]);
    words.flag("signal", call.query("signal"));
    call.act(words)
}

pub(crate) fn pause(call: &mut Call<'_>) -> Result<Reply> {
    call.act(Words::new(&["pause"]))
}

pub(crate) fn unpause(call: &mut Call<'_>) -> Result<Reply> {
    call.act(Words::new(&["unpause"]))
}

pub(crate) fn rename(call: &mut Call<'_>) -> Result<Reply> {
    let name = call.query("name").ok_or_else(|| Error::bad("neither old nor new names may be empty"))?;
    let name = name.trim_start_matches('/');
    call.creel.run(Words::new(&["rename"]).names([call.name(), name]))?;
    Reply::empty(204)
}

pub(crate) fn remove(call: &mut Call<'_>) -> Result<Reply> {
    if call.asks("link") {
        return Err(Error::bad("links between containers do not exist here"));
    }
    let mut words = Words::new(&["rm"]);
    words.set("force", call.asks("force")).set("volumes", call.asks("v"));
    // As Docker does: what is to go by force goes at once.
    words.flag("time", call.asks("force").then_some("0"));
    if !call.asks("force") && matches!(status_of(call.creel, call.name())?.as_str(), "running" | "paused") {
        let message = format!(
            "cannot remove container {:?}: container is running: stop the container before removing or force remove",
            call.name()
        );
        return Err(Error { status: 409, message });
    }
    call.act(words)
}

pub(crate) fn prune(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["container", "prune", "--force"]);
    call.filter(&mut words)?;
    let removed = call.creel.run(&words)?;
    let ids: Vec<&str> = removed.lines().filter(|line| line.len() == 64).collect();
    Reply::json(&json!({ "ContainersDeleted": ids, "SpaceReclaimed": 0 }))
}

pub(crate) fn update(call: &mut Call<'_>) -> Result<Reply> {
    let wanted = call.body()?;
    let mut words = Words::new(&["update"]);
    flags::limits(&wanted, &mut words);
    if let Some(policy) = wanted.get("RestartPolicy") {
        words.flag("restart", flags::restart_policy(policy));
    }
    call.creel.run(words.names([call.name()]))?;
    Reply::json(&json!({ "Warnings": [] }))
}

/// `/containers/{id}/export`
pub(crate) fn export(call: &mut Call<'_>) -> Result<Reply> {
    let mut words = Words::new(&["export"]);
    words.names([call.name()]);
    crate::transfer::send(call, &words, "application/x-tar", &[])
}

/// What clients want to see of a network that a container is on.
fn endpoint(network: &Value) -> Value {
    json!({
        "IPAMConfig": network.get("IPAMConfig").cloned().unwrap_or(Value::Null),
        "Links": null,
        "Aliases": network.get("Aliases").cloned().unwrap_or(Value::Null),
        "NetworkID": text(network, "NetworkID"),
        "EndpointID": text(network, "EndpointID"),
        "Gateway": text(network, "Gateway"),
        "IPAddress": text(network, "IPAddress"),
        "IPPrefixLen": number(network, "IPPrefixLen"),
        "IPv6Gateway": text(network, "IPv6Gateway"),
        "GlobalIPv6Address": text(network, "GlobalIPv6Address"),
        "GlobalIPv6PrefixLen": number(network, "GlobalIPv6PrefixLen"),
        "MacAddress": text(network, "MacAddress"),
        "DriverOpts": null,
        "DNSNames": network.get("Aliases").cloned().unwrap_or(Value::Null),
    })
}
