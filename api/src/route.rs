//! Which request is answered by what: the table of Docker's paths.

use crate::call::{Call, Reply};
use crate::creel::Result;
use crate::http::decode;
use crate::{build, containers, credentials, events, exec, images, networks, stats, system, transfer, volumes};

pub(crate) type Handler = fn(&mut Call<'_>) -> Result<Reply>;

/// `*` is one word of a path, `**` one or more: names of images have strokes in them. The first row that fits is meant.
const ROUTES: &[(&str, &str, Handler)] = &[
    ("GET", "/_ping", system::ping),
    ("HEAD", "/_ping", system::ping),
    ("GET", "/version", system::version),
    ("GET", "/info", system::info),
    ("GET", "/events", events::events),
    ("GET", "/system/df", system::usage),
    ("POST", "/auth", credentials::auth),
    ("POST", "/build", build::build),
    ("POST", "/build/prune", build::prune),
    ("POST", "/commit", images::commit),
    ("GET", "/containers/json", containers::list),
    ("POST", "/containers/create", containers::create),
    ("POST", "/containers/prune", containers::prune),
    ("GET", "/containers/*/json", containers::inspect),
    ("GET", "/containers/*/top", containers::top),
    ("GET", "/containers/*/logs", containers::logs),
    ("GET", "/containers/*/changes", containers::changes),
    ("GET", "/containers/*/export", containers::export),
    ("GET", "/containers/*/stats", stats::stats),
    ("GET", "/containers/*/archive", transfer::get),
    ("HEAD", "/containers/*/archive", transfer::stat),
    ("PUT", "/containers/*/archive", transfer::put),
    ("POST", "/containers/*/start", containers::start),
    ("POST", "/containers/*/stop", containers::stop),
    ("POST", "/containers/*/restart", containers::restart),
    ("POST", "/containers/*/kill", containers::kill),
    ("POST", "/containers/*/update", containers::update),
    ("POST", "/containers/*/rename", containers::rename),
    ("POST", "/containers/*/pause", containers::pause),
    ("POST", "/containers/*/unpause", containers::unpause),
    ("POST", "/containers/*/attach", containers::attach),
    ("POST", "/containers/*/wait", containers::wait),
    ("POST", "/containers/*/resize", exec::resize_container),
    ("POST", "/containers/*/exec", exec::create),
    ("DELETE", "/containers/*", containers::remove),
    ("POST", "/exec/*/start", exec::start),
    ("POST", "/exec/*/resize", exec::resize),
    ("GET", "/exec/*/json", exec::inspect),
    ("GET", "/images/json", images::list),
    ("GET", "/images/search", images::search),
    ("GET", "/images/get", images::save),
    ("POST", "/images/create", images::create),
    ("POST", "/images/load", images::load),
    ("POST", "/images/prune", images::prune),
    ("GET", "/images/**/json", images::inspect),
    ("GET", "/images/**/history", images::history),
    ("GET", "/images/**/get", images::save),
    ("POST", "/images/**/push", images::push),
    ("POST", "/images/**/tag", images::tag),
    ("DELETE", "/images/**", images::remove),
    ("GET", "/networks", networks::list),
    ("POST", "/networks/create", networks::create),
    ("POST", "/networks/prune", networks::prune),
    ("POST", "/networks/*/connect", networks::connect),
    ("POST", "/networks/*/disconnect", networks::disconnect),
    ("GET", "/networks/*", networks::inspect),
    ("DELETE", "/networks/*", networks::remove),
    ("GET", "/volumes", volumes::list),
    ("POST", "/volumes/create", volumes::create),
    ("POST", "/volumes/prune", volumes::prune),
    ("GET", "/volumes/*", volumes::inspect),
    ("DELETE", "/volumes/*", volumes::remove),
];

/// Who answers, and what stands in the path for `*` and `**`.
pub(crate) fn find(method: &str, path: &str) -> Option<(Handler, Vec<String>)> {
    let words = words(path);
    ROUTES.iter().filter(|(of, ..)| *of == method).find_map(|(_, pattern, handler)| {
        let pattern: Vec<&str> = pattern.split('/').skip(1).collect();
        Some((*handler, fit(&pattern, &words)?))
    })
}

/// Without the version that clients put before it: they speak none that differs here.
fn words(path: &str) -> Vec<&str> {
    let mut words: Vec<&str> = path.trim_matches('/').split('/').collect();
    let is_version = |word: &str| {
        word.strip_prefix('v')
            .is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()) && rest.contains('.'))
    };
    if words.first().is_some_and(|word| is_version(word)) {
        words.remove(0);
    }
    words
}

fn fit(pattern: &[&str], words: &[&str]) -> Option<Vec<String>> {
    let (first, rest) = match pattern.split_first() {
        None => return words.is_empty().then(Vec::new),
        Some((first, rest)) => (*first, rest),
    };
    let most = match first {
        "**" => words.len().checked_sub(rest.len())?,
        _ => 1,
    };
    let (mine, others) = words.split_at_checked(most)?;
    if mine.iter().any(|word| word.is_empty()) || mine.is_empty() {
        return None;
    }
    let mut names = match first {
        "*" | "**" => vec![decode(&mine.join("/"))],
        fixed => (mine == [fixed]).then(Vec::new)?,
    };
    names.extend(fit(rest, others)?);
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_what_answers_them() {
        let names = |method: &str, path: &str| find(method, path).map(|(_, names)| names);
        assert_eq!(names("GET", "/v1.41/containers/json"), Some(vec![]));
        assert_eq!(names("GET", "/containers/a%2Fb/json"), Some(vec!["a/b".into()]));
        assert_eq!(
            names("GET", "/v1.44/images/docker.io/library/x:1/json"),
            Some(vec!["docker.io/library/x:1".into()])
        );
        assert_eq!(names("DELETE", "/images/a/b"), Some(vec!["a/b".into()]));
        assert_eq!(names("POST", "/images/create"), Some(vec![]));
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/containers"),
            ("GET", "/containers//json"),
            ("POST", "/images//tag"),
            ("PUT", "/info"),
            ("GET", "/v2/info"),
        ] {
            assert_eq!(names(method, path), None, "{method} {path}");
        }
    }
}
