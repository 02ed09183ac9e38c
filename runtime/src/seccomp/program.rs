//! From decisions per system call to a BPF program, see seccomp(2) and linux/filter.h.
//!
//! System call numbers with the same decision are joined to ranges, and the ranges become a binary tree: nine comparisons
//! for the default profile, where a list takes hundreds.

use std::collections::BTreeMap;

use oci_spec::runtime::{Arch, LinuxSeccompOperator as Compare};
use sys::seccomp::Instruction;

use super::{defaults, ret};
use crate::{Error, Result};

/// What happens to one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Always(u32),
    /// The first whose checks all hold; else the default.
    When(Vec<(Vec<Check>, u32)>),
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) index: u32,
    pub(super) compare: Compare,
    pub(super) value: u64,
    /// What a masked argument must equal; `value` is the mask then.
    pub(super) second: u64,
}

/// An architecture whose system calls this kernel may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    #[cfg(target_arch = "x86_64")]
    X86_64,
    #[cfg(target_arch = "x86_64")]
    X86,
    #[cfg(target_arch = "aarch64")]
    Aarch64,
    #[cfg(target_arch = "aarch64")]
    Arm,
}

#[cfg(target_arch = "x86_64")]
impl Machine {
    pub(super) const ALL: &[Machine] = &[Machine::X86_64, Machine::X86];

    pub(super) fn native() -> Machine {
        Machine::X86_64
    }

    pub(super) fn profile_name(self) -> Arch {
        match self {
            Machine::X86_64 => Arch::ScmpArchX86_64,
            Machine::X86 => Arch::ScmpArchX86,
        }
    }

    pub(super) fn number(self, name: &str) -> Option<u32> {
        match self {
            Machine::X86_64 => name.parse::<syscalls::x86_64::Sysno>().ok().map(|number| number as u32),
            Machine::X86 => name.parse::<syscalls::x86::Sysno>().ok().map(|number| number as u32),
        }
    }

    /// `AUDIT_ARCH_*` of linux/audit.h.
    fn audit(self) -> u32 {
        match self {
            Machine::X86_64 => 0xc000_003e,
            Machine::X86 => 0x4000_0003,
        }
    }

    fn is_64_bit(self) -> bool {
        self == Machine::X86_64
    }

    /// Numbers from here on are another interface's (`__X32_SYSCALL_BIT`), which shares the architecture's name.
    fn end(self) -> Option<u32> {
        self.is_64_bit().then_some(0x4000_0000)
    }
}

#[cfg(target_arch = "aarch64")]
impl Machine {
    pub(super) const ALL: &[Machine] = &[Machine::Aarch64, Machine::Arm];

    pub(super) fn native() -> Machine {
        Machine::Aarch64
    }

    pub(super) fn profile_name(self) -> Arch {
        match self {
            Machine::Aarch64 => Arch::ScmpArchAarch64,
            Machine::Arm => Arch::ScmpArchArm,
        }
    }

    pub(super) fn number(self, name: &str) -> Option<u32> {
        match self {
            Machine::Aarch64 => name.parse::<syscalls::aarch64::Sysno>().ok().map(|number| number as u32),
            Machine::Arm => name.parse::<syscalls::arm::Sysno>().ok().map(|number| number as u32),
        }
    }

    /// `AUDIT_ARCH_*` of linux/audit.h.
    fn audit(self) -> u32 {
        match self {
            Machine::Aarch64 => 0xc000_00b7,
            Machine::Arm => 0x4000_0028,
        }
    }

    fn is_64_bit(self) -> bool {
        self == Machine::Aarch64
    }

    fn end(self) -> Option<u32> {
        None
    }
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
/// BPF_MAXINSNS.
const MAX_INSTRUCTIONS: usize = 4096;

fn load(offset: u32) -> Instruction {
    Instruction { code: 0x20, jump_true: 0, jump_false: 0, k: offset }
}

fn and(mask: u32) -> Instruction {
    Instruction { code: 0x54, jump_true: 0, jump_false: 0, k: mask }
}

fn give(verdict: u32) -> Instruction {
    Instruction { code: 0x06, jump_true: 0, jump_false: 0, k: verdict }
}

fn jump(distance: usize) -> Instruction {
    Instruction { code: 0x05, jump_true: 0, jump_false: 0, k: u32::try_from(distance).unwrap_or(u32::MAX) }
}

const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const AT_LEAST: u16 = 0x35;

fn branch(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, k }
}

/// The whole filter: the architecture first, since system call numbers mean nothing without it.
pub(super) fn assemble(trees: &[(Machine, BTreeMap<u32, Decision>)], default: u32) -> Result<Vec<Instruction>> {
    let mut all = vec![load(ARCHITECTURE)];
    for (machine, decisions) in trees {
        let mut block = vec![load(NUMBER)];
        block.extend(tree(&ranges(*machine, decisions, default), *machine, default)?);
        // A far jump, because a conditional one reaches only 255 instructions.
        all.push(branch(EQUAL, machine.audit(), 1, 0));
        all.push(jump(block.len()));
        all.extend(block);
    }
    all.push(give(ret::KILL_PROCESS));
    if all.len() > MAX_INSTRUCTIONS {
        return Err(Error::Seccomp {
            what: format!("it needs {} instructions, the kernel takes {MAX_INSTRUCTIONS}", all.len()),
        });
    }
    Ok(all)
}

/// First number of each range, and its decision; the first range begins at 0.
fn ranges(machine: Machine, decisions: &BTreeMap<u32, Decision>, default: u32) -> Vec<(u32, Decision)> {
    let mut all: Vec<(u32, Decision)> = vec![(0, Decision::Always(default))];
    let mut begin = |from: u32, decision: &Decision| match all.last_mut() {
        Some((_, last)) if last == decision => {}
        Some((start, last)) if *start == from => *last = decision.clone(),
        _ => all.push((from, decision.clone())),
    };
    let mut next = 0;
    for (&number, decision) in decisions {
        if number > next {
            begin(next, &Decision::Always(default));
        }
        begin(number, decision);
        next = number + 1;
    }
    begin(next, &Decision::Always(default));
    if let Some(end) = machine.end() {
        begin(end, &Decision::Always(ret::ERRNO | defaults::ENOSYS));
    }
    all
}

fn tree(ranges: &[(u32, Decision)], machine: Machine, default: u32) -> Result<Vec<Instruction>> {
    if let [(_, decision)] = ranges {
        return leaf(decision, machine, default);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let border = high[0].0;
    let (low, high) = (tree(low, machine, default)?, tree(high, machine, default)?);
    let mut all = Vec::with_capacity(low.len() + high.len() + 2);
    match u8::try_from(low.len()) {
        Ok(distance) => all.push(branch(AT_LEAST, border, distance, 0)),
        Err(_) => {
            all.push(branch(AT_LEAST, border, 0, 1));
            all.push(jump(low.len()));
        }
    }
    all.extend(low);
    all.extend(high);
    Ok(all)
}

fn leaf(decision: &Decision, machine: Machine, default: u32) -> Result<Vec<Instruction>> {
    let rules = match decision {
        Decision::Always(verdict) => return Ok(vec![give(*verdict)]),
        Decision::When(rules) => rules,
    };
    let mut all = Vec::new();
    for (checks, verdict) in rules {
        let mut steps: Vec<Step> = Vec::new();
        for check in checks {
            steps.extend(check_steps(*check, machine));
        }
        all.extend(link(&steps, *verdict)?);
    }
    all.push(give(default));
    Ok(all)
}

/// Where a comparison leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// The instruction that follows.
    Next,
    /// The check holds: the first instruction of the next one, `n` instructions on.
    Skip(u8),
    /// It does not: the next rule.
    Fail,
}

enum Step {
    Plain(Instruction),
    Branch { code: u16, k: u32, holds: To, fails: To },
}

/// Puts distances in. The verdict follows the last step, and the next rule follows the verdict.
fn link(steps: &[Step], verdict: u32) -> Result<Vec<Instruction>> {
    let end = steps.len() + 1;
    let distance = |at: usize, to: To| -> Result<u8> {
        match to {
            To::Next => Ok(0),
            To::Skip(count) => Ok(count),
            To::Fail => {
                u8::try_from(end - at - 1).map_err(|_| Error::Seccomp { what: "a rule has too many conditions".into() })
            }
        }
    };
    let mut all = Vec::with_capacity(end);
    for (at, step) in steps.iter().enumerate() {
        all.push(match step {
            Step::Plain(instruction) => *instruction,
            Step::Branch { code, k, holds, fails } => branch(*code, *k, distance(at, *holds)?, distance(at, *fails)?),
        });
    }
    all.push(give(verdict));
    Ok(all)
}

/// BPF compares 32 bits, an argument has 64: the upper half decides first. A 32-bit machine has only the lower.
fn check_steps(check: Check, machine: Machine) -> Vec<Step> {
    let low_offset = ARGUMENTS + 8 * check.index;
    let high_offset = low_offset + 4;
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    let (high, low) = halves(check.value);
    let (second_high, second_low) = halves(check.second);
    let wide = machine.is_64_bit();
    let go = |code, k, holds, fails| Step::Branch { code, k, holds, fails };
    let mut steps = Vec::with_capacity(6);
    match check.compare {
        Compare::ScmpCmpEq => {
            if wide {
                steps.push(Step::Plain(load(high_offset)));
                steps.push(go(EQUAL, high, To::Next, To::Fail));
            }
            steps.push(Step::Plain(load(low_offset)));
            steps.push(go(EQUAL, low, To::Next, To::Fail));
        }
        Compare::ScmpCmpNe => {
            if wide {
                steps.push(Step::Plain(load(high_offset)));
                steps.push(go(EQUAL, high, To::Next, To::Skip(2)));
            }
            steps.push(Step::Plain(load(low_offset)));
            steps.push(go(EQUAL, low, To::Fail, To::Next));
        }
        Compare::ScmpCmpMaskedEq => {
            if wide {
                steps.push(Step::Plain(load(high_offset)));
                steps.push(Step::Plain(and(high)));
                steps.push(go(EQUAL, second_high & high, To::Next, To::Fail));
            }
            steps.push(Step::Plain(load(low_offset)));
            steps.push(Step::Plain(and(low)));
            steps.push(go(EQUAL, second_low & low, To::Next, To::Fail));
        }
        Compare::ScmpCmpGt | Compare::ScmpCmpGe => {
            let code = if check.compare == Compare::ScmpCmpGt { GREATER } else { AT_LEAST };
            if wide {
                steps.push(Step::Plain(load(high_offset)));
                steps.push(go(GREATER, high, To::Skip(3), To::Next));
                steps.push(go(EQUAL, high, To::Next, To::Fail));
            }
            steps.push(Step::Plain(load(low_offset)));
            steps.push(go(code, low, To::Next, To::Fail));
        }
        Compare::ScmpCmpLt | Compare::ScmpCmpLe => {
            // Less is not at least, and at most is not greater.
            let code = if check.compare == Compare::ScmpCmpLt { AT_LEAST } else { GREATER };
            if wide {
                steps.push(Step::Plain(load(high_offset)));
                steps.push(go(GREATER, high, To::Fail, To::Next));
                steps.push(go(EQUAL, high, To::Next, To::Skip(2)));
            }
            steps.push(Step::Plain(load(low_offset)));
            steps.push(go(code, low, To::Fail, To::Next));
        }
    }
    steps
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The part of the kernel's interpreter that a filter can use.
    pub(crate) fn run(program: &[Instruction], number: u32, architecture: u32, arguments: [u64; 6]) -> u32 {
        let mut data = [0u8; 64];
        data[..4].copy_from_slice(&number.to_le_bytes());
        data[4..8].copy_from_slice(&architecture.to_le_bytes());
        for (at, argument) in arguments.iter().enumerate() {
            data[16 + 8 * at..24 + 8 * at].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut accumulator, mut at) = (0u32, 0);
        loop {
            let Instruction { code, jump_true, jump_false, k } = program[at];
            at += 1;
            let holds = match code {
                0x20 => {
                    let offset = k as usize;
                    accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                    continue;
                }
                0x54 => {
                    accumulator &= k;
                    continue;
                }
                0x06 => return k,
                0x05 => {
                    at += k as usize;
                    continue;
                }
                EQUAL => accumulator == k,
                GREATER => accumulator > k,
                AT_LEAST => accumulator >= k,
                // BPF_JSET, which libseccomp uses.
                0x45 => accumulator & k != 0,
                other => panic!("instruction {other:#x} at {at}"),
            };
            at += usize::from(if holds { jump_true } else { jump_false });
        }
    }

    fn meant(check: Check, value: u64) -> bool {
        match check.compare {
            Compare::ScmpCmpEq => value == check.value,
            Compare::ScmpCmpNe => value != check.value,
            Compare::ScmpCmpGt => value > check.value,
            Compare::ScmpCmpGe => value >= check.value,
            Compare::ScmpCmpLt => value < check.value,
            Compare::ScmpCmpLe => value <= check.value,
            Compare::ScmpCmpMaskedEq => value & check.value == check.second & check.value,
        }
    }

    #[test]
    fn every_comparison_means_what_it_says_on_both_halves() {
        let grid = [0, 1, 5, 6, 7, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0005, 0x5_0000_0000, 0x5_0000_0005, u64::MAX];
        let compares = [
            Compare::ScmpCmpEq,
            Compare::ScmpCmpNe,
            Compare::ScmpCmpGt,
            Compare::ScmpCmpGe,
            Compare::ScmpCmpLt,
            Compare::ScmpCmpLe,
            Compare::ScmpCmpMaskedEq,
        ];
        let machine = Machine::native();
        for compare in compares {
            for value in grid {
                let check = Check { index: 2, compare, value, second: value & 0x5_0000_0004 };
                let decisions = BTreeMap::from([(7, Decision::When(vec![(vec![check], ret::ALLOW)]))]);
                let program = assemble(&[(machine, decisions)], ret::KILL_THREAD).unwrap();
                for argument in grid {
                    let verdict = run(&program, 7, machine.audit(), [9, 9, argument, 9, 9, 9]);
                    assert_eq!(verdict == ret::ALLOW, meant(check, argument), "{check:?} {argument:#x}");
                }
            }
        }
    }

    #[test]
    fn unknown_numbers_get_the_default_and_unknown_machines_die() {
        let machine = Machine::native();
        let decisions = BTreeMap::from([(3, Decision::Always(ret::ALLOW)), (4, Decision::Always(ret::ALLOW))]);
        let program = assemble(&[(machine, decisions)], ret::ERRNO | 38).unwrap();
        let verdict = |number| run(&program, number, machine.audit(), [0; 6]);
        assert_eq!(
            (verdict(2), verdict(3), verdict(4), verdict(5)),
            (ret::ERRNO | 38, ret::ALLOW, ret::ALLOW, ret::ERRNO | 38)
        );
        assert_eq!(verdict(0x4000_0003), ret::ERRNO | 38);
        assert_eq!(verdict(u32::MAX), ret::ERRNO | 38);
        assert_eq!(run(&program, 3, 0x1234, [0; 6]), ret::KILL_PROCESS);
    }

    #[test]
    fn neighbours_become_one_range() {
        let decisions = (0..300).map(|number| (number, Decision::Always(ret::ALLOW))).collect();
        let all = ranges(Machine::native(), &decisions, ret::KILL_THREAD);
        assert_eq!(all[0], (0, Decision::Always(ret::ALLOW)));
        assert_eq!(all[1], (300, Decision::Always(ret::KILL_THREAD)));
    }
}
