//! Errors of libraries and of the kernel as one line of text.

/// The messages of an error and of what caused it, outermost first, joined by `: `. A cause whose words are already in
/// the message above it is left out.
pub fn folded(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    go_words(text)
}

/// The kernel's errors in the words that Go programs use for them, without Rust's `(os error N)`.
pub fn go_words(text: String) -> String {
    let mut result = text;
    while let Some(start) = result.find(" (os error ") {
        let Some(length) = result[start..].find(')') else { break };
        // "No such file or directory" -> "no such file or directory", as strerror's words are printed by Go.
        let head = &result[..start];
        let sentence = head.rfind(": ").map_or(0, |at| at + 2);
        let mut words = head[sentence..].to_owned();
        let lower = words.chars().next().filter(|first| first.is_ascii_uppercase());
        if let Some(first) = lower
            && !words[1..].starts_with(|c: char| c.is_ascii_uppercase())
        {
            words.replace_range(..1, &first.to_ascii_lowercase().to_string());
        }
        result = format!("{}{words}{}", &head[..sentence], &result[start + length + 1..]);
    }
    result
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("opening the store")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_are_folded_in_gos_words() {
        let error = Outer(io::Error::from_raw_os_error(2));
        assert_eq!(folded(&error), "opening the store: no such file or directory");
    }
}
