//! The processes of a container, in Podman's columns; read from procfs, so the image needs no `ps`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use sys::passwd;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::processes::{Clock, Process, processes};
use crate::state::State;
use crate::users::{self, AccountFiles};
use crate::{exec, list, ps};

/// Rows of cells, the first one the headings.
pub type Table = Vec<Vec<String>>;

/// Columns where nobody asked for others.
const DEFAULT: [&str; 8] = ["user", "pid", "ppid", "pcpu", "etime", "tty", "time", "args"];

/// The processes of a running container. Descriptors are Podman's (`pid`, `hpid`, `%cpu`, ...), alone or joined by commas;
/// anything else is taken as arguments of `ps`, whose lines come as they are.
pub fn top(engine: &Engine, container: &Container, descriptors: &[String]) -> Result<Table> {
    let container = list::again(engine, container)?;
    let State::Running { init, .. } = container.state() else {
        return Err(Error::StateImproper { what: "top can only be used on running containers".into() });
    };
    let words: Vec<&str> = each_word(descriptors).collect();
    let words = if words.is_empty() { DEFAULT.to_vec() } else { words };
    let Some(columns) = words.iter().map(|word| Column::parse(word)).collect::<Option<Vec<_>>>() else {
        let lines = ps::lines(engine, &container, init, descriptors)?;
        return Ok(lines.into_iter().map(|line| vec![line]).collect());
    };
    let root = exec::open_root(init)?;
    let files = root.map(users::files_in).unwrap_or_default();
    let boot = Clock::now()?;
    let processes = processes(init.pid, &container);
    let names = Names::new(&files, &processes);
    let mut table = vec![columns.iter().map(|column| column.heading().to_owned()).collect()];
    table.extend(
        processes
            .iter()
            .map(|process| columns.iter().map(|column| column.value(process, &names, &boot)).collect::<Vec<String>>()),
    );
    Ok(table)
}

fn each_word(descriptors: &[String]) -> impl Iterator<Item = &str> {
    descriptors.iter().flat_map(|words| words.split(',')).filter(|word| !word.is_empty())
}

/// The first word that names no column.
pub fn unknown_descriptor(descriptors: &[String]) -> Option<&str> {
    each_word(descriptors).find(|word| Column::parse(word).is_none())
}

/// What one column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Args,
    CapAmbient,
    CapBounding,
    CapEffective,
    CapInheritable,
    CapPermitted,
    Command,
    ElapsedTime,
    Group,
    Groups,
    HostGroup,
    HostGroups,
    HostPid,
    HostUser,
    Label,
    Nice,
    Pcpu,
    ProcessGroup,
    Pid,
    ParentPid,
    RealGroup,
    RealUser,
    ResidentSize,
    Seccomp,
    StartTime,
    State,
    CpuTime,
    Terminal,
    User,
    VirtualSize,
}

impl Column {
    fn parse(word: &str) -> Option<Column> {
        Some(match word {
            "args" => Column::Args,
            "capamb" => Column::CapAmbient,
            "capbnd" => Column::CapBounding,
            "capeff" => Column::CapEffective,
            "capinh" => Column::CapInheritable,
            "capprm" => Column::CapPermitted,
            "comm" | "command" => Column::Command,
            "etime" => Column::ElapsedTime,
            "group" => Column::Group,
            "groups" => Column::Groups,
            "hgroup" => Column::HostGroup,
            "hgroups" => Column::HostGroups,
            "hpid" => Column::HostPid,
            "huser" => Column::HostUser,
            "label" => Column::Label,
            "nice" | "ni" => Column::Nice,
            "pcpu" | "%cpu" | "%C" => Column::Pcpu,
            "pgid" | "%r" => Column::ProcessGroup,
            "pid" | "%p" => Column::Pid,
            "ppid" | "%P" => Column::ParentPid,
            "rgroup" | "%g" => Column::RealGroup,
            "ruser" | "%u" => Column::RealUser,
            "rss" => Column::ResidentSize,
            "seccomp" => Column::Seccomp,
            "stime" => Column::StartTime,
            "state" => Column::State,
            "time" | "%x" => Column::CpuTime,
            "tty" | "%y" => Column::Terminal,
            "user" | "%U" => Column::User,
            "vsz" | "%z" => Column::VirtualSize,
            "%a" => Column::Args,
            "%c" => Column::Command,
            "%G" => Column::Group,
            "%n" => Column::Nice,
            "%t" => Column::ElapsedTime,
            _ => return None,
        })
    }

    fn heading(self) -> &'static str {
        match self {
            Column::Args | Column::Command => "COMMAND",
            Column::CapAmbient => "AMBIENT CAPS",
            Column::CapBounding => "BOUNDING CAPS",
            Column::CapEffective => "EFFECTIVE CAPS",
            Column::CapInheritable => "INHERITED CAPS",
            Column::CapPermitted => "PERMITTED CAPS",
            Column::ElapsedTime => "ELAPSED",
            Column::Group => "GROUP",
            Column::Groups => "GROUPS",
            Column::HostGroup => "HGROUP",
            Column::HostGroups => "HGROUPS",
            Column::HostPid => "HPID",
            Column::HostUser => "HUSER",
            Column::Label => "LABEL",
            Column::Nice => "NI",
            Column::Pcpu => "%CPU",
            Column::ProcessGroup => "PGID",
            Column::Pid => "PID",
            Column::ParentPid => "PPID",
            Column::RealGroup => "RGROUP",
            Column::RealUser => "RUSER",
            Column::ResidentSize => "RSS",
            Column::Seccomp => "SECCOMP",
            Column::StartTime => "STIME",
            Column::State => "STATE",
            Column::CpuTime => "TIME",
            Column::Terminal => "TTY",
            Column::User => "USER",
            Column::VirtualSize => "VSZ",
        }
    }

    fn value(self, process: &Process, names: &Names<'_>, clock: &Clock) -> String {
        let caps = |name| capabilities(process.status(name));
        match self {
            // With the space that Podman puts behind each word.
            Column::Args => match process.arguments.as_str() {
                kernels if kernels.starts_with('[') => kernels.to_owned(),
                arguments => format!("{arguments} "),
            },
            Column::CapAmbient => caps("CapAmb"),
            Column::CapBounding => caps("CapBnd"),
            Column::CapEffective => caps("CapEff"),
            Column::CapInheritable => caps("CapInh"),
            Column::CapPermitted => caps("CapPrm"),
            Column::Command => process.name.clone(),
            Column::ElapsedTime => duration(process.age(clock)),
            Column::Group => names.group(process.id("Gid", 1)),
            Column::Groups => names.groups(process.status("Groups")),
            Column::HostGroup => outside(&names.host_gids, process.id("Gid", 1)).to_string(),
            Column::HostGroups => {
                let ids = process.status("Groups").split_ascii_whitespace().filter_map(|id| id.parse().ok());
                ids.map(|gid| outside(&names.host_gids, gid).to_string()).collect::<Vec<_>>().join(",")
            }
            Column::HostPid => process.host_pid.to_string(),
            Column::HostUser => outside(&names.host_uids, process.id("Uid", 1)).to_string(),
            Column::Label => process.label.clone(),
            Column::Nice => process.stat(19).to_string(),
            Column::Pcpu => {
                let age = process.age(clock).as_secs_f64();
                let share = if age > 0.0 { process.cpu_time(clock).as_secs_f64() / age * 100.0 } else { 0.0 };
                format!("{share:.3}")
            }
            Column::ProcessGroup => process.inner(process.status("NSpgid")),
            Column::Pid => process.inner(process.status("NSpid")),
            Column::ParentPid => names.parent(process),
            Column::RealGroup => names.group(process.id("Gid", 0)),
            Column::RealUser => names.user(process.id("Uid", 0)),
            Column::ResidentSize => kilobytes(process.status("VmRSS")),
            Column::Seccomp => match process.status("Seccomp") {
                "0" => "disabled".into(),
                "1" => "strict".into(),
                "2" => "filter".into(),
                other => other.to_owned(),
            },
            Column::StartTime => {
                let start = clock.boot + clock.ticks(process.stat(22));
                let start = jiff::Timestamp::from_second(i64::try_from(start.as_secs()).unwrap_or_default());
                let zone = jiff::tz::TimeZone::system();
                start.unwrap_or_default().to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
            }
            Column::State => process.state.to_string(),
            Column::CpuTime => duration(process.cpu_time(clock)),
            Column::Terminal => terminal(process.stat(7)),
            Column::User => names.user(process.id("Uid", 1)),
            Column::VirtualSize => kilobytes(process.status("VmSize")),
        }
    }
}

fn kilobytes(text: &str) -> String {
    text.split_ascii_whitespace().next().unwrap_or("0").to_owned()
}

/// Names without `CAP_`, as Podman shows them.
fn capabilities(hex: &str) -> String {
    let set = u64::from_str_radix(hex, 16).unwrap_or_default();
    let known = sys::capabilities::NAMES.len();
    let full = (1u64 << known) - 1;
    match set {
        0 => "none".into(),
        set if set & full == full => "full".into(),
        set => {
            let mut names: Vec<&str> = (0..known)
                .filter(|bit| set & (1 << bit) != 0)
                .map(|bit| sys::capabilities::NAMES[bit].trim_start_matches("CAP_"))
                .collect();
            names.sort_unstable();
            names.join(",")
        }
    }
}

/// As Go writes a duration: `1h2m3.5s`, `0s`.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let fraction = format!("{}.{:09}", seconds % 60, time.subsec_nanos());
    let rest = fraction.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        (_, _) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// proc_pid_stat(5) field 7: minor numbers in bits 0-7 and 20-31, the major in 8-15.
fn terminal(number: i64) -> String {
    let (major, minor) = ((number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00));
    match major {
        0 => "?".into(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        _ => "?".into(),
    }
}

/// The container's names for ids, and its pids of parents.
struct Names<'a> {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
    pids: BTreeMap<i32, &'a Process>,
    uid_map: Vec<sys::userns::MapLine>,
    gid_map: Vec<sys::userns::MapLine>,
    /// Of our own namespace.
    host_uids: Vec<sys::userns::MapLine>,
    host_gids: Vec<sys::userns::MapLine>,
}

impl<'a> Names<'a> {
    fn new(files: &AccountFiles, processes: &'a [Process]) -> Names<'a> {
        let mut users = BTreeMap::new();
        for user in passwd::parse_users(&files.passwd) {
            users.entry(user.uid).or_insert(user.name);
        }
        let mut groups = BTreeMap::new();
        for group in passwd::parse_groups(&files.group) {
            groups.entry(group.gid).or_insert(group.name);
        }
        let pids = processes.iter().map(|process| (process.host_pid, process)).collect();
        // The map as seen from here: its outer ids are those of our own namespace.
        let map = |name: &str| {
            let first = processes.first().map(|process| process.host_pid);
            let nested = first.filter(|pid| is_nested(*pid));
            let text = nested.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/{name}")).ok());
            sys::userns::parse_map(&text.unwrap_or_default())
        };
        let (host_uids, host_gids) = (sys::userns::uid_map(), sys::userns::gid_map());
        Names {
            users,
            groups,
            pids,
            uid_map: map("uid_map"),
            gid_map: map("gid_map"),
            host_uids: host_uids.unwrap_or_default(),
            host_gids: host_gids.unwrap_or_default(),
        }
    }

    fn user(&self, uid: u32) -> String {
        let uid = inside(&self.uid_map, uid);
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    fn group(&self, gid: u32) -> String {
        let gid = inside(&self.gid_map, gid);
        self.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }

    fn groups(&self, ids: &str) -> String {
        let ids = ids.split_ascii_whitespace().filter_map(|id| id.parse().ok());
        ids.map(|gid| self.group(gid)).collect::<Vec<_>>().join(",")
    }

    /// 0 for one whose parent is outside of the container.
    fn parent(&self, process: &Process) -> String {
        match self.pids.get(&process.parent()) {
            Some(parent) => parent.inner(parent.status("NSpid")),
            None => "0".to_owned(),
        }
    }
}

/// Whether a process is in a user namespace below ours.
fn is_nested(pid: i32) -> bool {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).ok();
    namespace(&pid.to_string()) != namespace("self")
}

fn inside(map: &[sys::userns::MapLine], id: u32) -> u32 {
    let found = map.iter().find(|line| id >= line.outside && id - line.outside < line.count);
    found.map_or(id, |line| line.inside + (id - line.outside))
}

fn outside(map: &[sys::userns::MapLine], id: u32) -> u32 {
    let found = map.iter().find(|line| id >= line.inside && id - line.inside < line.count);
    found.map_or(id, |line| line.outside + (id - line.inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_does() {
        for (milliseconds, text) in [(0, "0s"), (500, "0.5s"), (61_250, "1m1.25s"), (3_600_000, "1h0m0s")] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn terminals_have_names() {
        for (number, name) in [(0, "?"), (136 << 8 | 3, "pts/3"), (4 << 8 | 1, "tty1"), (4 << 8 | 64, "ttyS0")] {
            assert_eq!(terminal(number), name);
        }
    }

    #[test]
    fn a_process_is_read() {
        let stat = "17 (a b) S 1 17 17 34816 17 4194304 100 0 0 0 250 50 0 0 20 -5 1 0 4200 1000000 100";
        let status = "Name:\ta b\nPPid:\t1\nUid:\t1000\t1001\t0\t0\nNSpid:\t17\t1\nNSpgid:\t17\t1\nVmRSS:\t  400 kB\n";
        let process = Process::parse(stat, status, b"/bin/sh\0-c\0x y\0").unwrap();
        let clock = Clock { boot: Duration::ZERO, up: Duration::from_secs(72), ticks_per_second: 100 };
        let all = [process];
        let names = Names {
            users: BTreeMap::from([(1001, "web".to_owned())]),
            groups: BTreeMap::new(),
            pids: BTreeMap::new(),
            uid_map: Vec::new(),
            gid_map: Vec::new(),
            host_uids: Vec::new(),
            host_gids: Vec::new(),
        };
        let row: Vec<String> = ["user", "ruser", "pid", "ppid", "pcpu", "etime", "tty", "time", "args", "ni", "rss"]
            .iter()
            .map(|word| Column::parse(word).unwrap().value(&all[0], &names, &clock))
            .collect();
        let expected = ["web", "1000", "1", "0", "10.000", "30s", "pts/0", "3s", "/bin/sh -c x y ", "-5", "400"];
        assert_eq!(row, expected);
    }

    #[test]
    fn capabilities_are_named() {
        assert_eq!(capabilities("0000000000000000"), "none");
        assert_eq!(capabilities("000001ffffffffff"), "full");
        assert_eq!(capabilities("0000000000000021"), "CHOWN,KILL");
    }
}
