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

    /// The rows of another table of the same columns.
    pub fn append(&mut self, other: Table) {
        self.rows.extend(other.rows);
    }

    /// One more column before the others: `NAMESPACE` with `-A`.
    pub fn lead(&mut self, header: &'static str, cells: impl IntoIterator<Item = String>) {
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
        self.text_below(headers, &mut Widths::default())
    }

    /// The same below other rows that were printed, as far as that can be: columns grow and never shrink.
    pub fn text_below(&self, headers: bool, widths: &mut Widths) -> String {
        let head: Vec<String> = self.headers.iter().map(|header| header.to_string()).collect();
        let lines: Vec<&Vec<String>> = headers.then_some(&head).into_iter().chain(&self.rows).collect();
        let columns = self.headers.len();
        widths.0.resize(columns.max(widths.0.len()), 0);
        for (column, width) in widths.0.iter_mut().enumerate() {
            let cells = lines.iter().filter_map(|line| line.get(column));
            // A column takes six characters at least, the blanks behind it among them.
            let own = cells.map(|cell| cell.chars().count() + 3).max().unwrap_or(0).max(6);
            *width = own.max(*width);
        }
        let mut text = String::new();
        for line in lines {
            for (column, cell) in line.iter().enumerate() {
                match column + 1 == columns {
                    true => text.push_str(cell),
                    false => text.push_str(&format!("{cell:<width$}", width = widths.0[column])),
                }
            }
            text.push('\n');
        }
        text
    }
}

/// How wide the columns are of what was printed.
#[derive(Clone, Debug, Default)]
pub struct Widths(Vec<usize>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_come_later_line_up() {
        let table = |cells: [&str; 2]| {
            let mut table = Table::new(["NAME", "STATUS"]);
            table.row(cells.map(str::to_owned));
            table
        };
        let mut widths = Widths::default();
        let first = table(["database", "Pending"]).text_below(true, &mut widths);
        assert_eq!(first, "NAME       STATUS\ndatabase   Pending\n");
        assert_eq!(table(["web", "Running"]).text_below(false, &mut widths), "web        Running\n");
        assert_eq!(table(["web", "Running"]).text(false), "web   Running\n");
    }
}
