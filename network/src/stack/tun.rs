//! Our end of the interface: packets in and out, each with the kernel's little header before it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::packet::{Draft, LARGEST, begin_checksum};

/// `struct virtio_net_hdr`: flags, gso_type, hdr_len (2), gso_size (2), csum_start (2), csum_offset (2), in this machine's
/// byte order. Nothing else is asked of the kernel than to leave checksums undone, so what it says there does not matter.
const HEADER: usize = 10;
const NEEDS_CHECKSUM: u8 = 1;

#[derive(Debug)]
pub(super) struct Tun {
    end: OwnedFd,
    /// One packet on its way in, with its header.
    out: Vec<u8>,
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl Tun {
    /// `end` does not block.
    pub(super) fn new(end: OwnedFd) -> Tun {
        Tun { end, out: Vec::new() }
    }

    /// One packet from inside. `None`: there is none.
    ///
    /// # Errors
    /// Whatever read(2) says: the interface is gone.
    pub(super) fn receive<'b>(&self, buffer: &'b mut Vec<u8>) -> Result<Option<&'b [u8]>, Errno> {
        buffer.resize(HEADER + LARGEST, 0);
        loop {
            match rustix::io::read(&self.end, &mut buffer[..]) {
                Ok(0) => return Err(Errno::NODEV),
                Ok(length) => return Ok(Some(buffer.get(HEADER..length).unwrap_or_default())),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a packet to the inside. One that finds no room is lost, as on any network.
    pub(super) fn transmit<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let end = HEADER + length;
        if self.out.len() < end {
            self.out.resize(end.max(2048), 0);
        }
        let (header, packet) = self.out[..end].split_at_mut(HEADER);
        let result = write(packet);
        header.fill(0);
        if let Some((start, offset)) = begin_checksum(packet) {
            header[0] = NEEDS_CHECKSUM;
            header[6..8].copy_from_slice(&start.to_ne_bytes());
            header[8..10].copy_from_slice(&offset.to_ne_bytes());
        }
        while rustix::io::write(&self.end, &self.out[..end]) == Err(Errno::INTR) {}
        result
    }

    /// Gives memory back.
    pub(super) fn rest(&mut self) {
        self.out = Vec::new();
    }

    pub(super) fn send(&mut self, draft: &Draft<'_>) {
        // Nothing that is sent is longer, but what a host sends may be by our headers.
        if draft.length <= LARGEST {
            self.transmit(draft.length, |packet| draft.write(packet));
        }
    }
}
