//! Memory of a process that stays, given back when the busy part of its life is over; files that are memory only.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};

/// What makes glibc's malloc(3) keep no freed pieces for quick use again. They lie wherever the busy part of a life has
/// put them, and each keeps its page from being given back. Read at the start of a program.
const FRUGAL: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// Bytes. Where pages are larger, madvise(2) refuses, and memory is all that is lost.
const PAGE: usize = 4096;

/// A file in nobody's directory, to be read from its beginning, see memfd_create(2). `name` is what /proc shows.
pub fn file(name: &str, content: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// The environment of a process of ours that stays, where `command` would pass on our own. It calls [`settle`].
pub fn frugal(command: &mut Command) -> &mut Command {
    match std::env::var_os(FRUGAL.0) {
        Some(_) => command,
        None => command.env(FRUGAL.0, FRUGAL.1),
    }
}

/// The environment of a process of ours that stays and needs no other.
pub fn frugal_environment() -> String {
    format!("{}={}", FRUGAL.0, FRUGAL.1)
}

/// The same, for one with large buffers of which little is used: each has pages of its own, which cost nothing before they
/// are written and nothing after it is freed.
pub fn sparse_environment() -> String {
    format!("{}:glibc.malloc.mmap_threshold=65536", frugal_environment())
}

/// In a process that was started frugal, before its first thread: what it starts itself is as usual.
pub fn settle() {
    crate::environment::remove_if(FRUGAL.0, FRUGAL.1);
}

/// Gives back what the start needed and the rest of the life does not: free heap, and pages of our own program. The
/// latter come back from the page cache one by one as they are used.
pub fn shrink() -> io::Result<()> {
    // SAFETY: no requirements.
    unsafe {
        libc::malloc_trim(0);
    }
    // Also where no /proc is mounted.
    for (start, length) in program_pages() {
        // SAFETY: the range is one mapping of our program's file, which this process cannot write and never could: every
        // page of it is the file's. Dropping it changes no byte.
        unsafe { drop_pages(start, length)? }
    }
    let maps = match std::fs::read_to_string("/proc/self/maps") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        maps => maps?,
    };
    let here = 0u8;
    if let Some((start, length)) = unused_stack(&maps, &raw const here as usize) {
        // SAFETY: the range is the main thread's stack from its lower end to well below where we are now: whatever was there
        // belonged to calls that have returned.
        unsafe { drop_pages(start, length)? }
    }
    Ok(())
}

/// # Safety
/// Nobody may miss what is in these pages: they read as the file they are of, or as zero.
unsafe fn drop_pages(start: usize, length: usize) -> io::Result<()> {
    // SAFETY: as the caller promises.
    match unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The part of the stack that deeper calls have used and left. `here` is an address of the caller's frame.
fn unused_stack(maps: &str, here: usize) -> Option<(usize, usize)> {
    /// Room for the rest of the caller's frame, and for the system call.
    const MARGIN: usize = 8 * 1024;
    let line = maps.lines().find(|line| line.ends_with("[stack]"))?;
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let until = here.checked_sub(MARGIN)? / PAGE * PAGE;
    // In another thread we are on another stack.
    (start < until && here < end).then(|| (start, until - start))
}

/// Bytes with pages of their own: what was never written costs nothing.
#[derive(Debug)]
pub struct Buffer {
    start: std::ptr::NonNull<u8>,
    length: usize,
}

impl Buffer {
    pub fn new(length: usize) -> io::Result<Buffer> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever the kernel likes.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
        match std::ptr::NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast::<libc::c_void>() != libc::MAP_FAILED => Ok(Buffer { start, length }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is ours, that long, readable, and zero where nothing was written.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and it is borrowed once.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody borrows it any more.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.length);
        }
    }
}

/// Text and constants: what the program's headers tell to map without the right to write. (What is read-only only since the
/// start-up code filled it in is part of a mapping that may be written.) Address and length in whole pages, see elf(5).
fn program_pages() -> Vec<(usize, usize)> {
    unsafe extern "C" fn note(
        object: *mut libc::dl_phdr_info,
        _: libc::size_t,
        pages: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: dl_iterate_phdr(3) passes a description that lives through the call, and what it was given itself.
        let (object, pages) = unsafe { (&*object, &mut *pages.cast::<Vec<(usize, usize)>>()) };
        // SAFETY: the headers are part of the loaded program.
        let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
        for header in headers {
            if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 {
                let start = (object.dlpi_addr + header.p_vaddr) as usize;
                let end = start + header.p_memsz as usize;
                let start = start / PAGE * PAGE;
                pages.push((start, end.next_multiple_of(PAGE) - start));
            }
        }
        // The program itself comes first; what else there is (the kernel's vdso) is not ours.
        1
    }
    let mut pages: Vec<(usize, usize)> = Vec::new();
    // SAFETY: the callback takes the list for what it is, and is done when the call returns.
    unsafe {
        libc::dl_iterate_phdr(Some(note), (&raw mut pages).cast());
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_can_write_is_dropped() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let pages = program_pages();
        assert!(!pages.is_empty());
        for (start, length) in pages {
            let range = format!("{start:08x}-{:08x} r-", start + length);
            assert!(maps.lines().any(|line| line.starts_with(&range)), "{range}: {maps}");
        }
    }

    #[test]
    fn the_stack_is_given_back_below_the_frame() {
        let maps = "7ffd000d0000-7ffd00100000 rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(unused_stack(maps, 0x7ffd_000f_f123), Some((0x7ffd_000d_0000, 0x2_d000)));
        assert_eq!(unused_stack(maps, 0x7ffd_000d_1000), None);
        assert_eq!(unused_stack(maps, 0x7fff_0000_0000), None);
        assert_eq!(unused_stack("", 0x7ffd_000f_f123), None);
    }

    #[test]
    fn a_buffer_is_there_to_be_written() {
        let mut buffer = Buffer::new(10_000).unwrap();
        buffer[9_999] = 7;
        assert_eq!((buffer[0], buffer[9_999], buffer.len()), (0, 7, 10_000));
    }

    #[test]
    fn a_process_lives_on() {
        shrink().unwrap();
        assert_eq!(format!("{}", 40 + 2), "42");
    }
}
