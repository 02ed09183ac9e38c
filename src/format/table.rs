//! Rows of cells with tabs between them, lined up, and made to fit a terminal.

/// Spaces between two columns.
const GAP: usize = 2;
/// A table of no more columns keeps them all.
const FEW: usize = 6;

/// Lines up tab-separated cells: every column is at least 12 wide with two spaces between, the last cell of a line is
/// left as it is.
pub fn align(text: &str) -> String {
    columns(text, 12)
}

/// As [`align`], in lines of `room` characters: columns come nearer to each other first, then the widest are shortened,
/// with `…` where something is left out. What one types again stays whole: ids and tags always, names as long as the rest
/// can give way and where no id stands beside them; figures always. A table of many columns loses its last ones where it
/// cannot fit otherwise, with `…` in the headings; one of few is not shortened at all then. `text` begins with the
/// headings, which tell what a column holds, whether or not they are shown.
pub fn align_within(text: &str, heading: bool, room: usize) -> String {
    let shown = if heading { text } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
    let aligned = align(shown);
    if aligned.lines().all(|line| length(line.trim_end()) <= room) {
        return aligned;
    }
    let mut rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths = rows.first().and_then(|headings| widths_within(headings, &rows, room));
    let mut kept = rows.first().map_or(0, Vec::len);
    while widths.is_none() && kept > FEW {
        kept -= 1;
        for (row, left_out) in rows.iter_mut().zip(std::iter::once("…").chain(std::iter::repeat(""))) {
            row.truncate(kept);
            row.push(left_out);
        }
        widths = rows.first().and_then(|headings| widths_within(headings, &rows, room));
    }
    let (Some(headings), Some(widths)) = (rows.first(), widths) else { return columns(shown, 0) };
    let mut shortened = String::with_capacity(text.len());
    for row in rows.iter().skip(usize::from(!heading)) {
        let cells = row.iter().zip(&widths).zip(headings);
        let cells = cells.map(|((cell, width), heading)| shorten(cell, *width, is_reference(heading)));
        shortened.push_str(&cells.collect::<Vec<_>>().join("\t"));
        shortened.push('\n');
    }
    columns(&shortened, 0)
}

/// How wide each column may be; `None` when they cannot fit.
fn widths_within(headings: &[&str], rows: &[Vec<&str>], room: usize) -> Option<Vec<usize>> {
    if rows.iter().any(|row| row.len() != headings.len()) {
        return None;
    }
    let widest_of = |column: usize| rows.iter().map(|row| length(row[column])).max().unwrap_or_default();
    let mut widths: Vec<usize> = (0..headings.len()).map(widest_of).collect();
    let mut surplus = (widths.iter().sum::<usize>() + GAP * (widths.len() - 1)).saturating_sub(room);
    let has_id = headings.iter().any(|heading| typed_again(heading) == Some(Typed::Id));
    // How short a cell may become, and a name: shorter step by step.
    for (cell, name) in [(8, usize::MAX), (8, 12), (6, 8)] {
        let floors: Vec<usize> = (headings.iter().zip(&widths))
            .map(|(heading, width)| match typed_again(heading) {
                None if is_figure(heading) => *width,
                None => cell.min(*width),
                Some(Typed::Name) if has_id => name.min(*width),
                Some(_) => *width,
            })
            .collect();
        while surplus > 0 {
            let can_give = (0..widths.len()).filter(|column| widths[*column] > floors[*column]);
            let Some(widest) = can_give.max_by_key(|column| widths[*column]) else { break };
            widths[widest] -= 1;
            surplus -= 1;
        }
    }
    (surplus == 0).then_some(widths)
}

/// In characters, not bytes.
fn length(text: &str) -> usize {
    text.chars().count()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Typed {
    Id,
    Name,
}

/// Whether what is in a column is typed into the next command.
fn typed_again(heading: &str) -> Option<Typed> {
    match heading.rsplit(' ').next() {
        Some("ID" | "TAG") => Some(Typed::Id),
        Some("NAME" | "NAMES" | "PODNAME" | "INDEX") => Some(Typed::Name),
        _ => None,
    }
}

/// Whether a column holds figures, of which a part would say something else.
fn is_figure(heading: &str) -> bool {
    heading.ends_with(['%']) || matches!(heading, "MEM USAGE / LIMIT" | "MEM USAGE/ LIMIT" | "NET IO" | "BLOCK IO")
}

/// Whether a column holds names of images, of which the end says most.
fn is_reference(heading: &str) -> bool {
    matches!(heading, "IMAGE" | "REPOSITORY")
}

/// The cell in `width` characters. A reference loses its registry and path first: `…/nginx:latest`.
fn shorten(cell: &str, width: usize, is_reference: bool) -> String {
    if length(cell) <= width {
        return cell.to_owned();
    }
    let mut rest = cell;
    while is_reference && let Some((_, after)) = rest.split_once('/') {
        rest = after;
        if length(after) + 2 <= width {
            return format!("…/{after}");
        }
    }
    if length(rest) <= width {
        return rest.to_owned();
    }
    rest.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// `least` is the width of a column with the spaces behind it.
fn columns(text: &str, least: usize) -> String {
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
            let mut width = least;
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
    fn a_table_that_fits_is_left_as_it_is() {
        let text = "NAME\tSTATUS\none\tup\n";
        assert_eq!(align_within(text, true, 18), align(text));
        assert_eq!(align_within(text, true, 10), "NAME  STATUS\none   up\n");
    }

    #[test]
    fn the_widest_columns_are_shortened_and_what_is_typed_again_is_not() {
        let text = "CONTAINER ID\tIMAGE\tCOMMAND\tNAMES\n\
                    9fb6b92fc807\tdocker.io/library/nginx:latest\tnginx -g daemon off;\ta_name_of_twenty_four__\n";
        let second = |room| align_within(text, true, room).lines().nth(1).unwrap().to_owned();
        assert_eq!(second(80), "9fb6b92fc807  …/nginx:latest  nginx -g daemon of…  a_name_of_twenty_four__");
        assert_eq!(second(66), "9fb6b92fc807  nginx:latest  nginx -g da…  a_name_of_twenty_four__");
        assert_eq!(second(46), "9fb6b92fc807  nginx:l…  nginx -…  a_name_of_t…");
        assert_eq!(second(38), "9fb6b92fc807  nginx…  nginx…  a_name_…");
        // Where it cannot be, lines break and nothing is lost.
        assert!(second(37).contains("docker.io/library/nginx:latest  nginx -g daemon off;"));
        assert_eq!(align_within(text, false, 40).lines().count(), 1);
    }

    #[test]
    fn figures_stay_whole_and_the_last_columns_go_where_many_do_not_fit() {
        let text = "ID\tNAME\tCPU %\tMEM USAGE / LIMIT\tMEM %\tNET IO\tBLOCK IO\tPIDS\n\
                    9fb6b92fc807\ta-name-of-some-length\t12.34%\t1.536MB / 25.28GB\t0.01%\t110B / 682B\t0B / 28.67kB\t1\n";
        let short = align_within(text, true, 80);
        assert_eq!(
            short,
            "ID            NAME              CPU %   MEM USAGE / LIMIT  MEM %  NET IO       …\n\
             9fb6b92fc807  a-name-of-some-…  12.34%  1.536MB / 25.28GB  0.01%  110B / 682B  \n"
        );
    }

    #[test]
    fn a_name_without_an_id_beside_it_stays_whole() {
        let text = "DRIVER\tVOLUME NAME\nlocal\ta-name-of-some-length\n";
        assert_eq!(align_within(text, true, 20), "DRIVER  VOLUME NAME\nlocal   a-name-of-some-length\n");
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
