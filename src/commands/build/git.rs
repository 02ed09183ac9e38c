//! A git repository as context: `URL[#REF[:DIRECTORY]]`, fetched with the program git.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Failure, on_path};

pub fn is_git(text: &str) -> bool {
    let bare = text.split('#').next().unwrap_or(text);
    text.starts_with("git://")
        || text.starts_with("git@")
        || text.starts_with("ssh://")
        || text.starts_with("github.com/")
        || (text.contains("://") && bare.ends_with(".git"))
}

/// What is written behind the URL.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    url: String,
    /// A branch, a tag or a commit; the default branch where `None`.
    reference: Option<&'a str>,
    directory: Option<&'a str>,
}

impl Place<'_> {
    fn of(text: &str) -> Place<'_> {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let some = |text: &'_ str| (!text.is_empty()).then_some(());
        Place {
            url: if url.starts_with("github.com/") { format!("https://{url}") } else { url.to_owned() },
            reference: some(reference).map(|()| reference),
            directory: some(directory).map(|()| directory),
        }
    }
}

/// Fetches one commit into `dir`, which is empty, and says where the context is in it.
pub fn fetch(text: &str, dir: &Path) -> Result<PathBuf, Failure> {
    let place = Place::of(text);
    git(text, dir, &["init", "-q"])?;
    git(text, dir, &["fetch", "-q", "--depth=1", "--", &place.url, place.reference.unwrap_or("HEAD")])?;
    git(text, dir, &["checkout", "-q", "FETCH_HEAD"])?;
    git(text, dir, &["submodule", "-q", "update", "--init", "--recursive", "--depth=1"])?;
    let Some(directory) = place.directory else { return Ok(dir.to_owned()) };
    // A link in the repository must not lead out of it.
    let path = dir.join(directory).canonicalize().map_err(on_path("open", directory))?;
    match path.starts_with(dir.canonicalize()?) && path.is_dir() {
        true => Ok(path),
        false => Err(Failure::plain(format!("{text}: {directory} is no directory of the repository"))),
    }
}

fn git(text: &str, dir: &Path, words: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new("git");
    // What the repository is asked for, not what this machine's other repositories want.
    command.arg("-C").arg(dir).args(["-c", "advice.detachedHead=false"]).args(words);
    command.env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null()).stdout(Stdio::null());
    let done = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::plain(format!("{text}: the program git is not installed"))
            .hint("install the package git, or give a directory"),
        _ => on_path("exec", "git")(error),
    })?;
    if done.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&done.stderr);
    let last = told.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("git failed");
    Err(Failure::plain(format!("cloning {text}: git {}: {last}", words[0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place = |url: &str, reference, directory| Place { url: url.to_owned(), reference, directory };
        let url = "https://example.org/a.git";
        assert_eq!(Place::of(url), place(url, None, None));
        assert_eq!(Place::of("https://example.org/a.git#main:sub"), place(url, Some("main"), Some("sub")));
        assert_eq!(Place::of("https://example.org/a.git#:sub"), place(url, None, Some("sub")));
        assert_eq!(Place::of("github.com/a/b#v1"), place("https://github.com/a/b", Some("v1"), None));
    }
}
