//! Interfaces of a new network namespace.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Brings `lo` up in the calling process's network namespace; the kernel then gives it 127.0.0.1 and ::1.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: ifreq is plain old data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a tap interface in the calling process's network namespace, gone with the descriptor; see the kernel's
/// networking/tuntap. What a user-mode network stack does first.
pub fn make_tap(device: &Path, name: &str) -> io::Result<OwnedFd> {
    make_interface(device, name, libc::IFF_TAP | libc::IFF_NO_PI)
}

/// Makes an interface for packets of IP without a link layer. Each packet that is read or written has a
/// `struct virtio_net_hdr` of 10 bytes before it; packets that are read may lack the checksum of TCP and UDP.
pub fn make_tun(device: &Path, name: &str) -> io::Result<OwnedFd> {
    /// `TUNSETOFFLOAD` and `TUN_F_CSUM`, linux/if_tun.h.
    const SET_OFFLOAD: libc::c_ulong = 0x4004_54d0;
    const CHECKSUMS: libc::c_ulong = 1;
    let device = make_interface(device, name, libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR)?;
    // SAFETY: TUNSETOFFLOAD takes a number.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), SET_OFFLOAD as _, CHECKSUMS) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(device) }
}

fn make_interface(device: &Path, name: &str, kind: libc::c_int) -> io::Result<OwnedFd> {
    /// `TUNSETIFF`, linux/if_tun.h.
    const SET_INTERFACE: libc::c_ulong = 0x4004_54ca;
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let device = rustix::fs::open(device, flags, Mode::empty())?;
    // SAFETY: ifreq is plain old data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One less: the name ends in a zero.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = kind as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes an ifreq, which lives through the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), SET_INTERFACE as _, &raw mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(device) }
}
