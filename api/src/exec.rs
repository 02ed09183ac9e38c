//! `/containers/{id}/exec` and `/exec/{id}`: a session is made, started and asked about by three requests, so the service
//! remembers it; a `creel exec` is what it becomes.

use std::process::Stdio;
use std::sync::PoisonError;
use std::time::Instant;

use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::containers::id_of;
use crate::creel::{Error, Result, Words};
use crate::json::{is_true, some_text, texts};
use crate::streams::{self, MULTIPLEXED, RAW};

/// What is to be run, and how far that has got.
#[derive(Debug)]
pub(crate) struct Session {
    container: String,
    config: Value,
    made: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Made,
    Running(u32),
    Ended(i32),
}

impl Session {
    pub(crate) fn is_in(&self, container: &str) -> bool {
        self.container == container
    }

    /// Since when nobody has started it.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        (self.state == State::Made).then_some(self.made)
    }

    fn has_terminal(&self) -> bool {
        is_true(&self.config, "Tty")
    }

    fn words(&self) -> Words {
        let mut words = Words::new(&["exec"]);
        words.set("interactive", is_true(&self.config, "AttachStdin") || self.has_terminal());
        words.set("tty", self.has_terminal()).set("privileged", is_true(&self.config, "Privileged"));
        words.flag("user", some_text(&self.config, "User")).flag("workdir", some_text(&self.config, "WorkingDir"));
        words.flag("detach-keys", some_text(&self.config, "DetachKeys"));
        for variable in texts(&self.config, "Env") {
            words.flag("env", Some(variable));
        }
        words.names([self.container.as_str()]);
        words.0.extend(texts(&self.config, "Cmd").into_iter().map(str::to_owned));
        words
    }
}

pub(crate) fn create(call: &mut Call<'_>) -> Result<Reply> {
    let config = call.body()?;
    if texts(&config, "Cmd").is_empty() {
        return Err(Error::bad("No exec command specified"));
    }
    let found = call.creel.json(Words::new(&["container", "inspect"]).names([call.name()]))?;
    let found = found.get(0).unwrap_or(&Value::Null);
    let container = some_text(found, "Id").unwrap_or_default().to_owned();
    let status = found.pointer("/State/Status").and_then(Value::as_str).unwrap_or_default();
    if status != "running" {
        let what = if status == "paused" { "is paused, unpause the container before exec" } else { "is not running" };
        return Err(Error { status: 409, message: format!("container {container} {what}") });
    }
    let id = sys::random::id()?;
    call.memory.remember(id.clone(), Session { container, config, made: Instant::now(), state: State::Made });
    Reply::created(&json!({ "Id": id }))
}

pub(crate) fn start(call: &mut Call<'_>) -> Result<Reply> {
    let options = call.body()?;
    let id = call.name().to_owned();
    let session = call.memory.session(&id)?;
    let (words, has_terminal, reads) = {
        let session = session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.state != State::Made {
            return Err(Error { status: 409, message: format!("exec session {id} has been started already") });
        }
        (session.words(), session.has_terminal(), is_true(&session.config, "AttachStdin"))
    };
    let set = |state: State| session.lock().unwrap_or_else(PoisonError::into_inner).state = state;
    let mut command = call.creel.command(&words);
    if is_true(&options, "Detach") {
        let terminal = has_terminal.then(|| streams::on_a_terminal(&mut command, None)).transpose()?;
        let mut child = match terminal {
            Some((child, terminal)) => {
                call.memory.show(&id, &terminal);
                child
            }
            None => command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?,
        };
        set(State::Running(child.id()));
        let session = session.clone();
        std::thread::spawn(move || {
            let code = child.wait().map_or(-1, code_of);
            session.lock().unwrap_or_else(PoisonError::into_inner).state = State::Ended(code);
        });
        return Reply::empty(200);
    }
    let ended = |status| set(State::Ended(code_of(status)));
    if has_terminal {
        let size = options.get("ConsoleSize").and_then(Value::as_array).and_then(|pair| {
            Some((u16::try_from(pair.first()?.as_u64()?).ok()?, u16::try_from(pair.get(1)?.as_u64()?).ok()?))
        });
        let (mut child, terminal) = streams::on_a_terminal(&mut command, size)?;
        call.memory.show(&id, &terminal);
        set(State::Running(child.id()));
        call.connection.hand_over(&mut call.request, RAW)?;
        streams::connect_terminal(call.connection, &mut child, &terminal, ended)?;
    } else {
        let stdin = if reads { Stdio::piped() } else { Stdio::null() };
        let mut child = command.stdin(stdin).spawn()?;
        set(State::Running(child.id()));
        call.connection.hand_over(&mut call.request, MULTIPLEXED)?;
        streams::connect(call.connection, &mut child, ended)?;
    }
    Ok(Reply::Over)
}

fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

pub(crate) fn inspect(call: &mut Call<'_>) -> Result<Reply> {
    let id = call.name().to_owned();
    let session = call.memory.session(&id)?;
    let session = session.lock().unwrap_or_else(PoisonError::into_inner);
    let (is_running, code, pid) = match session.state {
        State::Made => (false, Value::Null, 0),
        State::Running(pid) => (true, Value::Null, pid),
        State::Ended(code) => (false, code.into(), 0),
    };
    let command = texts(&session.config, "Cmd");
    Reply::json(&json!({
        "CanRemove": false,
        "ContainerID": session.container,
        "DetachKeys": some_text(&session.config, "DetachKeys").unwrap_or_default(),
        "ExitCode": code,
        "ID": id,
        "OpenStderr": is_true(&session.config, "AttachStderr"),
        "OpenStdin": is_true(&session.config, "AttachStdin"),
        "OpenStdout": is_true(&session.config, "AttachStdout"),
        "Pid": pid,
        "ProcessConfig": {
            "arguments": command.get(1..).unwrap_or_default(),
            "entrypoint": command.first(),
            "privileged": is_true(&session.config, "Privileged"),
            "tty": session.has_terminal(),
            "user": some_text(&session.config, "User").unwrap_or_default(),
        },
        "Running": is_running,
    }))
}

/// Of a session or, with a container's id, of whoever is attached to it.
pub(crate) fn resize(call: &mut Call<'_>) -> Result<Reply> {
    call.memory.session(call.name())?;
    let id = call.name().to_owned();
    resize_terminal(call, &id)
}

pub(crate) fn resize_container(call: &mut Call<'_>) -> Result<Reply> {
    let id = id_of(call.creel, call.name())?;
    resize_terminal(call, &id)
}

fn resize_terminal(call: &Call<'_>, id: &str) -> Result<Reply> {
    let side = |name: &str| -> Result<u16> {
        let text = call.query(name).unwrap_or_default();
        text.parse().map_err(|_| Error::bad(format!("invalid resize {name} {text:?}")))
    };
    let (rows, columns) = (side("h")?, side("w")?);
    if let Some(terminal) = call.memory.terminal(id) {
        terminal.resize(rows, columns)?;
    }
    Reply::empty(200)
}

/// The ids of a container's sessions, for its inspection.
pub(crate) fn ids_of(call: &Call<'_>, container: &str) -> Value {
    let ids = call.memory.sessions_of(container);
    if ids.is_empty() { Value::Null } else { json!(ids) }
}
