//! What kubectl reads is read; what is wrong is said; nothing panics and nothing takes long.

use std::time::{Duration, Instant};

use super::*;

fn json(text: &str) -> Vec<serde_json::Value> {
    let (documents, flaws) = read(text);
    assert_eq!(flaws, [], "{text}");
    documents.iter().map(Node::json).collect()
}

fn flaws(text: &str) -> Vec<String> {
    read(text)
        .1
        .into_iter()
        .map(|flaw| format!("{}:{} {} {}", flaw.at.line, flaw.at.column, flaw.path, flaw.text))
        .collect()
}

#[test]
fn what_kubectl_reads_is_read() {
    use serde_json::json as value;
    for (text, expected) in [
        ("a: [1, 2,]\nb: {x: 1, y: 2,}\n", vec![value!({"a": [1, 2], "b": {"x": 1, "y": 2}})]),
        ("\u{feff}a: 1\r\nb: |\r\n  x\r\n  y\r\n", vec![value!({"a": 1, "b": "x\ny\n"})]),
        ("---\n---\n# nothing\n---\na: 1\n...\n---\nb: 2\n", vec![value!({"a": 1}), value!({"b": 2})]),
        (
            "{\"a\": \"x\\/y \\ud83d\\ude00\",\n\t\"b\": [1,\n\t2], \"c\": null}",
            vec![value!({"a": "x/y 😀", "b": [1, 2], "c": null})],
        ),
        ("mode: 0644\nother: 0o17\nhex: 0x1f\n", vec![value!({"mode": 420, "other": 15, "hex": 31})]),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", vec![value!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}})]),
        (
            "a: &x {b: 1}\ny: &y {b: 2, c: 2}\nd:\n  <<: [*x, *y]\n",
            vec![value!({"a": {"b": 1}, "y": {"b": 2, "c": 2}, "d": {"b": 1, "c": 2}})],
        ),
        ("a: 'it''s'\nb: \"\\x41\\n\"\nc: >-\n  one\n  two\n", vec![value!({"a": "it's", "b": "A\n", "c": "one two"})]),
        ("80: a\ntrue: b\n", vec![value!({"80": "a", "true": "b"})]),
        ("a: !!str 1\nb: !!int '2'\n", vec![value!({"a": "1", "b": 2})]),
        ("a:\n- b\n- c: 1\n  d: 2\n", vec![value!({"a": ["b", {"c": 1, "d": 2}]})]),
        ("%YAML 1.1\n---\na: 1\n", vec![value!({"a": 1})]),
        ("", vec![]),
        ("# only a remark\n", vec![]),
    ] {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3\n", "3:1 a the key \"a\" is there twice, first in line 1"),
        ("a:\n\tb: 1\n", "2:2 a tabs disallowed within this context (block indentation)"),
        ("a: *nope\n", "1:4 a while parsing node, found unknown anchor"),
        ("a: &x [*x]\n", "1:8 a[0] an alias inside of what it stands for"),
        ("a: !secret x\n", "1:12 a the tag !secret is unknown"),
        ("? [a]\n: b\n", "1:3  a key must be one word, not a list or a map"),
        ("<<: 3\n", "1:5  \"<<\" takes a map or a list of maps"),
        ("a: [b\n", "1:4 a[0] unclosed bracket '['"),
        ("a: \0\n", "1:0  the file holds a zero byte: this is no text"),
    ] {
        assert_eq!(flaws(text), [expected], "{text}");
    }
}

#[test]
fn a_broken_document_does_not_hide_the_next() {
    let (documents, flaws) = read("a: [b\n---\nc: 1\n---\nd:\n  e: 1\n f: 2\n---\ng: 1\n");
    assert_eq!(
        documents.iter().map(Node::json).collect::<Vec<_>>(),
        [serde_json::json!({"c": 1}), serde_json::json!({"g": 1})]
    );
    assert_eq!(flaws.iter().map(|flaw| flaw.at.line).collect::<Vec<_>>(), [1, 7]);
}

#[test]
fn bombs_are_refused_in_time() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
    let texts = [
        laughs,
        long,
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        (0..400).map(|level| format!("{}a:\n", " ".repeat(level))).collect(),
        "- ".repeat(50_000),
        "? ".repeat(50_000),
        format!("a: {}", "&x ".repeat(50_000)),
    ];
    for text in texts {
        let start = Instant::now();
        let (_, flaws) = read(&text);
        assert!(!flaws.is_empty(), "{}", &text[..60]);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?} for {}", start.elapsed(), &text[..60]);
    }
}

#[test]
fn a_large_config_map_is_read() {
    let body: String = (0..20_000).map(|line| format!("    line {line} of a long file\n")).collect();
    let (documents, flaws) = read(&format!("data:\n  file: |\n{body}"));
    assert_eq!((documents.len(), flaws), (1, vec![]));
}
