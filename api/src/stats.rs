//! `/containers/{id}/stats`: two samples make an answer, since clients show what changed between them.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::call::{Call, Reply};
use crate::containers::{id_of, status_of};
use crate::creel::{Creel, Error, Result, Words};
use crate::json::{members, number, text};

const INTERVAL: Duration = Duration::from_secs(1);

/// The numbers as they are, not as people read them.
const FORMAT: &str = concat!(
    r#"{"name":"{{.Name}}","cpu":{{.CPUNano}},"kernel":{{.CPUSystemNano}},"memory":"{{.MemUsage}}","limit":{{.MemLimit}},"#,
    r#""pids":{{.PIDs}},"in":{{.BlockInput}},"out":{{.BlockOutput}},"network":{{json .Network}}}"#
);

fn sample(creel: &Creel, id: &str) -> Result<Value> {
    let mut words = Words::new(&["stats", "--no-stream", "--no-reset"]);
    let mut found = creel.json(words.flag("format", Some(FORMAT)).names([id]))?;
    found["system"] = processors_spent().into();
    found["time"] = Timestamp::now().to_string().into();
    Ok(found)
}

/// Nanoseconds that the processors of this machine have spent, together (proc_stat(5)).
fn processors_spent() -> u64 {
    const TICK: u64 = 10_000_000;
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = stat.lines().next().unwrap_or_default();
    // User, nice, system, idle, iowait, irq, softirq: guests are in the first two.
    all.split_whitespace().skip(1).take(7).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * TICK
}

/// Bytes of `1.946MB / 25.28GB`, before the stroke.
fn bytes(text: &str) -> u64 {
    let text = text.split('/').next().unwrap_or_default().trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => 1.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is no more than memory has bytes")]
    let bytes = (digits.parse::<f64>().unwrap_or_default() * factor) as u64;
    bytes
}

fn processors(sample: &Value) -> Value {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    json!({
        "cpu_usage": {
            "total_usage": number(sample, "cpu"),
            "usage_in_kernelmode": number(sample, "kernel"),
            "usage_in_usermode": number(sample, "cpu") - number(sample, "kernel"),
        },
        "system_cpu_usage": number(sample, "system"),
        "online_cpus": processors,
        "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 },
    })
}

fn shape(id: &str, before: &Value, now: &Value) -> Value {
    let networks: Map<String, Value> = members(now, "network")
        .map(|(name, interface)| {
            let count = |key: &str| number(interface, key);
            let shown = json!({
                "rx_bytes": count("RxBytes"), "rx_packets": count("RxPackets"), "rx_errors": count("RxErrors"),
                "rx_dropped": count("RxDropped"), "tx_bytes": count("TxBytes"), "tx_packets": count("TxPackets"),
                "tx_errors": count("TxErrors"), "tx_dropped": count("TxDropped"),
            });
            (name.to_owned(), shown)
        })
        .collect();
    json!({
        "id": id,
        "name": format!("/{}", text(now, "name")),
        "read": text(now, "time"),
        "preread": text(before, "time"),
        "num_procs": 0,
        "pids_stats": { "current": number(now, "pids") },
        "cpu_stats": processors(now),
        "precpu_stats": processors(before),
        "memory_stats": { "usage": bytes(text(now, "memory")), "limit": number(now, "limit"), "stats": {} },
        "blkio_stats": {
            "io_service_bytes_recursive": [
                { "major": 0, "minor": 0, "op": "read", "value": number(now, "in") },
                { "major": 0, "minor": 0, "op": "write", "value": number(now, "out") },
            ],
        },
        "storage_stats": {},
        "networks": networks,
    })
}

pub(crate) fn stats(call: &mut Call<'_>) -> Result<Reply> {
    let id = id_of(call.creel, call.name())?;
    let streams = call.query("stream").is_none() || call.asks("stream");
    if status_of(call.creel, &id)? != "running" {
        if streams {
            return Err(Error { status: 409, message: format!("container {id} is not running") });
        }
        return Reply::json(&shape(&id, &Value::Null, &Value::Null));
    }
    let creel = call.creel;
    let mut before = sample(creel, &id)?;
    if !streams {
        if call.asks("one-shot") {
            return Reply::json(&shape(&id, &Value::Null, &before));
        }
        std::thread::sleep(INTERVAL);
        let now = sample(creel, &id)?;
        return Reply::json(&shape(&id, &before, &now));
    }
    let mut out = call.lines()?;
    loop {
        // A client that is gone is noticed at the next line; one whose container has ended has its end.
        std::thread::sleep(INTERVAL);
        let Ok(now) = sample(creel, &id) else { break };
        if out.write_all(format!("{}\n", shape(&id, &before, &now)).as_bytes()).is_err() {
            return Ok(Reply::Over);
        }
        before = now;
    }
    out.finish()?;
    Ok(Reply::Sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_back() {
        for (text, count) in
            [("1.946MB / 25.28GB", 1_946_000), ("512B / 1GB", 512), ("0B / 0B", 0), ("2.5GB", 2_500_000_000)]
        {
            assert_eq!(bytes(text), count, "{text}");
        }
    }
}
