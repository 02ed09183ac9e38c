//! What the process gives up before it reads the first packet.

use std::io;

use nix::libc;
use sys::capabilities::{Set, Sets};
use sys::seccomp::Instruction;

/// Gives up capabilities, the way to any, and system calls that packets do not need.
pub(super) fn enter() -> io::Result<()> {
    // Without it a program that is executed could have more; and no filter is taken.
    rustix::thread::set_no_new_privs(true)?;
    sys::capabilities::limit_bounding(Set::default())?;
    sys::capabilities::set(Sets::default())?;
    sys::seccomp::load(&filter(), 0)
}

/// Sockets, packets, memory, and reading files: resolv.conf may change. Nothing is executed, written, traced or mounted.
const CALLS: [libc::c_long; 45] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_epoll_pwait2,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_ctl,
    libc::SYS_clock_gettime,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_close,
    libc::SYS_shutdown,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mprotect,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_stat,
    libc::SYS_lseek,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_sched_yield,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Whatever is not listed fails with EPERM, and so does opening a file to write it.
fn filter() -> Vec<Instruction> {
    let statement = |code: u32, k: u32| Instruction { code: code as u16, jump_true: 0, jump_false: 0, k };
    let jump = |code: u32, k: u32, jump_true: u8, jump_false: u8| Instruction {
        code: (libc::BPF_JMP | code | libc::BPF_K) as u16,
        jump_true,
        jump_false,
        k,
    };
    let load = |offset: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let give = |result: u32| statement(libc::BPF_RET | libc::BPF_K, result);
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    // struct seccomp_data: number, architecture, instruction pointer (8), six arguments (8 each, little-endian).
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const THIRD_ARGUMENT: u32 = 32;
    const X86_64: u32 = 0xc000_003e;
    let write = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT) as u32;
    let mut filter = vec![
        load(ARCHITECTURE),
        jump(libc::BPF_JEQ, X86_64, 1, 0),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
        // openat(2): the third argument has the flags.
        jump(libc::BPF_JEQ, libc::SYS_openat as u32, 0, 4),
        load(THIRD_ARGUMENT),
        jump(libc::BPF_JSET, write, 0, 1),
        give(refuse),
        give(libc::SECCOMP_RET_ALLOW),
    ];
    for call in CALLS {
        filter.push(jump(libc::BPF_JEQ, call as u32, 0, 1));
        filter.push(give(libc::SECCOMP_RET_ALLOW));
    }
    filter.push(give(refuse));
    filter
}
