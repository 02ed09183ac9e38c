//! Limits: memory, CPU, processes, block devices, ulimits.

use std::path::PathBuf;

use containers::{CgroupsMode, Resources, Ulimit};
use rustix::process::Resource;

use super::{CreateArgs, LimitFlags};
use crate::arguments::go_quote;
use crate::config::Config;
use crate::error::Failure;
use crate::format::human;

pub fn resources(args: &CreateArgs, config: &Config) -> Result<Resources, Failure> {
    let limits = limits(&args.limits)?;
    Ok(Resources {
        pids_limit: limits.pids_limit.or_else(|| config.integer("containers", "pids_limit")),
        unified: config
            .list("containers", "cgroup_conf")
            .iter()
            .chain(&args.cgroup_conf)
            .map(|text| match text.split_once('=') {
                Some((file, value)) => Ok((file.to_owned(), value.to_owned())),
                None => Err(Failure::plain("--cgroup-conf must be formatted KEY=VALUE")),
            })
            .collect::<Result<_, _>>()?,
        cgroup_parent: args.cgroup_parent.clone().filter(|parent| !parent.is_empty()),
        cgroups: match args.cgroups.as_deref().or(config.text("containers", "cgroups")).unwrap_or_default() {
            "" | "enabled" => CgroupsMode::Enabled,
            "disabled" => CgroupsMode::Disabled,
            "no-conmon" => CgroupsMode::NoConmon,
            "split" => CgroupsMode::Split,
            other => {
                let other = go_quote(other);
                return Err(Failure::plain(format!(
                    "running container create option: invalid cgroup mode {other}: invalid argument"
                )));
            }
        },
        ..limits
    })
}

/// A size of /dev/shm or its like; `None` where none is asked for.
pub fn shm_size(flag: &str, text: Option<&str>) -> Result<Option<u64>, Failure> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => match human::parse_size(text) {
            Ok(bytes) => Ok(Some(bytes.unsigned_abs())),
            Err(problem) => Err(Failure::plain(format!("unable to translate --{flag}: {problem}"))),
        },
    }
}

/// What the flags say that `update` has, too.
pub fn limits(flags: &LimitFlags) -> Result<Resources, Failure> {
    let size = |what: &str, text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some("-1") if what == "memory-swap" => Ok(Some(-1)),
        Some(text) => human::parse_size(text)
            .map(Some)
            .map_err(|problem| Failure::plain(format!("invalid value for {what}: {problem}"))),
    };
    let (mut cpu_period, mut cpu_quota) = (flags.cpu_period, flags.cpu_quota);
    if let Some(cpus) = flags.cpus.filter(|cpus| *cpus != 0.0) {
        if !(cpus.is_finite() && cpus > 0.0) {
            return Err(Failure::plain(format!("invalid number of CPUs {cpus}: it must be above 0")));
        }
        // The kernel's own period.
        cpu_period = Some(100_000);
        cpu_quota = Some((cpus * 100_000.0).round() as i64);
    }
    let memory = size("memory", &flags.memory)?;
    let memory_swap = size("memory-swap", &flags.memory_swap)?;
    if let (Some(memory), Some(swap)) = (memory, memory_swap)
        && swap >= 0
        && swap < memory
    {
        return Err(Failure::plain(format!(
            "--memory-swap {} is less than --memory {}: it is the limit of both together",
            flags.memory_swap.as_deref().unwrap_or_default(),
            flags.memory.as_deref().unwrap_or_default()
        )));
    }
    if memory_swap.is_some_and(|swap| swap > 0) && memory.is_none() {
        return Err(Failure::plain("--memory-swap needs --memory: it is the limit of both together"));
    }
    Ok(Resources {
        memory,
        memory_swap,
        memory_reservation: size("memory-reservation", &flags.memory_reservation)?,
        memory_swappiness: None,
        cpu_shares: flags.cpu_shares.filter(|shares| *shares > 0),
        cpu_period: cpu_period.filter(|period| *period > 0),
        cpu_quota: cpu_quota.filter(|quota| *quota != 0),
        cpuset_cpus: flags.cpuset_cpus.clone().filter(|list| !list.is_empty()),
        cpuset_mems: flags.cpuset_mems.clone().filter(|list| !list.is_empty()),
        pids_limit: flags.pids_limit,
        blkio_weight: flags.blkio_weight.as_deref().filter(|text| !text.is_empty()).map(weight).transpose()?,
        blkio_weight_device: flags
            .blkio_weight_device
            .iter()
            .map(|text| device_weight(text))
            .collect::<Result<_, _>>()?,
        read_bps: rates(&flags.device_read_bps, true)?,
        write_bps: rates(&flags.device_write_bps, true)?,
        read_iops: rates(&flags.device_read_iops, false)?,
        write_iops: rates(&flags.device_write_iops, false)?,
        ..Resources::default()
    })
}

fn weight(text: &str) -> Result<u16, Failure> {
    match text.parse::<u16>() {
        Ok(0) => Ok(0),
        Ok(weight) if (10..=1000).contains(&weight) => Ok(weight),
        Ok(_) => Err(Failure::plain(format!(
            "invalid value for blkio-weight: {} is not between 10 and 1000",
            go_quote(text)
        ))),
        Err(_) => Err(Failure::plain(format!(
            "invalid value for blkio-weight: strconv.ParseUint: parsing {}: invalid syntax",
            go_quote(text)
        ))),
    }
}

fn device_weight(text: &str) -> Result<(PathBuf, u16), Failure> {
    match text.rsplit_once(':') {
        Some((path, value)) if path.starts_with("/dev/") => match weight(value) {
            Ok(weight) => Ok((path.into(), weight)),
            Err(_) => Err(Failure::plain(format!("invalid weight for device: {text}"))),
        },
        Some(_) => Err(Failure::plain(format!("bad format for device path: {text}"))),
        None => Err(Failure::plain(format!("bad format: {text}"))),
    }
}

/// `PATH:RATE`, bytes with an optional unit or a plain number of operations.
fn rates(texts: &[String], bytes: bool) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let rate = |text: &String| {
        let Some((path, value)) = text.rsplit_once(':') else {
            return Err(Failure::plain(format!("bad format: {text}")));
        };
        if !path.starts_with("/dev/") {
            return Err(Failure::plain(format!("bad format for device path: {text}")));
        }
        let number = if bytes { human::parse_size(value).ok().map(i64::unsigned_abs) } else { value.parse().ok() };
        let unit = if bytes {
            "The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        } else {
            "The correct format is <device-path>:<number>. Number must be a positive integer"
        };
        let number = number.ok_or_else(|| Failure::plain(format!("invalid rate for device: {text}. {unit}")))?;
        Ok((PathBuf::from(path), number))
    };
    texts.iter().map(rate).collect()
}

/// Names that setrlimit(2) knows.
const LIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

pub fn ulimits(typed: &[String], config: &Config) -> Result<Vec<Ulimit>, Failure> {
    let defaults = config.list("containers", "default_ulimits");
    let mut limits: Vec<Ulimit> = Vec::new();
    for text in defaults.iter().chain(typed) {
        let limit = ulimit(text).map_err(|problem| {
            Failure::plain(format!(
                "ulimit option {} requires name=SOFT:HARD, failed to be parsed: {problem}",
                go_quote(text)
            ))
        })?;
        limits.retain(|known| known.name != limit.name);
        limits.push(within_callers(limit));
    }
    Ok(limits)
}

/// `NAME=SOFT[:HARD]`, -1 for no limit, or `host`.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    if text == "host" {
        return Ok(Ulimit { name: "host".into(), soft: 0, hard: 0 });
    }
    let (name, values) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    let name = name.trim_start_matches("RLIMIT_").to_ascii_lowercase();
    if !LIMITS.contains(&name.as_str()) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<&str> = values.split(':').collect();
    let value = |word: &str| {
        word.parse::<i64>().map_err(|_| format!("strconv.ParseInt: parsing {}: invalid syntax", go_quote(word)))
    };
    let (soft, hard) = match parts.as_slice() {
        [soft] => (value(soft)?, value(soft)?),
        [soft, hard] => (value(soft)?, value(hard)?),
        _ => return Err(format!("too many limit value arguments - {values}, can only have up to two, `soft[:hard]`")),
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    let number = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    Ok(Ulimit { name, soft: number(soft), hard: number(hard) })
}

/// No limit of files or processes is as many as the caller may have.
fn within_callers(limit: Ulimit) -> Ulimit {
    let resource = match limit.name.as_str() {
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        _ => return limit,
    };
    let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let within = |value: u64| if value == u64::MAX { most } else { value };
    Ulimit { soft: within(limit.soft), hard: within(limit.hard), ..limit }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{translate, translate_with};
    use super::*;

    #[test]
    fn limits_are_read() {
        let spec = translate(&[
            "-m",
            "100m",
            "--memory-swap",
            "200m",
            "--cpus",
            "1.5",
            "--pids-limit",
            "50",
            "--device-read-bps",
            "/dev/null:1mb",
            "i",
        ])
        .unwrap();
        let resources = spec.resources;
        assert_eq!((resources.memory, resources.memory_swap), (Some(100 << 20), Some(200 << 20)));
        assert_eq!((resources.cpu_period, resources.cpu_quota), (Some(100_000), Some(150_000)));
        assert_eq!(resources.pids_limit, Some(50));
        assert_eq!(resources.read_bps, [("/dev/null".into(), 1 << 20)]);
        assert_eq!(translate_with(&["i"], "[containers]\npids_limit = 7\n").unwrap().resources.pids_limit, Some(7));
    }

    #[test]
    fn ulimits_are_read() {
        let limit = |text| ulimit(text).unwrap();
        assert_eq!(limit("nofile=10:20"), Ulimit { name: "nofile".into(), soft: 10, hard: 20 });
        assert_eq!(limit("nproc=5"), Ulimit { name: "nproc".into(), soft: 5, hard: 5 });
        assert_eq!(limit("core=-1"), Ulimit { name: "core".into(), soft: u64::MAX, hard: u64::MAX });
        assert_eq!(limit("host").name, "host");
    }

    #[test]
    fn mistakes_are_named() {
        let prefix = |text: &str| format!("ulimit option \"{text}\" requires name=SOFT:HARD, failed to be parsed: ");
        let table = [
            ("foo", "invalid ulimit argument: foo"),
            ("nofile=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
            ("nofile=10:5", "ulimit soft limit must be less than or equal to hard limit: 10 > 5"),
            ("foo=1", "invalid ulimit type: foo"),
        ];
        for (text, expected) in table {
            assert_eq!(translate(&["--ulimit", text, "i"]).unwrap_err(), prefix(text) + expected);
        }
        let table: &[(&[&str], &str)] = &[
            (&["-m", "foo"], "invalid value for memory: invalid size: 'foo'"),
            (&["--device-read-bps", "foo"], "bad format: foo"),
            (&["--cgroup-conf", "foo"], "--cgroup-conf must be formatted KEY=VALUE"),
            (&["--cgroups", "foo"], "running container create option: invalid cgroup mode \"foo\": invalid argument"),
        ];
        for (line, expected) in table {
            let line: Vec<&str> = line.iter().copied().chain(["i"]).collect();
            assert_eq!(translate(&line).unwrap_err(), *expected);
        }
    }
}
