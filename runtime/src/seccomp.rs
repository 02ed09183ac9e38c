//! Which system calls a container may make: a profile becomes a filter.
//!
//! The compiler is ours because the time counts: a library that keeps a general database needs 8 to 14 ms for the default
//! profile, this takes a tenth of a millisecond, and the tree it makes is what the kernel runs fastest.

mod defaults;
#[cfg(all(test, target_arch = "x86_64"))]
mod peer;
mod profile;
mod program;

use std::collections::BTreeMap;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSyscall,
};
use sys::seccomp::{Instruction, flags};

pub use profile::{default_profile, parse_profile};

use crate::{Error, Result};
use program::{Check, Decision, Machine};

/// A filter, ready to be loaded.
#[derive(Clone, Debug)]
pub struct Filter {
    pub instructions: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    open: bool,
}

impl Filter {
    /// Nothing is refused, so there is nothing to load.
    pub(crate) fn allows_everything(&self) -> bool {
        self.open
    }
}

/// `SECCOMP_RET_*` of linux/seccomp.h.
mod ret {
    pub(super) const KILL_PROCESS: u32 = 0x8000_0000;
    pub(super) const KILL_THREAD: u32 = 0;
    pub(super) const TRAP: u32 = 0x0003_0000;
    pub(super) const ERRNO: u32 = 0x0005_0000;
    pub(super) const TRACE: u32 = 0x7ff0_0000;
    pub(super) const LOG: u32 = 0x7ffc_0000;
    pub(super) const ALLOW: u32 = 0x7fff_0000;
}

const EPERM: u32 = 1;

/// Makes the filter of a profile (config-linux.md, "Seccomp").
///
/// Where rules for one system call meet: one without conditions on arguments decides alone, and of several the first;
/// else the first whose conditions hold. Names that an architecture does not have are passed over, as profiles are
/// written for all of them. System calls of an architecture that is not listed kill the process; x32 ones never exist.
///
/// # Errors
/// For actions that need a second process (`SCMP_ACT_NOTIFY`), and architectures this build has no table for only if
/// none of those listed is left.
pub fn compile(profile: &LinuxSeccomp) -> Result<Filter> {
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let machines: Vec<Machine> = match profile.architectures().as_deref() {
        None | Some([]) => vec![Machine::native()],
        Some(listed) => {
            Machine::ALL.iter().copied().filter(|machine| listed.iter().any(|&a| lists(a, *machine))).collect()
        }
    };
    if machines.is_empty() {
        return Err(Error::Seccomp { what: "none of its architectures is this machine's".into() });
    }
    let mut open = default == ret::ALLOW;
    let mut trees = Vec::new();
    for machine in machines {
        let mut decisions: BTreeMap<u32, Decision> = BTreeMap::new();
        for rule in profile.syscalls().iter().flatten() {
            let verdict = action(rule.action(), rule.errno_ret())?;
            if verdict == default {
                continue;
            }
            open = false;
            let alternatives = alternatives(rule)?;
            for number in rule.names().iter().filter_map(|name| machine.number(name)) {
                merge(&mut decisions, number, verdict, &alternatives);
            }
        }
        trees.push((machine, decisions));
    }
    let instructions = program::assemble(&trees, default)?;
    let flags = profile.flags().iter().flatten().map(flag).sum();
    Ok(Filter { instructions, flags, open })
}

fn lists(listed: Arch, machine: Machine) -> bool {
    match listed {
        Arch::ScmpArchNative => machine == Machine::native(),
        other => machine.profile_name() == other,
    }
}

fn merge(decisions: &mut BTreeMap<u32, Decision>, number: u32, verdict: u32, alternatives: &[Vec<Check>]) {
    if alternatives.is_empty() {
        match decisions.get(&number) {
            Some(Decision::Always(_)) => {}
            Some(Decision::When(_)) | None => {
                decisions.insert(number, Decision::Always(verdict));
            }
        }
        return;
    }
    match decisions.entry(number).or_insert_with(|| Decision::When(Vec::new())) {
        Decision::Always(_) => {}
        Decision::When(rules) => {
            rules.extend(alternatives.iter().map(|checks| (checks.clone(), verdict)));
        }
    }
}

/// The conditions of a rule all have to hold, except where one argument is named twice: such profiles have always been
/// read as alternatives. No condition at all is no alternative.
fn alternatives(rule: &LinuxSyscall) -> Result<Vec<Vec<Check>>> {
    let arguments = rule.args().as_deref().unwrap_or_default();
    let checks = arguments.iter().map(check).collect::<Result<Vec<_>>>()?;
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    let repeated =
        arguments.iter().enumerate().any(|(at, one)| arguments[..at].iter().any(|other| other.index() == one.index()));
    Ok(if repeated { checks.into_iter().map(|check| vec![check]).collect() } else { vec![checks] })
}

fn check(argument: &LinuxSeccompArg) -> Result<Check> {
    let index = u32::try_from(argument.index()).ok().filter(|index| *index < 6);
    let index = index.ok_or_else(|| Error::Seccomp { what: format!("there is no argument {}", argument.index()) })?;
    Ok(Check { index, compare: argument.op(), value: argument.value(), second: argument.value_two().unwrap_or(0) })
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32> {
    let errno = errno.unwrap_or(EPERM) & 0xffff;
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => ret::KILL_THREAD,
        LinuxSeccompAction::ScmpActKillProcess => ret::KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => ret::TRAP,
        LinuxSeccompAction::ScmpActErrno => ret::ERRNO | errno,
        LinuxSeccompAction::ScmpActTrace => ret::TRACE | errno,
        LinuxSeccompAction::ScmpActLog => ret::LOG,
        LinuxSeccompAction::ScmpActAllow => ret::ALLOW,
        LinuxSeccompAction::ScmpActNotify => {
            return Err(Error::Seccomp {
                what: "SCMP_ACT_NOTIFY needs a listening program and is not supported".into(),
            });
        }
    })
}

fn flag(flag: &LinuxSeccompFilterFlag) -> u32 {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => flags::LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => flags::SPEC_ALLOW,
        // One thread has nobody to synchronise with; the other is about a listener, which there is none of.
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync | LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 0,
    }
}
