//! README.md: what it shows is what happens.

use crate::lab::{Lab, differs_on_purpose, free_port};

/// The `console` blocks: commands behind `$ `, each with the lines it is said to print.
fn shown() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (line, inside) {
            ("```console", _) => inside = true,
            ("```", true) => inside = false,
            (line, true) => match line.strip_prefix("$ ") {
                Some(command) => found.push((command.to_owned(), Vec::new())),
                None => found.last_mut().unwrap().1.push(line.to_owned()),
            },
            _ => {}
        }
    }
    found
}

/// Like a glob: `…` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    let mut parts = pattern.split('…').peekable();
    let first = parts.next().unwrap();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return part.is_empty() || rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

#[test]
fn every_command_of_the_readme_prints_what_it_says() {
    if differs_on_purpose("it shows creel") {
        return;
    }
    let commands = shown();
    assert!(commands.len() >= 5, "five commands at least");
    let lab = Lab::empty();
    let port = free_port().to_string();
    for (command, expected) in commands {
        let expected: Vec<String> = expected.iter().map(|line| line.replace("8080->", &format!("{port}->"))).collect();
        let outcome = lab
            .shell(
                &command
                    .replace("8080:8080", &format!("{port}:8080"))
                    .replace("localhost:8080", &format!("localhost:{port}")),
            )
            .run();
        let printed = outcome.ok();
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{command}: {outcome}");
        for (line, pattern) in lines.iter().zip(&expected) {
            assert!(matches(pattern, line.trim_end()), "{command}: `{line}` is not `{pattern}`");
        }
    }
}

#[test]
fn what_stands_for_anything_matches_anything() {
    for (pattern, text, expected) in [
        ("a…c", "abbc", true),
        ("a…c", "abbd", false),
        ("…", "", true),
        ("same", "same", true),
        ("same", "same?", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
