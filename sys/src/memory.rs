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
    Ok(())
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
    fn a_process_lives_on() {
        shrink().unwrap();
        assert_eq!(format!("{}", 40 + 2), "42");
    }
}
