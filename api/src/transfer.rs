//! Archives in and out, as they come: none is ever held in memory.

use std::io::Read;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::call::{Call, Reply};
use crate::creel::{Error, Result, Words};
use crate::json::{number, text};

/// Sends what a command prints. It may fail before it has printed anything: then that is the answer.
pub(crate) fn send(call: &mut Call<'_>, words: &Words, kind: &str, headers: &[(&str, String)]) -> Result<Reply> {
    let mut child = call.creel.command(words).spawn()?;
    let mut first = vec![0; 32 << 10];
    let mut stdout = child.stdout.take().ok_or_else(|| Error::bad("the command has no output"))?;
    let count = stdout.read(&mut first)?;
    if count == 0 {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(Error::said(&String::from_utf8_lossy(&output.stderr)));
        }
        return Reply::empty(200);
    }
    let mut chunks = call.connection.chunks(kind, headers)?;
    let copied = std::io::copy(&mut first[..count].chain(&mut stdout), &mut chunks);
    drop(stdout);
    let output = child.wait_with_output()?;
    copied?;
    if !output.status.success() {
        // An answer that does not end properly is one that the client cannot take for whole.
        tracing::warn!(error = %String::from_utf8_lossy(&output.stderr), "an answer is cut off");
        return Ok(Reply::Over);
    }
    chunks.finish()?;
    Ok(Reply::Sent)
}

fn path<'a>(call: &'a Call<'_>) -> Result<&'a str> {
    call.query("path").ok_or_else(|| Error::bad("path cannot be empty"))
}

/// `X-Docker-Container-Path-Stat`: what a path of a container is, before its content.
fn facts(call: &Call<'_>) -> Result<String> {
    let path = path(call)?;
    let found =
        call.creel.json(Words::new(&["cp", "--stat"]).names([format!("{}:{path}", call.name()).as_str(), "-"]))?;
    let stat = json!({
        "name": text(&found, "name"),
        "size": number(&found, "size"),
        "mode": go_mode(number(&found, "mode")),
        "mtime": text(&found, "mtime"),
        "linkTarget": text(&found, "linkTarget"),
    });
    Ok(BASE64_STANDARD.encode(stat.to_string()))
}

/// A mode of stat(2) as Go's `os.FileMode` has it: the kind of file in the highest bits.
fn go_mode(mode: i64) -> i64 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        0o020_000 => 1 << 26 | 1 << 21,
        _ => 0,
    };
    let special = [(0o4000, 23), (0o2000, 22), (0o1000, 20)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).map(|(_, place)| 1 << place).sum::<i64>();
    kind | special | (mode & 0o777)
}

pub(crate) fn stat(call: &mut Call<'_>) -> Result<Reply> {
    let mut answer = crate::http::Answer::empty(200);
    answer.headers.push(("X-Docker-Container-Path-Stat", facts(call)?));
    Ok(Reply::Answer(answer))
}

/// `GET /containers/{id}/archive`
pub(crate) fn get(call: &mut Call<'_>) -> Result<Reply> {
    let stat = facts(call)?;
    let source = format!("{}:{}", call.name(), path(call)?);
    let mut words = Words::new(&["cp"]);
    words.names([source.as_str(), "-"]);
    send(call, &words, "application/x-tar", &[("X-Docker-Container-Path-Stat", stat)])
}

/// `PUT /containers/{id}/archive`
pub(crate) fn put(call: &mut Call<'_>) -> Result<Reply> {
    let target = format!("{}:{}", call.name(), path(call)?);
    let mut words = Words::new(&["cp"]);
    // Docker's clients say with this that owners of the archive are those of the container.
    words.set("archive", call.asks("copyUIDGID")).set("overwrite", !call.asks("noOverwriteDirNonDir"));
    words.names(["-", target.as_str()]);
    let creel = call.creel;
    let mut body = call.connection.body(&mut call.request)?;
    creel.feed(&words, &mut body)?;
    Reply::empty(200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        assert_eq!(go_mode(0o100_644), 0o644);
        assert_eq!(go_mode(0o041_777), 1 << 31 | 1 << 20 | 0o777);
        assert_eq!(go_mode(0o104_755), 1 << 23 | 0o755);
    }
}
