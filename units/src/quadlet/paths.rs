//! Paths in a Quadlet are relative to its file.

/// `path`, seen from the Quadlet at `unit`. What begins with a specifier is systemd's to resolve.
pub(super) fn absolute(unit: &str, path: &str) -> String {
    match path.starts_with('%') {
        true => path.to_owned(),
        false if path.starts_with('/') => clean(path),
        false => clean(&format!("{}/{path}", directory(unit))),
    }
}

/// The directory of a file.
pub(super) fn directory(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((directory, _)) => directory,
        None => ".",
    }
}

/// Without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Something on another machine.
pub(super) fn is_url(text: &str) -> bool {
    ["http://", "https://", "git://", "github.com/"].iter().any(|scheme| text.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_quadlet() {
        for (path, absolute_path) in [
            ("./rel", "/q/d/rel"),
            ("../up", "/q/up"),
            (".", "/q/d"),
            ("a//b/../c", "/q/d/a/c"),
            ("/x/./y", "/x/y"),
            ("%h/x", "%h/x"),
            ("./%n", "/q/d/%n"),
        ] {
            assert_eq!(absolute("/q/d/a.container", path), absolute_path);
        }
    }
}
