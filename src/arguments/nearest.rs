//! What was meant by a word that nobody knows.

/// The name that differs in at most two places, or that begins with what was typed.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (distance(typed, name), name))
        .filter(|&(distance, name)| distance <= 2 && distance * 2 <= name.len() || name.starts_with(typed))
        .min_by_key(|&(distance, name)| (!name.starts_with(typed), distance))
        .map(|(_, name)| name)
}

/// Levenshtein distance.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered() {
        assert_eq!(nearest("runn", ["run", "rm", "ps"].into_iter()), Some("run"));
        assert_eq!(nearest("nam", ["name", "rm"].into_iter()), Some("name"));
        assert_eq!(nearest("zzzzz", ["run", "rm"].into_iter()), None);
    }
}
