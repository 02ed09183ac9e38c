//! Rows of cells with tabs between them, lined up.

/// Lines up tab-separated cells: every column is at least 12 wide with two spaces between, the last cell of a line is
/// left as it is.
pub fn align(text: &str) -> String {
    const LEAST: usize = 12;
    const GAP: usize = 2;
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    // A column is a run of neighbouring rows that have a cell there ended by a tab, as Go's tabwriter has it: a row
    // without the cell breaks the column, and the widths above and below do not depend on each other.
    let mut out = String::with_capacity(text.len() * 2);
    let mut widths: Vec<Vec<usize>> = rows.iter().map(|row| vec![0; row.len()]).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut row = 0;
        while row < rows.len() {
            let ended = |row: usize| rows[row].len() > column + 1;
            if !ended(row) {
                row += 1;
                continue;
            }
            let first = row;
            let mut width = LEAST;
            while row < rows.len() && ended(row) {
                width = width.max(rows[row][column].chars().count() + GAP);
                row += 1;
            }
            for cells in &mut widths[first..row] {
                cells[column] = width;
            }
        }
    }
    for (row, widths) in rows.iter().zip(&widths) {
        for (index, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if index + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[index].saturating_sub(cell.chars().count())));
            }
        }
        out.push('\n');
    }
    out
}

/// The heading of a field: its name split at capitals, in capitals. `RunningFor` is `RUNNING FOR`.
pub fn heading(field: &str) -> String {
    #[derive(Clone, Copy, PartialEq)]
    enum Class {
        Lower,
        Upper,
        Digit,
        Other,
    }
    let class = |c: char| match c {
        c if c.is_lowercase() => Class::Lower,
        c if c.is_uppercase() => Class::Upper,
        c if c.is_ascii_digit() => Class::Digit,
        _ => Class::Other,
    };
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for c in field.chars() {
        let now = class(c);
        match words.last_mut() {
            Some(word) if last == Some(now) => word.push(c),
            _ => words.push(c.to_string()),
        }
        last = Some(now);
    }
    // A capital before small letters belongs to them: `CIDF` + `ile` is `CID` + `File`.
    for index in 0..words.len().saturating_sub(1) {
        let begins_small = words[index + 1].starts_with(char::is_lowercase);
        if begins_small
            && words[index].ends_with(char::is_uppercase)
            && let Some(capital) = words[index].pop()
        {
            words[index + 1].insert(0, capital);
        }
    }
    words.retain(|word| !word.is_empty());
    words.join(" ").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_twelve_wide_with_two_between() {
        let text = "REPOSITORY\tTAG\tIMAGE ID\nlocalhost/bb:long\t1\tfb350d0a94a7\n";
        let expected = "REPOSITORY         TAG         IMAGE ID\nlocalhost/bb:long  1           fb350d0a94a7\n";
        assert_eq!(align(text), expected);
    }

    #[test]
    fn the_last_cell_is_not_padded_but_empty_ones_before_it_are() {
        assert_eq!(align("A\tB\tC\nx\t\t\n"), "A           B           C\nx                       \n");
    }

    #[test]
    fn headings_are_split_at_capitals() {
        let table = [
            ("Names", "NAMES"),
            ("RunningFor", "RUNNING FOR"),
            ("ID", "ID"),
            ("ImageID", "IMAGE ID"),
            ("CIDFile", "CID FILE"),
            ("CreatedAt", "CREATED AT"),
        ];
        for (field, expected) in table {
            assert_eq!(heading(field), expected);
        }
    }
}
