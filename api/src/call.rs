//! One request on its way to an answer, and what the service remembers from one to the next.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::creel::{Creel, Error, Result, Words};
use crate::exec::Session;
use crate::http::{Answer, Connection, Request};
use crate::streams::Terminal;

/// What became of a request.
pub(crate) enum Reply {
    Answer(Answer),
    /// The answer has been written, piece by piece.
    Sent,
    /// The connection belonged to a container's streams, or its answer was cut off: it is over.
    Over,
}

impl Reply {
    pub(crate) fn empty(status: u16) -> Result<Reply> {
        Ok(Reply::Answer(Answer::empty(status)))
    }

    pub(crate) fn json(value: &Value) -> Result<Reply> {
        Ok(Reply::Answer(Answer::json(200, value)))
    }

    pub(crate) fn created(value: &Value) -> Result<Reply> {
        Ok(Reply::Answer(Answer::json(201, value)))
    }
}

/// See the module.
pub(crate) struct Call<'a> {
    pub(crate) creel: &'a Creel,
    pub(crate) memory: &'a Memory,
    pub(crate) connection: &'a mut Connection,
    pub(crate) request: Request,
    /// What stands in the path where the route has a name.
    pub(crate) names: Vec<String>,
}

impl Call<'_> {
    pub(crate) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.request.query.get(name)
    }

    pub(crate) fn asks(&self, name: &str) -> bool {
        self.request.query.is(name)
    }

    /// The request's body.
    pub(crate) fn body(&mut self) -> Result<Value> {
        self.connection.json(&mut self.request).map_err(Error::bad)
    }

    /// `filters=` as flags: both forms that clients have sent, `{"label":["a"]}` and `{"label":{"a":true}}`.
    pub(crate) fn filters(&self) -> Result<Vec<(String, String)>> {
        let Some(text) = self.query("filters") else { return Ok(Vec::new()) };
        parse_filters(text).ok_or_else(|| Error::bad(format!("invalid filter: {text}")))
    }

    /// The filters, as `--filter` flags of a command.
    pub(crate) fn filter(&self, words: &mut Words) -> Result<()> {
        for (key, value) in self.filters()? {
            words.flag("filter", Some(format!("{key}={value}")));
        }
        Ok(())
    }

    /// Runs a command that acts on what the path names.
    pub(crate) fn act(&self, mut words: Words) -> Result<Reply> {
        self.creel.run(words.names([self.name()]))?;
        Reply::empty(204)
    }

    /// An answer of lines of JSON, as they come.
    pub(crate) fn lines(&mut self) -> Result<crate::http::Chunks<'_>> {
        Ok(self.connection.chunks("application/json", &[])?)
    }
}

fn parse_filters(text: &str) -> Option<Vec<(String, String)>> {
    let parsed: Value = serde_json::from_str(text).ok()?;
    let mut filters = Vec::new();
    for (key, values) in parsed.as_object()? {
        match values {
            Value::Array(list) => {
                for value in list {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    filters.push((key.clone(), text));
                }
            }
            Value::Object(set) => filters.extend(set.keys().map(|value| (key.clone(), value.clone()))),
            _ => return None,
        }
    }
    Some(filters)
}

/// How long an exec that was made and not started keeps the service waiting for its start.
const UNSTARTED: Duration = Duration::from_secs(300);

/// What the service knows that no record holds: sessions of exec, and terminals whose size can be changed.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    sessions: Mutex<HashMap<String, Arc<Mutex<Session>>>>,
    /// By a container's or a session's id.
    terminals: Mutex<HashMap<String, Weak<Terminal>>>,
    /// Why containers could not be made ready for whoever attached to them: their start says so.
    refused: Mutex<HashMap<String, String>>,
    busy: AtomicUsize,
    /// When a request has ended last.
    used: Mutex<Option<Instant>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(crate) fn remember(&self, id: String, session: Session) {
        lock(&self.sessions).insert(id, Arc::new(Mutex::new(session)));
    }

    pub(crate) fn session(&self, id: &str) -> Result<Arc<Mutex<Session>>> {
        let missing = || Error { status: 404, message: format!("No such exec instance: {id}") };
        lock(&self.sessions).get(id).cloned().ok_or_else(missing)
    }

    /// Ids of the sessions in a container.
    pub(crate) fn sessions_of(&self, container: &str) -> Vec<String> {
        let sessions = lock(&self.sessions);
        let of_it = sessions.iter().filter(|(_, session)| lock(session).is_in(container));
        of_it.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn show(&self, id: &str, terminal: &Arc<Terminal>) {
        let mut terminals = lock(&self.terminals);
        terminals.retain(|_, known| known.strong_count() > 0);
        terminals.insert(id.to_owned(), Arc::downgrade(terminal));
    }

    pub(crate) fn terminal(&self, id: &str) -> Option<Arc<Terminal>> {
        lock(&self.terminals).get(id).and_then(Weak::upgrade)
    }

    pub(crate) fn refuse(&self, container: &str, why: &str) {
        lock(&self.refused).insert(container.to_owned(), why.to_owned());
    }

    /// Why a container cannot be started, once.
    pub(crate) fn refused(&self, container: &str) -> Option<String> {
        lock(&self.refused).remove(container)
    }

    pub(crate) fn is_refused(&self, container: &str) -> bool {
        lock(&self.refused).contains_key(container)
    }

    /// Counts a request for as long as it is worked on.
    pub(crate) fn begin(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(self)
    }

    /// When a request has ended last.
    pub(crate) fn last_use(&self) -> Option<Instant> {
        *lock(&self.used)
    }

    /// Whether somebody still needs this process: works with it, or has made a session of exec and is about to start it.
    pub(crate) fn is_needed(&self) -> bool {
        if self.busy.load(Ordering::SeqCst) > 0 {
            return true;
        }
        let now = Instant::now();
        lock(&self.sessions)
            .values()
            .any(|session| lock(session).waits_since().is_some_and(|made| now - made < UNSTARTED))
    }
}

/// A request that is being worked on.
pub(crate) struct Busy<'a>(&'a Memory);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *lock(&self.0.used) = Some(Instant::now());
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_come_in_two_forms() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(parse_filters(r#"{"label":["a=b","c"]}"#), Some(vec![pair("label", "a=b"), pair("label", "c")]));
        assert_eq!(parse_filters(r#"{"dangling":{"true":true}}"#), Some(vec![pair("dangling", "true")]));
        assert_eq!(parse_filters(r#"{"until":[5]}"#), Some(vec![pair("until", "5")]));
        for wrong in ["", "[]", r#"{"a":1}"#] {
            assert_eq!(parse_filters(wrong), None, "{wrong}");
        }
    }
}
