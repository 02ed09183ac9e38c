//! Colours: on a terminal only, and never where `NO_COLOR` (no-color.org) or `TERM=dumb` asks for none.

use std::io::IsTerminal;

/// What a word is to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Red,
    Green,
    Yellow,
    Cyan,
}

/// Whether a stream shows colours.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    coloured: bool,
}

pub fn stdout() -> Palette {
    Palette { coloured: allowed() && std::io::stdout().is_terminal() }
}

pub fn stderr() -> Palette {
    Palette { coloured: allowed() && std::io::stderr().is_terminal() }
}

fn allowed() -> bool {
    let variable = crate::caller::variable;
    variable("NO_COLOR").is_none() && variable("TERM").is_some_and(|term| term != "dumb")
}

impl Palette {
    /// The word between the escape sequences of ECMA-48, or as it is.
    pub fn paint(self, style: Style, word: &str) -> String {
        if !self.coloured {
            return word.to_owned();
        }
        let code = match style {
            Style::Red => "1;31",
            Style::Green => "32",
            Style::Yellow => "1;33",
            Style::Cyan => "36",
        };
        format!("\u{1b}[{code}m{word}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_painted_only_where_colours_show() {
        assert_eq!(Palette { coloured: true }.paint(Style::Red, "x"), "\u{1b}[1;31mx\u{1b}[0m");
        assert_eq!(Palette { coloured: false }.paint(Style::Red, "x"), "x");
    }
}
