//! `--filter` of `pod ps` and of what chooses pods: the same key repeated is "or", different keys are "and", labels are
//! "and".

use jiff::Timestamp;
use pods::Pod;

use crate::arguments::go_quote;
use crate::error::Failure;
use crate::filters::Pattern;
use crate::state;

enum Filter {
    ContainerId(String),
    ContainerName(Pattern),
    ContainerNumber(usize),
    ContainerStatus(String),
    Id(String),
    Label { key: String, value: Option<String>, negated: bool },
    Name(Pattern),
    Network(String),
    Status(String),
    Until(Timestamp),
}

/// All filters of a command.
pub(super) struct Filters(Vec<(String, Filter)>);

impl Filters {
    pub(super) fn parse(texts: &[String]) -> Result<Filters, Failure> {
        let parsed = texts.iter().map(|text| match text.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), Filter::parse(key, value)?)),
            None => Err(Failure::plain(format!("filter input must be in the form of filter=value: {text} is invalid"))),
        });
        parsed.collect::<Result<_, _>>().map(Filters)
    }

    pub(super) fn pass(&self, pod: &Pod) -> bool {
        self.0.iter().all(|(key, filter)| match filter {
            Filter::Label { .. } => filter.fits(pod),
            // One of this key is enough.
            _ => self.0.iter().any(|(other, filter)| other == key && filter.fits(pod)),
        })
    }
}

impl Filter {
    fn parse(key: &str, value: &str) -> Result<Filter, Failure> {
        let text = value.to_owned();
        Ok(match key {
            "ctr-ids" => Filter::ContainerId(text),
            "ctr-names" => Filter::ContainerName(Pattern::parse(value)?),
            "ctr-number" => {
                Filter::ContainerNumber(value.parse().map_err(|_| {
                    Failure::plain(format!("strconv.Atoi: parsing {}: invalid syntax", go_quote(value)))
                })?)
            }
            "ctr-status" => match value {
                "created" | "running" | "paused" | "stopped" | "exited" | "unknown" => Filter::ContainerStatus(text),
                _ => return Err(Failure::plain(format!("{value} is not a valid status"))),
            },
            "id" => Filter::Id(text),
            "label" | "label!" => {
                let (label, value) = match value.split_once('=') {
                    Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                };
                Filter::Label { key: label, value, negated: key == "label!" }
            }
            "name" => Filter::Name(Pattern::parse(value)?),
            "network" => Filter::Network(text),
            "status" => match value {
                "stopped" | "running" | "paused" | "exited" | "dead" | "created" | "degraded" => Filter::Status(text),
                _ => return Err(Failure::plain(format!("{value} is not a valid pod status"))),
            },
            "until" => Filter::Until(crate::when::filter(value)?),
            _ => return Err(Failure::plain(format!("{key} is an invalid filter"))),
        })
    }

    fn fits(&self, pod: &Pod) -> bool {
        let some = |fits: &dyn Fn(&containers::Container) -> bool| pod.containers.iter().any(fits);
        match self {
            Filter::ContainerId(id) => some(&|container| container.id().as_str().starts_with(id.as_str())),
            Filter::ContainerName(name) => some(&|container| name.fits(container.name())),
            Filter::ContainerNumber(number) => pod.containers.len() == *number,
            Filter::ContainerStatus(status) => some(&|container| match (status.as_str(), state::word(container)) {
                ("stopped", word) => word == "exited",
                (wanted, word) => wanted == word,
            }),
            Filter::Id(id) => pod.id().as_str().starts_with(id.as_str()),
            Filter::Label { key, value, negated } => {
                let found = pod.spec().labels.get(key);
                let fits = found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found));
                fits != *negated
            }
            Filter::Name(name) => name.fits(pod.name()),
            Filter::Network(network) => pod.infra().is_some_and(|infra| state::networks(infra).contains(network)),
            Filter::Status(status) => pod.state().word().eq_ignore_ascii_case(status),
            Filter::Until(time) => pod.record.created < *time,
        }
    }
}
