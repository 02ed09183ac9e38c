//! Columns.

use std::borrow::Cow;

/// Rows under headers, three blanks between columns, nothing after the last one; kubectl's layout.
#[derive(Clone, Debug, Default)]
pub struct Table {
    headers: Vec<Cow<'static, str>>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headers: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Table {
        Table { headers: headers.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// One more column before the others: `NAMESPACE` with `-A`.
    pub(super) fn lead(&mut self, header: &'static str, cells: impl IntoIterator<Item = String>) {
        self.headers.insert(0, header.into());
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            row.insert(0, cell);
        }
    }

    /// One more column behind the others: `LABELS`.
    pub(super) fn trail(&mut self, header: &'static str, cells: impl IntoIterator<Item = String>) {
        self.headers.push(header.into());
        for (row, cell) in self.rows.iter_mut().zip(cells) {
            row.push(cell);
        }
    }

    /// With or without the line of headers; each line ends with a line break.
    pub fn text(&self, headers: bool) -> String {
        let head: Vec<String> = self.headers.iter().map(|header| header.to_string()).collect();
        let lines: Vec<&Vec<String>> = headers.then_some(&head).into_iter().chain(&self.rows).collect();
        let columns = self.headers.len();
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        // A column takes six characters at least, the blanks behind it among them.
        let widths: Vec<usize> = (0..columns).map(|column| (width(column) + 3).max(6)).collect();
        let mut text = String::new();
        for line in lines {
            for (column, cell) in line.iter().enumerate() {
                match column + 1 == columns {
                    true => text.push_str(cell),
                    false => text.push_str(&format!("{cell:<width$}", width = widths[column])),
                }
            }
            text.push('\n');
        }
        text
    }
}
