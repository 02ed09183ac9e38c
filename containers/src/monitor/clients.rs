//! Commands that are attached: each sees the output from when it came, and any of them may write to stdin.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use sys::channel::Channel;

use crate::attach::Streams;
use crate::log::Output;
use crate::wire::{FromClient, FromMonitor};

/// One attached command.
pub(super) struct Client {
    channel: Channel,
    streams: Streams,
    /// Whether it has said which streams it wants.
    known: bool,
    /// Messages it has not taken yet. While there are any, the container's output is not read: nothing is ever dropped,
    /// a slow reader slows the writer as a pipe would.
    pending: VecDeque<Vec<u8>>,
    /// It is changing the record, and has not said yet that it is done.
    changing: bool,
    gone: bool,
}

#[derive(Default)]
pub(super) struct Clients(Vec<Client>);

impl Clients {
    pub(super) fn add(&mut self, channel: Channel, streams: Streams) -> io::Result<()> {
        rustix::io::ioctl_fionbio(channel.as_fd(), true)?;
        self.0.push(Client { channel, streams, known: false, pending: VecDeque::new(), changing: false, gone: false });
        Ok(())
    }

    /// In order: what to poll, and whether for writing too.
    pub(super) fn fds(&self) -> impl Iterator<Item = (BorrowedFd<'_>, bool)> {
        self.0.iter().map(|client| (client.channel.as_fd(), !client.pending.is_empty()))
    }

    /// Those who have not said what they want yet, by their number.
    pub(super) fn unknown(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let numbered = self.0.iter().enumerate();
        numbered.filter(|(_, client)| !client.known).map(|(index, client)| (index, client.channel.as_fd()))
    }

    /// Whether somebody still has to take output before more may be read.
    pub(super) fn congested(&self) -> bool {
        self.0.iter().any(|client| !client.pending.is_empty())
    }

    pub(super) fn output(&mut self, output: Output, bytes: &[u8]) {
        if self.0.is_empty() {
            return;
        }
        let message = match output {
            Output::Stdout => FromMonitor::Stdout(bytes.to_vec()),
            Output::Stderr => FromMonitor::Stderr(bytes.to_vec()),
        }
        .encode();
        for client in &mut self.0 {
            let wanted = match output {
                Output::Stdout => client.streams.stdout,
                Output::Stderr => client.streams.stderr,
            };
            if wanted {
                client.send(message.clone());
            }
        }
        self.drop_gone();
    }

    /// Sends what the nth client has not taken yet.
    pub(super) fn flush(&mut self, index: usize) {
        if let Some(client) = self.0.get_mut(index) {
            client.flush();
        }
    }

    /// What the nth client says, everything that is there now. `None` after its last word.
    pub(super) fn receive(&mut self, index: usize) -> Option<FromClient> {
        let client = self.0.get_mut(index)?;
        let message = match client.channel.recv() {
            // Empty is the end of the peer, nonsense is not worth talking to.
            Ok((message, _)) => FromClient::decode(&message).ok(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => None,
        };
        client.gone = message.is_none();
        message
    }

    pub(super) fn set_streams(&mut self, index: usize, streams: Streams) {
        if let Some(client) = self.0.get_mut(index) {
            client.streams = streams;
            client.known = true;
        }
    }

    /// The nth client is changing the record, or is done with it.
    pub(super) fn set_changing(&mut self, index: usize, changing: bool) {
        if let Some(client) = self.0.get_mut(index) {
            client.changing = changing;
        }
    }

    /// Whether the nth client has ended while it was changing the record: by a kill, or because it could not.
    pub(super) fn left_changing(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|client| client.gone && client.changing)
    }

    /// Sends to one client outside of the output order (its answer to `Start`).
    pub(super) fn answer(&mut self, index: usize, message: &FromMonitor) {
        if let Some(client) = self.0.get_mut(index) {
            client.send(message.encode());
        }
    }

    /// Makes the nth client the first, whom [`Clients::answer`] of 0 reaches.
    pub(super) fn move_first(&mut self, index: usize) {
        self.0[..=index].rotate_right(1);
    }

    pub(super) fn drop_gone(&mut self) {
        self.0.retain(|client| !client.gone);
    }

    /// The last message to everybody, waiting for slow ones: the exit must not overtake the output.
    pub(super) fn close(mut self, code: i32) {
        let exited = FromMonitor::Exited { code }.encode();
        for client in &mut self.0 {
            if rustix::io::ioctl_fionbio(client.channel.as_fd(), false).is_err() {
                continue;
            }
            client.pending.push_back(exited.clone());
            client.flush();
        }
    }
}

impl Client {
    fn send(&mut self, message: Vec<u8>) {
        self.pending.push_back(message);
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(message) = self.pending.front() {
            match self.channel.send(message, &[]) {
                Ok(()) => {
                    self.pending.pop_front();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.pending.clear();
                    self.gone = true;
                    return;
                }
            }
        }
    }
}
