//! Variables of this process itself.

/// Sets a variable for this process and what it starts. A variable that is there already stays.
///
/// # Panics
/// In a process with several threads: another one may be reading.
pub fn set_if_absent(name: &str, value: &str) {
    if std::env::var_os(name).is_some() || name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return;
    }
    alone();
    // SAFETY: setenv(3) is unsafe only beside another thread that reads the environment, and there is none.
    unsafe { std::env::set_var(name, value) }
}

/// Takes a variable away from this process and what it starts, where it has this value.
///
/// # Panics
/// In a process with several threads: another one may be reading.
pub fn remove_if(name: &str, value: &str) {
    if std::env::var_os(name).is_none_or(|found| found != value) {
        return;
    }
    alone();
    // SAFETY: as for setenv(3).
    unsafe { std::env::remove_var(name) }
}

fn alone() {
    let tasks = std::fs::read_dir("/proc/self/task").map_or(1, |tasks| tasks.count());
    assert!(tasks <= 1, "variables are changed before the first thread is made");
}
