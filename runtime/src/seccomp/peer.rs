//! Our filters beside libseccomp's: both are interpreted over all system calls and a grid of arguments.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test, which says when it is skipped")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use oci_spec::runtime::LinuxSeccomp;
use sys::seccomp::Instruction;

use super::program::tests::run;
use super::{Machine, action, compile, default_profile, parse_profile};

/// Builds the peer, or says why the comparison is skipped.
fn peer() -> Option<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/peer_filter.c");
    let program = std::env::temp_dir().join(format!(
        "creel-peer-filter-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let built = Command::new("cc").args(["-o"]).arg(&program).args([source, "-lseccomp"]).output();
    match built {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            eprintln!("skipped: no libseccomp to compare with: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            eprintln!("skipped: no C compiler to build the peer with: {error}");
            None
        }
    }
}

/// The peer's filter, and the names it did not know.
fn peer_filter(program: &PathBuf, profile: &LinuxSeccomp) -> (Vec<Instruction>, HashSet<String>) {
    let default = action(profile.default_action(), profile.default_errno_ret()).unwrap();
    let mut text = format!("default {default}\narch 0x40000003\n");
    for rule in profile.syscalls().iter().flatten() {
        let verdict = action(rule.action(), rule.errno_ret()).unwrap();
        for name in rule.names().iter().filter(|_| verdict != default) {
            write!(text, "rule {verdict} {name}").unwrap();
            for argument in rule.args().iter().flatten() {
                let (op, second) = (argument.op() as u32, argument.value_two().unwrap_or(0));
                write!(text, " {} {op} {} {second}", argument.index(), argument.value()).unwrap();
            }
            text.push('\n');
        }
    }
    let mut child =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let instructions = output
        .stdout
        .chunks_exact(8)
        .map(|bytes| Instruction {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jump_true: bytes[2],
            jump_false: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    (instructions, String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect())
}

const GRID: [u64; 15] =
    [0, 1, 2, 8, 9, 10, 16, 40, 0x1000_0000, 0x20000, 0x20008, 0xffff_ffff, 0x1_0000_0010, 0x28_0000_0000, u64::MAX];

fn compare(profile: &LinuxSeccomp, program: &PathBuf) {
    let ours = compile(profile).unwrap().instructions;
    let (theirs, unknown) = peer_filter(program, profile);
    for (machine, audit, end) in [(Machine::X86_64, 0xc000_003e, 700), (Machine::X86, 0x4000_0003, 700)] {
        let unknown: HashSet<u32> = unknown.iter().filter_map(|name| machine.number(name)).collect();
        for number in (0..end).filter(|number| !unknown.contains(number)) {
            for first in GRID {
                for third in [0, 9, 10, 0x1_0000_0009] {
                    let (first, third) =
                        if audit == 0x4000_0003 { (first & 0xffff_ffff, third & 0xffff_ffff) } else { (first, third) };
                    let arguments = [first, 3, third, 3, 3, 3];
                    let (one, other) = (run(&ours, number, audit, arguments), run(&theirs, number, audit, arguments));
                    assert_eq!(one, other, "{machine:?} call {number}, arguments {arguments:x?}");
                }
            }
        }
    }
    assert_eq!(run(&ours, 0, 0xc000_00b7, [0; 6]), run(&theirs, 0, 0xc000_00b7, [0; 6]));
}

#[test]
fn the_default_profile_is_what_libseccomp_makes_of_it() {
    let Some(program) = peer() else { return };
    let sets: [&[&str]; 4] = [
        &[],
        &["CAP_CHOWN", "CAP_SYS_CHROOT", "CAP_NET_RAW"],
        &["CAP_SYS_ADMIN", "CAP_AUDIT_WRITE", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"],
        &["CAP_BPF", "CAP_PERFMON", "CAP_SYS_TIME", "CAP_SYS_MODULE"],
    ];
    for set in sets {
        let capabilities: Vec<String> = set.iter().map(|name| (*name).to_owned()).collect();
        compare(&default_profile(&capabilities), &program);
        // The table beside the file it states the facts of, where that is installed.
        if let Ok(text) = std::fs::read_to_string("/usr/share/containers/seccomp.json") {
            let installed = parse_profile(&text, &capabilities).unwrap();
            if installed.syscalls().as_ref().map(Vec::len)
                == default_profile(&capabilities).syscalls().as_ref().map(Vec::len)
            {
                assert_eq!(
                    compile(&installed).unwrap().instructions,
                    compile(&default_profile(&capabilities)).unwrap().instructions
                );
            } else {
                eprintln!("note: the installed seccomp.json is another version");
            }
        }
    }
    let _ = std::fs::remove_file(program);
}

#[test]
fn comparisons_on_arguments_are_what_libseccomp_makes_of_them() {
    let Some(program) = peer() else { return };
    for op in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] {
        for value in [0u64, 8, 9, 0xffff_ffff, 0x1_0000_0010, 0x28_0000_0000] {
            let text = format!(
                r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
                    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [
                    {{"names": ["read", "clone"], "action": "SCMP_ACT_ALLOW",
                      "args": [{{"index": 0, "value": {value}, "valueTwo": {}, "op": "SCMP_CMP_{op}"}}]}},
                    {{"names": ["write"], "action": "SCMP_ACT_TRACE", "errnoRet": 7,
                      "args": [{{"index": 0, "value": {value}, "valueTwo": 8, "op": "SCMP_CMP_{op}"}},
                               {{"index": 2, "value": 9, "op": "SCMP_CMP_NE"}}]}},
                    {{"names": ["close"], "action": "SCMP_ACT_LOG"}},
                    {{"names": ["close"], "action": "SCMP_ACT_ALLOW"}},
                    {{"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS"}}]}}"#,
                value & 0xf_0000_000f,
            );
            compare(&parse_profile(&text, &[]).unwrap(), &program);
        }
    }
    let _ = std::fs::remove_file(program);
}
