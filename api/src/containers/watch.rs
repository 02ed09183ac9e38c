//! What takes as long as a container: its output, its streams, its end.

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::status_of;
use crate::call::{Call, Reply};
use crate::creel::{Error, Result, Words};
use crate::json::{is_true, text};
use crate::streams::{self, MULTIPLEXED, RAW, Watch};

/// A container's id, state, and whether it has a terminal and reads its input.
struct Facts {
    id: String,
    status: String,
    has_terminal: bool,
    reads: bool,
}

fn facts(call: &Call<'_>) -> Result<Facts> {
    let found = call.creel.json(Words::new(&["container", "inspect"]).names([call.name()]))?;
    let found = found.get(0).unwrap_or(&Value::Null);
    let config = found.get("Config").unwrap_or(&Value::Null);
    Ok(Facts {
        id: text(found, "Id").to_owned(),
        status: found.pointer("/State/Status").and_then(Value::as_str).unwrap_or_default().to_owned(),
        has_terminal: is_true(config, "Tty"),
        reads: is_true(config, "OpenStdin"),
    })
}

pub(crate) fn logs(call: &mut Call<'_>) -> Result<Reply> {
    let (stdout, stderr) = (call.asks("stdout"), call.asks("stderr"));
    if !stdout && !stderr {
        return Err(Error::bad("Bad parameters: you must choose at least one stream"));
    }
    let facts = facts(call)?;
    let mut words = Words::new(&["logs"]);
    words.set("follow", call.asks("follow")).set("timestamps", call.asks("timestamps"));
    words.flag("tail", call.query("tail").filter(|tail| *tail != "all"));
    words.flag("since", call.query("since").filter(|time| *time != "0"));
    words.flag("until", call.query("until").filter(|time| *time != "0"));
    words.names([facts.id.as_str()]);
    let mut command = call.creel.command(&words);
    let sink = |is_wanted: bool| if is_wanted { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdout(sink(stdout)).stderr(sink(stderr || !facts.has_terminal)).spawn()?;
    let kind = if facts.has_terminal { RAW } else { MULTIPLEXED };
    let watch = Watch::new(call.connection, &child)?;
    let mut chunks = call.connection.chunks(kind, &[])?;
    if !stderr {
        // Only what went wrong with reading it would come there.
        drop(child.stderr.take());
    }
    std::thread::scope(|scope| {
        scope.spawn(|| watch.run());
        streams::copy_outputs(&mut child, !facts.has_terminal, &mut chunks);
        child.wait()
    })?;
    chunks.finish()?;
    Ok(Reply::Sent)
}

/// Connects to the streams. A container that does not run is made ready first, so that a client which attaches and then
/// starts it misses nothing.
pub(crate) fn attach(call: &mut Call<'_>) -> Result<Reply> {
    let facts = facts(call)?;
    if call.asks("logs") && !facts.has_terminal && !call.asks("stream") {
        return logs(call);
    }
    match facts.status.as_str() {
        "running" | "initialized" => {}
        "paused" => {
            return Err(Error { status: 409, message: format!("container {} is paused, unpause it first", facts.id) });
        }
        _ if make_ready(call, &facts.id) => {}
        _ => return wait_for_start(call, &facts),
    }
    let mut words = Words::new(&["attach", "--sig-proxy=false", "--preface"]);
    words.flag("detach-keys", call.query("detachKeys"));
    let reads = facts.reads && call.asks("stdin");
    words.set("no-stdin", !reads).names([facts.id.as_str()]);
    let mut command = call.creel.command(&words);
    if facts.has_terminal {
        let (mut child, terminal) = streams::on_a_terminal(&mut command, None)?;
        must_connect(&mut terminal.output()?, &mut child)?;
        call.memory.show(&facts.id, &terminal);
        call.connection.hand_over(&mut call.request, RAW)?;
        streams::connect_terminal(call.connection, &mut child, &terminal, drop)?;
    } else {
        let mut child = command.stdin(if reads { Stdio::piped() } else { Stdio::null() }).spawn()?;
        if let Some(mut stdout) = child.stdout.take() {
            must_connect(&mut stdout, &mut child)?;
            child.stdout = Some(stdout).filter(|_| call.asks("stdout"));
        }
        if !call.asks("stderr") {
            drop(child.stderr.take());
        }
        call.connection.hand_over(&mut call.request, MULTIPLEXED)?;
        streams::connect(call.connection, &mut child, drop)?;
    }
    Ok(Reply::Over)
}

/// Initializes a container, so that what its start brings can be listened for. Where that fails the start fails, too, and
/// is the one to say why.
fn make_ready(call: &Call<'_>, id: &str) -> bool {
    let made = call.creel.run(Words::new(&["init"]).names([id]));
    made.map_err(|error| call.memory.refuse(id, &error.message)).is_ok()
}

/// Until the start has failed, a client that is attached hears nothing.
fn wait_for_start(call: &mut Call<'_>, facts: &Facts) -> Result<Reply> {
    call.connection.hand_over(&mut call.request, if facts.has_terminal { RAW } else { MULTIPLEXED })?;
    let mut nothing = [0; 1024];
    while call.connection.reader().read(&mut nothing)? > 0 {}
    Ok(Reply::Over)
}

/// The first byte that `attach --preface` writes says that from now on nothing is missed.
fn must_connect(output: &mut dyn Read, child: &mut Child) -> Result<()> {
    let mut preface = [1];
    if output.read_exact(&mut preface).is_ok() && preface == [0] {
        return Ok(());
    }
    let mut said = String::from_utf8_lossy(&preface).into_owned();
    if let Some(stderr) = &mut child.stderr {
        said.clear();
        stderr.read_to_string(&mut said)?;
    } else {
        // A terminal has both streams in one.
        let _ = output.read_to_string(&mut said);
    }
    child.wait()?;
    Err(Error::said(&said))
}

/// Docker's three conditions. The answer begins before the end has come: clients start the container when they see it.
pub(crate) fn wait(call: &mut Call<'_>) -> Result<Reply> {
    let name = call.name().to_owned();
    let condition = call.query("condition").unwrap_or("not-running").to_owned();
    if !["not-running", "next-exit", "removed"].contains(&condition.as_str()) {
        return Err(Error::bad(format!("invalid condition: {condition:?}")));
    }
    let status = match call.memory.is_refused(&name) {
        // It went with its start that failed.
        true => return Reply::json(&json!({ "StatusCode": 127 })),
        false => status_of(call.creel, &name)?,
    };
    let is_new = matches!(status.as_str(), "created" | "configured");
    if is_new && condition == "not-running" {
        return Reply::json(&json!({ "StatusCode": 0 }));
    }
    if is_new && !make_ready(call, &name) {
        return Reply::json(&json!({ "StatusCode": 127 }));
    }
    let until = |condition: &str| {
        let mut words = Words::new(&["wait", "--ignore"]);
        words.flag("condition", Some(condition)).names([name.as_str()]);
        words
    };
    if condition == "next-exit" && matches!(status.as_str(), "exited" | "stopped") {
        call.creel.run(&until("running"))?;
    }
    let mut words = Words::new(&["wait", "--ignore", "--preface"]);
    let mut child = call.creel.command(words.names([name.as_str()])).spawn()?;
    // It is heard first of all that it listens, unless there is nothing to wait for.
    let mut first = [0];
    if let Some(stdout) = &mut child.stdout {
        let _ = stdout.read(&mut first)?;
    }
    let creel = call.creel;
    let watch = Watch::new(call.connection, &child)?;
    let mut answer = call.lines()?;
    let output = std::thread::scope(|scope| {
        scope.spawn(|| watch.run());
        child.wait_with_output()
    })?;
    if condition == "removed" {
        // Its code is known; what is left to come is that it goes.
        let _ = creel.run(&until("removing"));
    }
    let value = if output.status.success() {
        let text = format!("{}{}", char::from(first[0]), String::from_utf8_lossy(&output.stdout));
        let code: i64 = text.trim_matches(['\0', '\n']).parse().unwrap_or(-1);
        json!({ "StatusCode": code })
    } else {
        let error = Error::said(&String::from_utf8_lossy(&output.stderr));
        json!({ "StatusCode": -1, "Error": { "Message": error.message } })
    };
    answer.write_all(format!("{value}\n").as_bytes())?;
    answer.finish()?;
    Ok(Reply::Sent)
}
