//! Whether this machine can run programs of another one.

use std::fs;

use images::Platform;

/// Where the kernel lists interpreters for foreign programs, see binfmt_misc in the kernel's admin guide.
const INTERPRETERS: &str = "/proc/sys/fs/binfmt_misc";

/// By itself, or through an interpreter that is registered with the kernel.
pub(super) fn can_run(platform: &Platform) -> bool {
    platform.is_native() || (platform.os() == "linux" && is_registered(qemu_word(platform.architecture())))
}

fn is_registered(word: &str) -> bool {
    let Ok(entries) = fs::read_dir(INTERPRETERS) else { return false };
    let mut names = entries.flatten().filter(|entry| entry.file_name() == format!("qemu-{word}").as_str());
    names.any(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| text.starts_with("enabled")))
}

/// QEMU's word for a processor that Go calls otherwise.
fn qemu_word(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "386" => "i386",
        "arm64" => "aarch64",
        "loong64" => "loongarch64",
        other => other,
    }
}
