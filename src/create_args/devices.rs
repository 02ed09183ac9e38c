//! `--device`, `--gpus`, `--device-cgroup-rule`.

use std::path::Path;

use containers::DeviceSpec;

use super::{CreateArgs, Surroundings};
use crate::arguments::go_quote;
use crate::error::Failure;

pub fn devices(args: &CreateArgs, around: &Surroundings<'_>) -> Result<Vec<DeviceSpec>, Failure> {
    let listed = around.config.list("containers", "devices");
    let paths = args.device.iter().chain(&listed).filter(|text| !containers::is_device_name(text));
    paths.map(|text| device(text, around)).collect()
}

/// Those that are named as their vendors have them, `vendor.com/class=name`; `--gpus` is a short way to say it.
pub fn by_name(args: &CreateArgs, around: &Surroundings<'_>) -> Vec<String> {
    let listed = around.config.list("containers", "devices");
    let named = args.device.iter().chain(&listed).filter(|text| containers::is_device_name(text)).cloned();
    // Docker's spelling has the word in front.
    let gpus = args.gpus.iter().map(|gpu| gpu.trim_matches('"').trim_start_matches("device=").to_owned());
    named.chain(gpus.map(|gpu| format!("nvidia.com/gpu={gpu}"))).collect()
}

/// `TYPE MAJOR:MINOR ACCESS`, as the device cgroup of version 1 had it.
pub fn rules(texts: &[String]) -> Result<Vec<String>, Failure> {
    for text in texts {
        let invalid = || {
            let text = go_quote(text);
            Failure::plain(format!("invalid device cgroup rule requires type, major:Minor, and access rules: {text}"))
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [kind, numbers, access] = words.as_slice() else { return Err(invalid()) };
        if !matches!(*kind, "a" | "b" | "c") {
            return Err(Failure::plain(format!("invalid device type in device-access-add: {kind}")));
        }
        let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
        for number in [major, minor] {
            if number != "*" && number.parse::<u64>().is_err() {
                let number = go_quote(number);
                return Err(Failure::plain(format!("strconv.ParseUint: parsing {number}: invalid syntax")));
            }
        }
        if !access.chars().all(|letter| matches!(letter, 'r' | 'w' | 'm')) {
            return Err(Failure::plain(format!("invalid device access in device-access-add: {access}")));
        }
    }
    Ok(texts.to_vec())
}

/// `HOST[:CONTAINER[:rwm]]`.
fn device(text: &str, around: &Surroundings<'_>) -> Result<DeviceSpec, Failure> {
    let is_mode = |text: &str| !text.is_empty() && text.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, permissions) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, second] if second.starts_with('/') => (*host, *second, "rwm"),
        [host, second] => (*host, *host, *second),
        [host, container, permissions] => (*host, *container, *permissions),
        _ => return Err(Failure::plain(format!("invalid device specification: {text}"))),
    };
    if !is_mode(permissions) {
        let (permissions, text) = (go_quote(permissions), go_quote(text));
        return Err(Failure::plain(format!("invalid device mode {permissions} in device {text}")));
    }
    if !container.starts_with('/') {
        return Err(Failure::plain(format!("stat {host}: no such file or directory")));
    }
    (around.exists)(Path::new(host)).map_err(crate::error::on_path("stat", host))?;
    Ok(DeviceSpec { host: host.into(), container: container.into(), permissions: permissions.to_owned() })
}
