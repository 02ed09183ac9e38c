//! The default profile, as facts: which system calls a container may make, and on what condition. They are those of the
//! profile that Podman 5.8 ships; the form is ours. What is not named here does not exist for a container (`ENOSYS`), so
//! that programs fall back as they would on an older kernel.

use oci_spec::runtime::LinuxSeccompOperator as Compare;

use super::profile::{Condition, Rule, Verdict};

/// `EPERM`, `EINVAL` and `ENOSYS` of errno(3).
pub(super) const EPERM: u32 = 1;
const EINVAL: u32 = 22;
pub(super) const ENOSYS: u32 = 38;

const AF_NETLINK: u64 = 16;
const AF_VSOCK: u64 = 40;
const NETLINK_AUDIT: u64 = 9;

const DENIED: Verdict = Verdict::Errno(EPERM);

/// In order: where two rules meet, the first one decides.
pub(super) const RULES: &[Rule<'static>] = &[
    Rule {
        verdict: DENIED,
        when: Condition::ALWAYS,
        arguments: &[],
        names: "\
            bdflush cachestat futex_requeue futex_wait futex_waitv futex_wake io_pgetevents io_pgetevents_time64 \
            kexec_file_load kexec_load map_shadow_stack migrate_pages move_pages nfsservctl nice oldfstat oldlstat \
            oldolduname oldstat olduname pciconfig_iobase pciconfig_read pciconfig_write sgetmask ssetmask swapoff \
            swapon syscall sysfs uselib userfaultfd ustat vm86 vm86old vmsplice",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition::ALWAYS,
        arguments: &[],
        names: "\
            _llseek _newselect accept accept4 access adjtimex alarm bind brk capget capset chdir chmod chown chown32 \
            clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
            clock_nanosleep clock_nanosleep_time64 clone clone3 close close_range connect copy_file_range creat dup \
            dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
            epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 \
            fadvise64_64 fallocate fanotify_init fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 \
            fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsconfig fsetxattr fsmount \
            fsopen fspick fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_time64 \
            futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid \
            getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp \
            getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage \
            getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr inotify_add_watch \
            inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_setup io_submit ioctl \
            ioprio_get ioprio_set ipc keyctl kill landlock_add_rule landlock_create_ruleset landlock_restrict_self \
            lchown lchown32 lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat \
            lstat64 madvise mbind membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock \
            mlock2 mlockall mmap mmap2 mount mount_setattr move_mount mprotect mq_getsetattr mq_notify mq_open \
            mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl msgget \
            msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open open_tree \
            openat openat2 pause pidfd_getfd pidfd_open pidfd_send_signal pipe pipe2 pivot_root pkey_alloc pkey_free \
            pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease \
            process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read \
            readahead readlink readlinkat readv reboot recv recvfrom recvmmsg recvmmsg_time64 recvmsg \
            remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction \
            rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
            rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity \
            sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 \
            sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl \
            semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_mempolicy \
            set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 \
            setgroups setgroups32 setitimer setns setpgid setpriority setregid setregid32 setresgid setresgid32 \
            setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr shmat \
            shmctl shmdt shmget shutdown sigaltstack signal signalfd signalfd4 sigprocmask sigreturn socketcall \
            socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs \
            sysinfo syslog tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 \
            timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime \
            timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask umount umount2 uname unlink unlinkat \
            unshare utime utimensat utimensat_time64 utimes vfork wait4 waitid waitpid write writev",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition::ALWAYS,
        arguments: &[(0, Compare::ScmpCmpEq, 0)],
        names: "personality",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition::ALWAYS,
        arguments: &[(0, Compare::ScmpCmpEq, 8)],
        names: "personality",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition::ALWAYS,
        arguments: &[(0, Compare::ScmpCmpEq, 0x20000)],
        names: "personality",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition::ALWAYS,
        arguments: &[(0, Compare::ScmpCmpEq, 0x20008)],
        names: "personality",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition::ALWAYS,
        arguments: &[(0, Compare::ScmpCmpEq, 0xffffffff)],
        names: "personality",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { on: &["arm", "arm64"], ..Condition::ALWAYS },
        arguments: &[],
        names: "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { on: &["amd64", "x32"], ..Condition::ALWAYS },
        arguments: &[],
        names: "arch_prctl",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { on: &["amd64", "x32", "x86"], ..Condition::ALWAYS },
        arguments: &[],
        names: "modify_ldt",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { on: &["riscv64"], ..Condition::ALWAYS },
        arguments: &[],
        names: "riscv_flush_icache",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_DAC_READ_SEARCH"], ..Condition::ALWAYS },
        arguments: &[],
        names: "open_by_handle_at",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_DAC_READ_SEARCH"], ..Condition::ALWAYS },
        arguments: &[],
        names: "open_by_handle_at",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_SYS_ADMIN"], ..Condition::ALWAYS },
        arguments: &[],
        names: "bpf lookup_dcookie quotactl quotactl_fd setdomainname sethostname setns",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_ADMIN"], ..Condition::ALWAYS },
        arguments: &[],
        names: "lookup_dcookie perf_event_open quotactl quotactl_fd setdomainname sethostname setns",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_SYS_CHROOT"], ..Condition::ALWAYS },
        arguments: &[],
        names: "chroot",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_CHROOT"], ..Condition::ALWAYS },
        arguments: &[],
        names: "chroot",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_SYS_MODULE"], ..Condition::ALWAYS },
        arguments: &[],
        names: "delete_module finit_module init_module query_module",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_MODULE"], ..Condition::ALWAYS },
        arguments: &[],
        names: "delete_module finit_module init_module query_module",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_SYS_PACCT"], ..Condition::ALWAYS },
        arguments: &[],
        names: "acct",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_PACCT"], ..Condition::ALWAYS },
        arguments: &[],
        names: "acct",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_SYS_PTRACE"], ..Condition::ALWAYS },
        arguments: &[],
        names: "kcmp process_madvise",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_PTRACE"], ..Condition::ALWAYS },
        arguments: &[],
        names: "kcmp process_madvise",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_SYS_RAWIO"], ..Condition::ALWAYS },
        arguments: &[],
        names: "ioperm iopl",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_RAWIO"], ..Condition::ALWAYS },
        arguments: &[],
        names: "ioperm iopl",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_SYS_TIME"], ..Condition::ALWAYS },
        arguments: &[],
        names: "clock_settime clock_settime64 settimeofday stime",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_TIME"], ..Condition::ALWAYS },
        arguments: &[],
        names: "clock_settime clock_settime64 settimeofday stime",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_SYS_TTY_CONFIG"], ..Condition::ALWAYS },
        arguments: &[],
        names: "vhangup",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_TTY_CONFIG"], ..Condition::ALWAYS },
        arguments: &[],
        names: "vhangup",
    },
    Rule { verdict: DENIED, when: Condition::ALWAYS, arguments: &[(0, Compare::ScmpCmpEq, AF_VSOCK)], names: "socket" },
    Rule {
        verdict: Verdict::Errno(EINVAL),
        when: Condition { without: &["CAP_AUDIT_WRITE"], ..Condition::ALWAYS },
        arguments: &[(0, Compare::ScmpCmpEq, AF_NETLINK), (2, Compare::ScmpCmpEq, NETLINK_AUDIT)],
        names: "socket",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { without: &["CAP_AUDIT_WRITE"], ..Condition::ALWAYS },
        arguments: &[(0, Compare::ScmpCmpEq, AF_NETLINK), (2, Compare::ScmpCmpNe, NETLINK_AUDIT)],
        names: "socket",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { without: &["CAP_AUDIT_WRITE"], ..Condition::ALWAYS },
        arguments: &[(0, Compare::ScmpCmpNe, AF_NETLINK)],
        names: "socket",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_AUDIT_WRITE"], ..Condition::ALWAYS },
        arguments: &[(0, Compare::ScmpCmpNe, AF_VSOCK)],
        names: "socket",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_ADMIN", "CAP_BPF"], ..Condition::ALWAYS },
        arguments: &[],
        names: "bpf",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_BPF"], ..Condition::ALWAYS },
        arguments: &[],
        names: "bpf",
    },
    Rule {
        verdict: DENIED,
        when: Condition { without: &["CAP_SYS_ADMIN", "CAP_BPF"], ..Condition::ALWAYS },
        arguments: &[],
        names: "perf_event_open",
    },
    Rule {
        verdict: Verdict::Allow,
        when: Condition { with: &["CAP_PERFMON"], ..Condition::ALWAYS },
        arguments: &[],
        names: "perf_event_open",
    },
];
