//! Memory of a process that stays: given back when the busy part of its life is over.

use std::io;

/// Gives back what the start needed and the rest of the life does not: free heap, and pages of our own program. The
/// latter come back from the page cache one by one as they are used.
pub fn shrink() -> io::Result<()> {
    // SAFETY: no requirements.
    unsafe {
        libc::malloc_trim(0);
    }
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for (start, length) in program_pages(&maps) {
        // SAFETY: the range is one mapping of a file, as the kernel has just told, which this process cannot write and never
        // could: every page of it is the file's. Dropping it changes no byte.
        if unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let here = 0u8;
    if let Some((start, length)) = unused_stack(&maps, &raw const here as usize) {
        // SAFETY: the range is the main thread's stack from its lower end to well below where we are now: whatever was there
        // belonged to calls that have returned.
        if unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The part of the stack that deeper calls have used and left. `here` is an address of the caller's frame.
fn unused_stack(maps: &str, here: usize) -> Option<(usize, usize)> {
    /// Room for what a call may use below its frame, the red zone and the calls that this takes itself.
    const MARGIN: usize = 16 * 1024;
    const PAGE: usize = 4096;
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

/// Text and constants: read-only mappings of a file up to the text's end. What lies behind is read-only only since the
/// start-up code filled it in, see proc_pid_maps(5).
fn program_pages(maps: &str) -> Vec<(usize, usize)> {
    let mut pages = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(rights), Some(inode)) = (words.next(), words.next(), words.nth(2)) else { break };
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        let Some((Some(start), Some(end))) = range.split_once('-').map(|(start, end)| (address(start), address(end)))
        else {
            break;
        };
        if inode == "0" || rights.contains('w') {
            break;
        }
        pages.push((start, end - start));
        if rights.contains('x') {
            break;
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_start_up_code_filled_in_is_dropped() {
        let maps = "00200000-00330000 r--p 00000000 fe:00 9 /creel\n00330000-00700000 r-xp 00130000 fe:00 9 /creel\n\
                    00700000-00708000 r--p 00500000 fe:00 9 /creel\n00708000-0070a000 rw-p 00508000 fe:00 9 /creel\n";
        assert_eq!(program_pages(maps), [(0x20_0000, 0x13_0000), (0x33_0000, 0x3d_0000)]);
        assert!(program_pages("00200000-00330000 rw-p 00000000 00:00 0 [heap]\n").is_empty());
    }

    #[test]
    fn the_stack_is_given_back_below_the_frame() {
        let maps = "7ffd000d0000-7ffd00100000 rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(unused_stack(maps, 0x7ffd_000f_f123), Some((0x7ffd_000d_0000, 0x2_b000)));
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
