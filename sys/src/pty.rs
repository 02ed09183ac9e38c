//! Pseudo-terminals, see pty(7).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// Both ends of a new pseudo-terminal; close-on-exec.
#[derive(Debug)]
pub struct Pty {
    /// The end of whoever shows the terminal.
    pub master: OwnedFd,
    /// The end of the programs that run in it.
    pub slave: OwnedFd,
}

impl Pty {
    /// From the devpts of the calling process.
    pub fn open() -> io::Result<Pty> {
        Pty::peer(rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?)
    }

    /// From this mounted devpts (a descriptor of its root).
    pub fn open_in(devpts: BorrowedFd<'_>) -> io::Result<Pty> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Pty::peer(rustix::fs::openat(devpts, "ptmx", flags, Mode::empty())?)
    }

    fn peer(master: OwnedFd) -> io::Result<Pty> {
        rustix::pty::unlockpt(&master)?;
        // TIOCGPTPEER, not a path: the name in /dev/pts may mean another file by the time it is opened.
        let slave =
            rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        Ok(Pty { master, slave })
    }
}

/// Tells the programs in a terminal how large it is.
pub fn set_size(terminal: impl AsFd, columns: u16, rows: u16) -> io::Result<()> {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Columns and rows.
pub fn size(terminal: impl AsFd) -> io::Result<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(terminal)?;
    Ok((size.ws_col, size.ws_row))
}

/// Makes the terminal the controlling one of the calling session leader.
pub fn make_controlling(terminal: impl AsFd) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes a plain number; the descriptor is open for the call.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_at_one_end_is_read_at_the_other() {
        let pty = Pty::open().unwrap();
        set_size(&pty.master, 132, 43).unwrap();
        assert_eq!(size(&pty.slave).unwrap(), (132, 43));
        rustix::io::write(&pty.slave, b"hi\n").unwrap();
        let mut buffer = [0; 16];
        let count = rustix::io::read(&pty.master, &mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"hi\r\n");
    }
}
