//! What a container uses: from its cgroup where that counts it, else from its processes.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use jiff::Timestamp;

use crate::container::Container;
use crate::error::Result;
use crate::pause;
use crate::processes::{Clock, Process, processes};
use crate::state::State;

/// What a container has used up to a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub at: Timestamp,
    /// `None` where it does not run: then all else is 0.
    pub since: Option<Timestamp>,
    pub cpu: Duration,
    /// The kernel's part of it.
    pub cpu_system: Duration,
    /// Bytes.
    pub memory: u64,
    /// Bytes; the machine's memory where there is no limit.
    pub memory_limit: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes.
    pub block_read: u64,
    pub block_written: u64,
    /// By name, without the loopback.
    pub network: BTreeMap<String, Interface>,
    /// What its cgroup does not count, and the sum over the processes that live now says instead.
    pub estimated: Vec<&'static str>,
}

/// The counters of one network interface, proc_pid_net(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Bytes, packets, errors, dropped packets.
    pub received: [u64; 4],
    pub sent: [u64; 4],
}

/// Reads the counters. The caller must be in the user namespace, to see other users' processes.
pub fn usage(container: &Container) -> Result<Usage> {
    let at = Timestamp::now();
    let State::Running { init, since, .. } = container.state() else {
        return Ok(Usage { at, ..Usage::default() });
    };
    let counted = pause::cgroup_of(container)?.map(|cgroup| cgroup.stats());
    let mut usage = Usage { at, since: Some(*since), ..Usage::default() };
    let counts_all =
        counted.is_some_and(|counted| counted.memory.is_some() && counted.io.is_some() && counted.pids.is_some());
    let sums = if counts_all { Sums::default() } else { Sums::of(&processes(init.pid, container))? };
    let mut estimated = |name: &'static str, value: u64| {
        usage.estimated.push(name);
        value
    };
    usage.memory = counted.and_then(|counted| counted.memory).unwrap_or_else(|| estimated("memory", sums.memory));
    usage.pids = counted.and_then(|counted| counted.pids).unwrap_or_else(|| estimated("pids", sums.threads));
    (usage.block_read, usage.block_written) = counted
        .and_then(|counted| counted.io)
        .unwrap_or_else(|| (estimated("block io", sums.block_read), sums.block_written));
    (usage.cpu, usage.cpu_system) = match counted {
        Some(counted) => (Duration::from_micros(counted.cpu_usage), Duration::from_micros(counted.cpu_system)),
        None => {
            usage.estimated.push("cpu");
            (sums.cpu, sums.cpu_system)
        }
    };
    usage.memory_limit = counted.and_then(|counted| counted.memory_limit).unwrap_or_else(machine_memory);
    if has_own_network(container) {
        let text = fs::read_to_string(format!("/proc/{}/net/dev", init.pid)).unwrap_or_default();
        usage.network = interfaces(&text);
    }
    Ok(usage)
}

fn has_own_network(container: &Container) -> bool {
    !matches!(container.spec().network.mode, network::Mode::Host)
}

/// Over all processes.
#[derive(Debug, Default)]
struct Sums {
    cpu: Duration,
    cpu_system: Duration,
    memory: u64,
    threads: u64,
    block_read: u64,
    block_written: u64,
}

impl Sums {
    fn of(processes: &[Process]) -> Result<Sums> {
        let clock = Clock::now()?;
        let mut sums = Sums::default();
        for process in processes {
            // With those that it has waited for: fields 14 to 17 of proc_pid_stat(5).
            let system = clock.ticks(process.stat(15) + process.stat(17));
            sums.cpu += clock.ticks(process.stat(14) + process.stat(16)) + system;
            sums.cpu_system += system;
            sums.threads += u64::try_from(process.stat(20)).unwrap_or_default();
            sums.memory += memory(process);
            let io = fs::read_to_string(format!("/proc/{}/io", process.host_pid)).unwrap_or_default();
            let bytes = |name: &str| {
                let number =
                    io.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse::<u64>().ok());
                number.unwrap_or_default()
            };
            sums.block_read += bytes("read_bytes");
            sums.block_written += bytes("write_bytes");
        }
        Ok(sums)
    }
}

/// Its share of what it has in memory (Linux 4.14, `CONFIG_PROC_PAGE_MONITOR`), else all of it.
fn memory(process: &Process) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.host_pid)).unwrap_or_default();
    let share = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).and_then(kilobytes);
    share.or_else(|| kilobytes(process.status("VmRSS"))).unwrap_or_default()
}

fn kilobytes(text: &str) -> Option<u64> {
    text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|number| number * 1024)
}

fn machine_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(kilobytes).unwrap_or_default()
}

/// `/proc/PID/net/dev`: two lines of headings, then `NAME: ` and sixteen numbers.
fn interfaces(text: &str) -> BTreeMap<String, Interface> {
    text.lines()
        .skip(2)
        .filter_map(|line| {
            let (name, numbers) = line.split_once(':')?;
            let numbers: Vec<u64> = numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
            let received = numbers.get(..4)?.try_into().ok()?;
            let sent = numbers.get(8..12)?.try_into().ok()?;
            Some((name.trim().to_owned(), Interface { received, sent }))
        })
        .filter(|(name, _)| name != "lo")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_without_the_loopback() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
            lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0\n  \
            tap0:     198       3    1    2    0     0          0         0      622       7    3    4    0     0       0          0\n";
        let expected = Interface { received: [198, 3, 1, 2], sent: [622, 7, 3, 4] };
        assert_eq!(interfaces(text), [("tap0".to_owned(), expected)].into());
        assert!(interfaces("").is_empty());
    }
}
