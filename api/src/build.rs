//! `/build`: the context comes as an archive, what is said comes back as lines of JSON.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::call::{Call, Reply};
use crate::credentials::Credentials;
use crate::creel::{Error, Result, Words};
use crate::http::Chunks;
use crate::json::digest;

fn words(call: &Call<'_>, credentials: Option<&Credentials>) -> Result<Words> {
    if call.query("version") == Some("2") {
        return Err(Error::bad(
            "BuildKit's protocol is not spoken here: set DOCKER_BUILDKIT=0, the builder understands its Dockerfiles",
        ));
    }
    let mut words = Words::new(&["build", "--format=docker"]);
    let query = &call.request.query;
    for tag in query.all("t") {
        words.flag("tag", Some(tag));
    }
    for host in query.all("extrahosts") {
        words.flag("add-host", Some(host));
    }
    words
        .flag("file", query.get("dockerfile"))
        .flag("target", query.get("target"))
        .flag("platform", query.get("platform"));
    words.flag("network", query.get("networkmode").filter(|mode| *mode != "default"));
    words.flag("shm-size", query.get("shmsize").filter(|size| *size != "0").map(|size| format!("{size}b")));
    words.set("no-cache", query.is("nocache")).set("squash", query.is("squash"));
    words.flag("pull", Some(if query.is("pull") { "always" } else { "missing" }));
    words.flag("authfile", credentials.map(Credentials::path));
    for (name, flag) in [("buildargs", "build-arg"), ("labels", "label")] {
        let Some(text) = query.get(name) else { continue };
        let values: Value =
            serde_json::from_str(text).map_err(|error| Error::bad(format!("invalid {name}: {error}")))?;
        for (key, value) in values.as_object().into_iter().flatten() {
            // Null means: as it is in the service's own environment.
            words.flag(flag, Some(value.as_str().map_or_else(|| key.clone(), |value| format!("{key}={value}"))));
        }
    }
    Ok(words)
}

pub(crate) fn build(call: &mut Call<'_>) -> Result<Reply> {
    let credentials = Credentials::of(call)?;
    let mut words = words(call, credentials.as_ref())?;
    let is_quiet = call.asks("q");
    let remote = call.query("remote").map(str::to_owned);
    words.names([remote.as_deref().unwrap_or("-")]);
    let mut child =
        call.creel.command(&words).stdin(if remote.is_some() { Stdio::null() } else { Stdio::piped() }).spawn()?;
    // The whole context is taken before anything is answered: clients send all of it before they listen.
    if let Some(mut stdin) = child.stdin.take() {
        hand_in(&mut call.connection.body(&mut call.request)?, &mut stdin);
    }
    let out = Mutex::new(call.lines()?);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (id, said) = std::thread::scope(|scope| {
        let errors = scope.spawn(|| stderr.map(|stderr| show(stderr, &out, is_quiet)).unwrap_or_default());
        let last = stdout.map(|stdout| show(stdout, &out, is_quiet)).unwrap_or_default();
        (last.last, errors.join().map(|shown| shown.error).unwrap_or_default())
    });
    let status = child.wait()?;
    let mut out = out.into_inner().unwrap_or_else(PoisonError::into_inner);
    let values = if status.success() {
        let id = digest(&id);
        vec![
            json!({ "aux": { "ID": id } }),
            json!({ "stream": if is_quiet { format!("{id}\n") } else { format!("Successfully built {}\n", &id[7..19.min(id.len())]) } }),
        ]
    } else {
        let message = Error::said(&said).message;
        vec![json!({ "errorDetail": { "message": message }, "error": message })]
    };
    for value in values {
        out.write_all(format!("{value}\r\n").as_bytes())?;
    }
    out.finish()?;
    Ok(Reply::Sent)
}

/// One that ends before it has read everything says why itself.
fn hand_in(context: &mut dyn Read, stdin: &mut ChildStdin) {
    let _ = std::io::copy(context, stdin);
}

/// What a stream has come to.
#[derive(Default)]
struct Shown {
    last: String,
    /// From the first line that says so.
    error: String,
}

/// Shows each line as it comes.
fn show(source: impl Read, out: &Mutex<Chunks<'_>>, is_quiet: bool) -> Shown {
    let mut shown = Shown::default();
    for line in BufReader::new(source).lines().map_while(std::io::Result::ok) {
        if line.starts_with("Error: ") || !shown.error.is_empty() {
            shown.error += &format!("{line}\n");
            continue;
        }
        if !is_quiet {
            let text = json!({ "stream": format!("{line}\n") });
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            // A client that is gone does not end its build.
            let _ = out.write_all(format!("{text}\r\n").as_bytes());
        }
        shown.last = line;
    }
    shown
}

pub(crate) fn prune(_: &mut Call<'_>) -> Result<Reply> {
    Reply::json(&json!({ "CachesDeleted": [], "SpaceReclaimed": 0 }))
}
