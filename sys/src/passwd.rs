//! passwd(5), group(5), subuid(5) read as text: NSS would load the host's modules into a static binary.

use std::fs;
use std::path::Path;

/// One line of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// What is said of the person.
    pub comment: String,
    pub home: String,
    pub shell: String,
}

/// One line of group(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

/// One range of subuid(5) or subgid(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubIds {
    pub first: u32,
    pub count: u32,
}

/// Lines that do not parse are passed over, as the C library does.
pub fn parse_users(text: &str) -> impl Iterator<Item = User> + '_ {
    text.lines().filter_map(|line| {
        let mut fields = line.trim_start().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let comment = fields.next().unwrap_or_default().to_owned();
        let home = fields.next().unwrap_or_default().to_owned();
        let shell = fields.next().unwrap_or_default().to_owned();
        Some(User { name, uid, gid, comment, home, shell })
    })
}

/// Lines that do not parse are passed over, as the C library does.
pub fn parse_groups(text: &str) -> impl Iterator<Item = Group> + '_ {
    text.lines().filter_map(|line| {
        let mut fields = line.trim_start().split(':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?.to_owned();
        let gid = fields.nth(1)?.parse().ok()?;
        let members = fields.next().unwrap_or_default();
        let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
        Some(Group { name, gid, members })
    })
}

/// The ranges given to a user, by name or by number, in file order.
pub fn parse_sub_ids(text: &str, name: Option<&str>, uid: u32) -> Vec<SubIds> {
    let number = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            if Some(owner) != name && owner != number {
                return None;
            }
            let first = fields.next()?.parse().ok()?;
            let count = fields.next()?.parse().ok().filter(|count| *count > 0)?;
            Some(SubIds { first, count })
        })
        .collect()
}

/// The host's entry for a uid: /etc/passwd, else what `getent` knows (LDAP, sssd, systemd).
pub fn user_of(uid: u32) -> Option<User> {
    let local = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if let Some(user) = parse_users(&local).find(|user| user.uid == uid) {
        return Some(user);
    }
    let output = std::process::Command::new("getent").args(["passwd", &uid.to_string()]).output().ok()?;
    parse_users(&String::from_utf8_lossy(&output.stdout)).next()
}

/// The ranges of a file such as /etc/subuid; none when it does not exist.
pub fn sub_ids(file: &Path, name: Option<&str>, uid: u32) -> Vec<SubIds> {
    parse_sub_ids(&fs::read_to_string(file).unwrap_or_default(), name, uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_lines_are_passed_over() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# comment:x:1:1\nbroken\nbad:x:-1:0::/:\nweb:x:33:34::/srv\n";
        let users: Vec<_> = parse_users(text).map(|user| (user.name, user.uid, user.gid, user.home)).collect();
        assert_eq!(users, [("root".into(), 0, 0, "/root".into()), ("web".into(), 33, 34, "/srv".into())]);
    }

    #[test]
    fn group_members_are_split() {
        let groups: Vec<_> = parse_groups("wheel:x:10:a,b\nempty:x:11:\n").collect();
        assert_eq!(groups[0].members, ["a", "b"]);
        assert!(groups[1].members.is_empty());
    }

    #[test]
    fn sub_ids_belong_to_a_name_or_a_number() {
        let text = "a:100:10\n1000:500:20\nb:1:1\na:x:3\na:200:0\n";
        let ranges = parse_sub_ids(text, Some("a"), 1000);
        assert_eq!(ranges, [SubIds { first: 100, count: 10 }, SubIds { first: 500, count: 20 }]);
    }
}
