//! `version`, `--version`, `--help`

use crate::lab::{Lab, differs_on_purpose};

#[test]
fn the_version_is_told_in_each_way() {
    let lab = Lab::empty();
    let short = lab.ok("--version");
    let number = short.rsplit(' ').next().unwrap().to_owned();
    assert!(number.starts_with(|first: char| first.is_ascii_digit()), "{short}");
    assert_eq!(lab.ok("-v"), short);
    assert_eq!(lab.ok("version --format {{.Client.Version}}"), number);
    assert!(lab.ok("version").contains(&number));
    assert_eq!(lab.json("version --format json")["Client"]["Version"], number);
}

#[test]
fn help_names_every_command_and_its_flags() {
    let lab = Lab::empty();
    let text = lab.ok("--help");
    for command in [
        "run",
        "create",
        "start",
        "stop",
        "ps",
        "exec",
        "logs",
        "pull",
        "push",
        "images",
        "commit",
        "cp",
        "volume",
        "container",
        "image",
        "system",
    ] {
        assert!(text.lines().any(|line| line.split_whitespace().next() == Some(command)), "{command} in:\n{text}");
    }
    let text = lab.ok("run --help");
    for flag in ["--publish", "--volume", "--detach", "--network", "--rm"] {
        assert!(text.contains(flag), "{flag} in:\n{text}");
    }
}

#[test]
fn the_program_is_one_static_file_of_fixed_address_and_small() {
    if differs_on_purpose("podman is many files") {
        return;
    }
    let bytes = std::fs::read(crate::lab::program()).unwrap();
    assert_eq!(&bytes[..4], b"\x7fELF");
    let (executable, interpreter) = (2, 3);
    assert_eq!(
        u16::from_le_bytes([bytes[16], bytes[17]]),
        executable,
        "position independent: more private memory for each monitor"
    );
    let headers = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    let (size, count) = (u16::from_le_bytes([bytes[54], bytes[55]]), u16::from_le_bytes([bytes[56], bytes[57]]));
    for number in 0..usize::from(count) {
        let at = headers + number * usize::from(size);
        assert_ne!(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()), interpreter, "not static");
    }
    if cfg!(debug_assertions) && std::env::var_os("CREEL_UNDER_TEST").is_none() {
        return crate::lab::skip("the size is that of a release build; this is another");
    }
    assert!(bytes.len() < 15_000_000, "{} bytes", bytes.len());
}

#[test]
fn the_flag_wins_over_a_command() {
    let lab = Lab::empty();
    let version = lab.ok("--version");
    assert!(version.contains(" version "), "{version}");
    assert_eq!(lab.ok("-v run"), version);
    assert_eq!(lab.ok("--version nonsense"), version);
}
