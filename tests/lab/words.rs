//! Command lines in tests are written as one would type them.

/// Splits as a shell does: blanks part words, `'…'` is verbatim, `"…"` keeps blanks, `\` outside of `'…'` takes the next
/// character as it is. Nothing is expanded.
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (_, Some(open)) if char == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().push(chars.next().unwrap()),
            (_, None) if char.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    assert!(quote.is_none(), "open quote in: {line}");
    words.extend(word);
    words
}

#[test]
fn words_are_split_as_a_shell_splits_them() {
    assert_eq!(split(r#"run  -e A='b c' "" "d 'e" f\ g"#), ["run", "-e", "A=b c", "", "d 'e", "f g"]);
}
