//! What happened: `kube events`, and the end of `kube describe`.

use jiff::Timestamp;

use super::age::age;
use super::table::Table;
use crate::plan::ObjectId;

/// Something that happened to an object, once or several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub object: ObjectId,
    pub warning: bool,
    pub reason: String,
    pub message: String,
    pub first: Timestamp,
    pub last: Timestamp,
    /// How often.
    pub count: u32,
    pub from: String,
}

impl Event {
    /// kubectl's word for what kind of event it is.
    pub fn kind(&self) -> &'static str {
        if self.warning { "Warning" } else { "Normal" }
    }

    /// `5s`, or `5s (x3 over 2m)`.
    pub(super) fn seen(&self, now: Timestamp) -> String {
        match self.count {
            0 | 1 => age(self.last, now),
            count => format!("{} (x{count} over {})", age(self.last, now), age(self.first, now)),
        }
    }
}

/// Those that say the same of one object become one; the last one last.
pub fn gather(all: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut gathered: Vec<Event> = Vec::new();
    for event in all {
        let is_same = |known: &&mut Event| {
            (&known.object, &known.reason, &known.message) == (&event.object, &event.reason, &event.message)
        };
        match gathered.iter_mut().find(is_same) {
            Some(known) => {
                known.count += event.count;
                known.first = known.first.min(event.first);
                known.last = known.last.max(event.last);
            }
            None => gathered.push(event),
        }
    }
    gathered.sort_by_key(|event| event.last);
    gathered
}

/// A row for each. `namespaces`: with a column for theirs.
pub fn events(all: &[Event], namespaces: bool, now: Timestamp) -> Table {
    let mut table = Table::new(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    for event in all {
        table.row([
            event.seen(now),
            event.kind().to_owned(),
            event.reason.clone(),
            format!("{}/{}", event.object.kind, event.object.name),
            event.message.clone(),
        ]);
    }
    if namespaces {
        table.lead("NAMESPACE", all.iter().map(|event| event.object.namespace.clone()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kind;

    #[test]
    fn events_that_say_the_same_are_one() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let event = |name: &str, reason: &str, second| Event {
            object: ObjectId::new(Kind::Pod, "default", name),
            warning: reason == "Error",
            reason: reason.to_owned(),
            message: "so".to_owned(),
            first: at(second),
            last: at(second),
            count: 1,
            from: "creel".to_owned(),
        };
        let all = gather([event("a", "Started", 10), event("b", "Error", 20), event("a", "Started", 30)]);
        assert_eq!(
            events(&all, false, at(40)).text(true),
            "LAST SEEN           TYPE      REASON    OBJECT   MESSAGE\n\
             20s                 Warning   Error     Pod/b    so\n\
             10s (x2 over 30s)   Normal    Started   Pod/a    so\n"
        );
        assert!(events(&all, true, at(40)).text(false).starts_with("default   20s "));
    }
}
