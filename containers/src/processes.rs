//! The processes of a container, as procfs shows them from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::pause;

/// Time as the kernel counts it.
pub(crate) struct Clock {
    /// Since 1970.
    pub(crate) boot: Duration,
    pub(crate) up: Duration,
    pub(crate) ticks_per_second: u64,
}

impl Clock {
    pub(crate) fn now() -> Result<Clock> {
        let text = fs::read_to_string("/proc/uptime").map_err(Error::io("/proc/uptime"))?;
        let up = text.split(' ').next().and_then(|up| up.parse().ok()).unwrap_or(0.0);
        let up = Duration::from_secs_f64(up);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        Ok(Clock { boot: now.saturating_sub(up), up, ticks_per_second })
    }

    pub(crate) fn ticks(&self, ticks: i64) -> Duration {
        let ticks = u64::try_from(ticks).unwrap_or_default();
        let rest = ticks % self.ticks_per_second * 1_000_000_000 / self.ticks_per_second;
        Duration::from_secs(ticks / self.ticks_per_second) + Duration::from_nanos(rest)
    }
}

/// One process, as procfs shows it.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) host_pid: i32,
    pub(crate) name: String,
    pub(crate) state: char,
    pub(crate) arguments: String,
    pub(crate) label: String,
    /// From field 4 of proc_pid_stat(5) on.
    pub(crate) stat: Vec<i64>,
    pub(crate) status: BTreeMap<String, String>,
}

impl Process {
    /// `None` when it has ended.
    pub(crate) fn read(pid: i32) -> Option<Process> {
        let dir = Path::new("/proc").join(pid.to_string());
        let stat = fs::read_to_string(dir.join("stat")).ok()?;
        let status = fs::read_to_string(dir.join("status")).ok()?;
        let arguments = fs::read(dir.join("cmdline")).unwrap_or_default();
        let label = fs::read_to_string(dir.join("attr/current")).unwrap_or_default();
        let mut process = Process::parse(&stat, &status, &arguments)?;
        process.host_pid = pid;
        process.label = match label.trim_end_matches(['\0', '\n']) {
            "" => "unconfined".into(),
            label => label.to_owned(),
        };
        Some(process)
    }

    pub(crate) fn parse(stat: &str, status: &str, arguments: &[u8]) -> Option<Process> {
        let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
        let name = stat.get(begin + 1..end)?.to_owned();
        let mut fields = stat[end + 1..].split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        // Unsigned ones that do not fit are masks nobody asks for.
        let stat = fields.map(|field| field.parse().unwrap_or(0)).collect();
        let status = status
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        let arguments = arguments.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let arguments = arguments.map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ");
        // A kernel thread or a zombie has none.
        let arguments = if arguments.is_empty() { format!("[{name}]") } else { arguments };
        Some(Process { name, state, arguments, stat, status, ..Process::default() })
    }

    pub(crate) fn status(&self, key: &str) -> &str {
        self.status.get(key).map(String::as_str).unwrap_or_default()
    }

    /// By the number that proc_pid_stat(5) has for it, 4 and up.
    pub(crate) fn stat(&self, field: usize) -> i64 {
        self.stat.get(field - 4).copied().unwrap_or_default()
    }

    /// 0 is the real id, 1 the effective one; in our user namespace.
    pub(crate) fn id(&self, key: &str, which: usize) -> u32 {
        self.status(key).split_ascii_whitespace().nth(which).and_then(|id| id.parse().ok()).unwrap_or_default()
    }

    /// The innermost of the numbers that a process has in nested pid namespaces.
    pub(crate) fn inner(&self, numbers: &str) -> String {
        numbers.split_ascii_whitespace().last().map_or_else(|| self.host_pid.to_string(), str::to_owned)
    }

    pub(crate) fn parent(&self) -> i32 {
        self.status("PPid").parse().unwrap_or_default()
    }

    pub(crate) fn age(&self, clock: &Clock) -> Duration {
        clock.up.saturating_sub(clock.ticks(self.stat(22)))
    }

    pub(crate) fn cpu_time(&self, clock: &Clock) -> Duration {
        clock.ticks(self.stat(14) + self.stat(15))
    }
}

/// The processes in the container's pid namespace; where it shares another one, those in its cgroup, else its first
/// process and what descends from it.
pub(crate) fn processes(init: i32, container: &Container) -> Vec<Process> {
    let namespace = |pid: &dyn std::fmt::Display| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let (theirs, ours) = (namespace(&init), namespace(&"self"));
    let mut pids: Vec<i32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    if theirs.is_some() && theirs != ours && has_own_pids(container) {
        return pids.into_iter().filter(|pid| namespace(pid) == theirs).filter_map(Process::read).collect();
    }
    if let Ok(Some(cgroup)) = pause::cgroup_of(container) {
        let mut pids = cgroup.pids();
        pids.sort_unstable();
        return pids.into_iter().filter_map(Process::read).collect();
    }
    let all: Vec<Process> = pids.into_iter().filter_map(Process::read).collect();
    let mut wanted = std::collections::BTreeSet::from([init]);
    loop {
        let before = wanted.len();
        let more: Vec<i32> =
            all.iter().filter(|process| wanted.contains(&process.parent())).map(|process| process.host_pid).collect();
        wanted.extend(more);
        if wanted.len() == before {
            break;
        }
    }
    all.into_iter().filter(|process| wanted.contains(&process.host_pid)).collect()
}

fn has_own_pids(container: &Container) -> bool {
    matches!(container.spec().namespaces.pid, crate::spec::NamespaceMode::Private)
}
