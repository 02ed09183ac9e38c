//! A command line that was taken once, read again for its flags.

use clap::{Arg, Command};

use super::{by_long, by_short, needs_no_value};

/// One flag as it was written, or several short ones in one word: their long names, and the words.
pub struct WrittenFlag {
    pub names: Vec<String>,
    pub words: Vec<String>,
}

/// The flags that these words begin with, and what comes after them. What is no flag of the command ends them.
pub fn leading_flags<'a>(command: &Command, words: &'a [String]) -> (Vec<WrittenFlag>, &'a [String]) {
    let mut flags = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.len() > 1 && word.starts_with('-') && *word != "--") {
        let (found, has_value) = match word.strip_prefix("--") {
            Some(long) => {
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                (by_long(command, name).into_iter().collect(), value.is_some())
            }
            None => {
                let mut shorts: Vec<&Arg> = Vec::new();
                let mut has_value = false;
                for (index, short) in word[1..].char_indices() {
                    let Some(flag) = by_short(command, short) else { break };
                    shorts.push(flag);
                    if !needs_no_value(flag) {
                        has_value = index + short.len_utf8() < word.len() - 1;
                        break;
                    }
                }
                (shorts, has_value)
            }
        };
        let Some(last) = found.last() else { break };
        let count = if has_value || needs_no_value(last) { 1 } else { 2 };
        let names = found.iter().filter_map(|flag| flag.get_long()).map(str::to_owned).collect();
        let end = (at + count).min(words.len());
        flags.push(WrittenFlag { names, words: words[at..end].to_vec() });
        at = end;
    }
    let rest = if words.get(at).is_some_and(|word| word == "--") { at + 1 } else { at };
    (flags, &words[rest..])
}
