//! Where drop-ins of a Quadlet lie.

use super::kind::template;

/// The directories of drop-ins of this file, the most general first: of a file in a later one, a file of the same name in an
/// earlier one does not count.
pub fn drop_in_directories(name: &str) -> Vec<String> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let base = template(stem).map_or(stem, |(base, _)| base);
    let mut directories = vec![format!("{extension}.d")];
    for (at, _) in base.match_indices('-') {
        if at + 1 < base.len() {
            directories.push(format!("{}.{extension}.d", &base[..=at]));
        }
    }
    if let Some((base, Some(_))) = template(stem) {
        directories.push(format!("{base}@.{extension}.d"));
    }
    directories.push(format!("{name}.d"));
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_ones_come_first() {
        assert_eq!(drop_in_directories("a-b-c.pod"), ["pod.d", "a-.pod.d", "a-b-.pod.d", "a-b-c.pod.d"]);
        assert_eq!(drop_in_directories("t@i.container"), ["container.d", "t@.container.d", "t@i.container.d"]);
        assert_eq!(drop_in_directories("t@.container"), ["container.d", "t@.container.d"]);
    }
}
