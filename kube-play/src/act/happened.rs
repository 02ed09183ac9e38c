//! What the journal tells of played pods, in the words of Kubernetes' events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use storage::events::Event as Told;

use super::error::Result;
use super::objects::Shelf;
use super::observe::Seen;
use crate::plan::{Kind, ObjectId};
use crate::show::Event;

/// Knows which containers are of which pods; also of those that have gone since they were last seen.
#[derive(Debug, Default)]
pub struct Chronicle {
    /// The pod, and what its manifest calls the container.
    containers: BTreeMap<String, (ObjectId, String)>,
}

impl Chronicle {
    pub fn learn(&mut self, seen: &[Seen]) {
        for pod in seen {
            let id = ObjectId::new(Kind::Pod, &pod.namespace, &pod.name);
            for member in pod.pod.members() {
                let known = (id.clone(), pod.name_of(member).to_owned());
                self.containers.insert(member.id().to_string(), known);
            }
        }
    }

    /// `None`: it is about something else, or about nothing that Kubernetes tells of.
    pub fn event(&self, told: &Told) -> Option<Event> {
        let (object, container) = self.containers.get(&told.id)?;
        let (warning, reason, message) = words(told, container)?;
        let at = Timestamp::from_nanosecond(told.time.into()).ok()?;
        let (object, reason, from) = (object.clone(), reason.to_owned(), "creel".to_owned());
        Some(Event { object, warning, reason, message, first: at, last: at, count: 1, from })
    }
}

/// Whether it is a warning, the reason and the message.
fn words(told: &Told, container: &str) -> Option<(bool, &'static str, String)> {
    Some(match told.status.as_ref() {
        "create" => (false, "Created", format!("Created container: {container}")),
        "start" => (false, "Started", format!("Started container {container}")),
        "stop" | "kill" => (false, "Killing", format!("Stopping container {container}")),
        "died" => match told.exit_code {
            _ if told.oom_killed => (true, "OOMKilled", format!("Container {container} ran out of memory")),
            Some(0) => (false, "Completed", format!("Container {container} has ended")),
            Some(code) => (true, "Error", format!("Container {container} ended with exit code {code}")),
            None => return None,
        },
        "health_status" => {
            let health =
                told.health.as_ref().filter(|health| health.failing_streak > 0 && !health.output.is_empty())?;
            (true, "Unhealthy", health.output.trim_end().replace('\n', " "))
        }
        _ => return None,
    })
}

/// Why an object is not as it should be: the supervisor says so until it is.
pub fn trouble(shelf: &Shelf, id: &ObjectId) -> Result<Option<Event>> {
    let now = Timestamp::now();
    Ok(shelf.kept(id)?.error.map(|message| Event {
        object: id.clone(),
        warning: true,
        reason: "Failed".to_owned(),
        message,
        first: now,
        last: now,
        count: 1,
        from: "creel".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use storage::events::{Health, Kind as Of};

    use super::*;

    #[test]
    fn the_journal_is_told_in_kubernetes_words() {
        let told = |status: &'static str| Told { id: "c".into(), ..Told::new(Of::Container, status) };
        let mut chronicle = Chronicle::default();
        assert_eq!(chronicle.event(&told("start")), None);
        let pod = ObjectId::new(Kind::Pod, "default", "web");
        chronicle.containers.insert("c".into(), (pod.clone(), "it".into()));
        let line = |told: &Told| chronicle.event(told).map(|event| (event.warning, event.reason, event.message));
        let words = |warning, reason: &str, message: &str| Some((warning, reason.to_owned(), message.to_owned()));
        assert_eq!(line(&told("start")), words(false, "Started", "Started container it"));
        assert_eq!(line(&told("attach")), None);
        let died = |code, oom_killed| Told { exit_code: Some(code), oom_killed, ..told("died") };
        assert_eq!(line(&died(0, false)), words(false, "Completed", "Container it has ended"));
        assert_eq!(line(&died(3, false)), words(true, "Error", "Container it ended with exit code 3"));
        assert_eq!(line(&died(137, true)), words(true, "OOMKilled", "Container it ran out of memory"));
        let check = |failing_streak, output: &str| Told {
            health: Some(Health { failing_streak, output: output.into(), ..Health::default() }),
            ..told("health_status")
        };
        assert_eq!(
            line(&check(1, "Readiness probe failed:\nno\n")),
            words(true, "Unhealthy", "Readiness probe failed: no")
        );
        assert_eq!(line(&check(0, "fine")), None);
        assert_eq!(chronicle.event(&told("start")).map(|event| event.object), Some(pod));
    }
}
