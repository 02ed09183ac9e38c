//! `--device`.

use std::path::Path;

use containers::DeviceSpec;

use super::{CreateArgs, Surroundings};
use crate::arguments::go_quote;
use crate::error::Failure;

pub fn devices(args: &CreateArgs, around: &Surroundings<'_>) -> Result<Vec<DeviceSpec>, Failure> {
    let listed = around.config.list("containers", "devices");
    args.device.iter().chain(&listed).map(|text| device(text, around)).collect()
}

/// `HOST[:CONTAINER[:rwm]]`.
fn device(text: &str, around: &Surroundings<'_>) -> Result<DeviceSpec, Failure> {
    if !text.starts_with(['/', '.']) && text.contains('=') && text.contains('/') {
        return Err(Failure::plain(format!("the CDI device {text} is not supported by creel yet")));
    }
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
