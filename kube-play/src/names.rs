//! What Kubernetes takes as a name. Each rule answers with itself when it is broken.

type Rule = Result<(), &'static str>;

const LABEL: &str = "at most 63 lower case letters, digits and \"-\", with a letter or digit at both ends";
const SUBDOMAIN: &str =
    "at most 253 lower case letters, digits, \"-\" and \".\", with a letter or digit at both ends of each part";

fn lower(char: char) -> bool {
    char.is_ascii_lowercase() || char.is_ascii_digit()
}

fn label_like(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|char| lower(char) || char == '-')
        && text.starts_with(lower)
        && text.ends_with(lower)
}

/// A DNS label (RFC 1123).
pub(crate) fn label(text: &str) -> Rule {
    if label_like(text) && text.len() <= 63 { Ok(()) } else { Err(LABEL) }
}

/// A DNS label, as of a pod's volume; or what Podman's `kube generate` calls an anonymous volume, which is longer.
pub(crate) fn volume(text: &str) -> Rule {
    const ID: usize = 64;
    let anonymous = text.strip_suffix("-pvc").is_some_and(|id| id.len() == ID && id.chars().all(lower));
    if anonymous { Ok(()) } else { label(text) }
}

/// A DNS subdomain (RFC 1123).
pub(crate) fn subdomain(text: &str) -> Rule {
    if text.len() <= 253 && text.split('.').all(label_like) { Ok(()) } else { Err(SUBDOMAIN) }
}

/// A DNS label as of RFC 1035: Services become host names of environment variables.
pub(crate) fn service(text: &str) -> Rule {
    if label_like(text) && text.len() <= 63 && text.starts_with(|char: char| char.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err("at most 63 lower case letters, digits and \"-\", beginning with a letter and not ending with \"-\"")
    }
}

/// A service's name as IANA has it (RFC 6335).
pub(crate) fn port_name(text: &str) -> Rule {
    let fits = label_like(text)
        && text.len() <= 15
        && !text.contains("--")
        && text.chars().any(|char| char.is_ascii_lowercase());
    if fits {
        Ok(())
    } else {
        Err("at most 15 lower case letters, digits and single \"-\" between them, at least one letter")
    }
}

pub(crate) fn environment(text: &str) -> Rule {
    if !text.is_empty() && text.chars().all(|char| (' '..='~').contains(&char) && char != '=') {
        Ok(())
    } else {
        Err("printable ASCII letters without \"=\"")
    }
}

pub(crate) fn data_key(text: &str) -> Rule {
    let fits = !text.is_empty()
        && text.len() <= 253
        && text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char))
        && text != "."
        && !text.starts_with("..");
    if fits { Ok(()) } else { Err("at most 253 letters, digits, \"-\", \"_\" and \".\", not beginning with \"..\"") }
}

pub(crate) fn absolute_path(text: &str) -> Rule {
    if text.starts_with('/') && !text.contains('\0') { Ok(()) } else { Err("a path that begins with \"/\"") }
}

pub(crate) fn mount_path(text: &str) -> Rule {
    if !text.starts_with('/') {
        Err("must be an absolute path: one that begins with \"/\"")
    } else if text.contains(':') {
        Err("a path without \":\"")
    } else {
        Ok(())
    }
}

pub(crate) fn inner_path(text: &str) -> Rule {
    if text.starts_with('/') {
        Err("a path that does not begin with \"/\"")
    } else if text.split('/').any(|part| part == "..") {
        Err("a path without \"..\"")
    } else {
        Ok(())
    }
}

pub(crate) fn image(text: &str) -> Rule {
    if text.is_empty() || text.chars().any(char::is_whitespace) { Err("a name without spaces") } else { Ok(()) }
}

/// `name` or `domain/name`, as of labels and annotations.
pub(crate) fn qualified(text: &str) -> Rule {
    const RULE: &str = "an optional domain and \"/\", then at most 63 letters, digits, \"-\", \"_\" and \".\", \
                        with a letter or digit at both ends";
    let name = match text.split_once('/') {
        Some((domain, name)) => {
            subdomain(domain).map_err(|_| RULE)?;
            name
        }
        None => text,
    };
    let fits = !name.is_empty() && label_value(name).is_ok();
    if fits { Ok(()) } else { Err(RULE) }
}

pub(crate) fn label_value(text: &str) -> Rule {
    let end = |char: char| char.is_ascii_alphanumeric();
    let fits = text.is_empty()
        || text.len() <= 63
            && text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char))
            && text.starts_with(end)
            && text.ends_with(end);
    if fits {
        Ok(())
    } else {
        Err("at most 63 letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rules() {
        type Check = fn(&str) -> Rule;
        let anonymous = format!("{}-pvc", "0".repeat(64));
        let rows: [(Check, &[&str], &[&str]); 9] = [
            (label, &["a", "web-1", "1a"], &["", "Web", "a.b", "-a", "a-", "a_b", &"a".repeat(64)]),
            (volume, &["data", &anonymous], &["", "a.b", &anonymous[1..], &"a".repeat(68)]),
            (subdomain, &["a.b", "web", "a-b.c-d"], &["a..b", ".a", "A", "a.-b", &"a.".repeat(130)]),
            (service, &["web", "a1"], &["1a", "a.b", "a-"]),
            (port_name, &["http", "a-1"], &["1", "a--b", "http_2", "more-than-fifteen"]),
            (environment, &["A", "a.b", "a-b", "1"], &["", "A=B", "ä"]),
            (data_key, &["a", "A_b.c-d", ".hidden"], &["", ".", "..", "..a", "a/b", "a b"]),
            (qualified, &["app", "example.com/app", "a.B_c"], &["", "/a", "a/", "a/b/c", "-a", "Example.com/a"]),
            (label_value, &["", "a", "v1.2_x"], &["-", "a b", "a/", &"x".repeat(64)]),
        ];
        for (check, good, bad) in rows {
            for text in good {
                assert_eq!(check(text), Ok(()), "{text:?}");
            }
            for text in bad {
                assert!(check(text).is_err(), "{text:?}");
            }
        }
    }
}
