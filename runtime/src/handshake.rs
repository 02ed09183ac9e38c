//! What the two sides say to each other. A message is named by its sender and by what is done.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use sys::channel::Channel;

use crate::Error;

/// In the order of a start; see README.md for the drawing.
#[derive(Debug)]
pub(crate) enum Message {
    /// The intermediate process has entered namespaces on the way and cloned the child; carries its pidfd.
    StagerClonedChild {
        pid: i32,
    },
    /// The stager has been heard, and the id maps of a new user namespace are written.
    ParentKnowsChild,
    /// Carries the network and mount namespaces. Only sent by a child that hides from the others in its pid namespace, and
    /// so from its parent too.
    ChildInNamespaces,
    /// The mounts stand; the root has not been changed yet. Only sent when `createRuntime` hooks wait for it.
    ChildMounted,
    /// Those hooks are through.
    ParentRanHooks,
    /// Everything but the program stands. Carries the terminal's master where there is one.
    ChildPrepared,
    ParentAllowsStart,
    /// The child ends. Its end without this message is the exec: the socket is close-on-exec.
    ChildFailed(Failure),
}

/// An error on its way between processes.
#[derive(Debug)]
pub(crate) struct Failure {
    pub kind: FailureKind,
    pub errno: i32,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    NotFound,
    NotExecutable,
    Configuration,
    Kernel,
}

const STAGER_CLONED_CHILD: u8 = 1;
const PARENT_KNOWS_CHILD: u8 = 2;
const CHILD_IN_NAMESPACES: u8 = 3;
const CHILD_MOUNTED: u8 = 4;
const PARENT_RAN_HOOKS: u8 = 5;
const CHILD_PREPARED: u8 = 6;
const PARENT_ALLOWS_START: u8 = 7;
const CHILD_FAILED: u8 = 8;

/// How the peer's next message may turn out.
#[derive(Debug)]
pub(crate) enum Heard {
    Said(Message, Vec<OwnedFd>),
    /// The other side closed its end.
    End,
}

pub(crate) fn send(channel: &Channel, message: &Message, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    channel.send(&encode(message), fds)
}

pub(crate) fn recv(channel: &Channel) -> io::Result<Heard> {
    let (bytes, fds) = match channel.recv() {
        // The peer ended without reading all that we said. The kernel reports that once, before the peer's last words.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::CONNRESET.raw_os_error()) => channel.recv()?,
        other => other?,
    };
    if bytes.is_empty() {
        return Ok(Heard::End);
    }
    match decode(&bytes) {
        Some(message) => Ok(Heard::Said(message, fds)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "the other side sent a message nobody knows")),
    }
}

fn encode(message: &Message) -> Vec<u8> {
    match message {
        Message::StagerClonedChild { pid } => {
            let mut bytes = vec![STAGER_CLONED_CHILD];
            bytes.extend(pid.to_ne_bytes());
            bytes
        }
        Message::ParentKnowsChild => vec![PARENT_KNOWS_CHILD],
        Message::ChildInNamespaces => vec![CHILD_IN_NAMESPACES],
        Message::ChildMounted => vec![CHILD_MOUNTED],
        Message::ParentRanHooks => vec![PARENT_RAN_HOOKS],
        Message::ChildPrepared => vec![CHILD_PREPARED],
        Message::ParentAllowsStart => vec![PARENT_ALLOWS_START],
        Message::ChildFailed(failure) => {
            let kind = match failure.kind {
                FailureKind::NotFound => 0,
                FailureKind::NotExecutable => 1,
                FailureKind::Configuration => 2,
                FailureKind::Kernel => 3,
            };
            let mut bytes = vec![CHILD_FAILED, kind];
            bytes.extend(failure.errno.to_ne_bytes());
            let room = sys::channel::MAX_MESSAGE - bytes.len();
            bytes.extend(failure.text.bytes().take(room));
            bytes
        }
    }
}

fn decode(bytes: &[u8]) -> Option<Message> {
    let number = |bytes: &[u8]| Some(i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?));
    let (&tag, rest) = bytes.split_first()?;
    Some(match tag {
        STAGER_CLONED_CHILD => Message::StagerClonedChild { pid: number(rest)? },
        PARENT_KNOWS_CHILD => Message::ParentKnowsChild,
        CHILD_IN_NAMESPACES => Message::ChildInNamespaces,
        CHILD_MOUNTED => Message::ChildMounted,
        PARENT_RAN_HOOKS => Message::ParentRanHooks,
        CHILD_PREPARED => Message::ChildPrepared,
        PARENT_ALLOWS_START => Message::ParentAllowsStart,
        CHILD_FAILED => {
            let (&kind, rest) = rest.split_first()?;
            let kind = match kind {
                0 => FailureKind::NotFound,
                1 => FailureKind::NotExecutable,
                2 => FailureKind::Configuration,
                3 => FailureKind::Kernel,
                _ => return None,
            };
            let errno = number(rest)?;
            Message::ChildFailed(Failure { kind, errno, text: String::from_utf8_lossy(&rest[4..]).into_owned() })
        }
        _ => return None,
    })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { message } => Failure { kind: FailureKind::NotFound, errno: 0, text: message },
            Error::NotExecutable { message } => Failure { kind: FailureKind::NotExecutable, errno: 0, text: message },
            Error::Kernel { step, source } => match source.raw_os_error() {
                Some(errno) => Failure { kind: FailureKind::Kernel, errno, text: step },
                None => {
                    Failure { kind: FailureKind::Configuration, errno: 0, text: format!("cannot {step}: {source}") }
                }
            },
            other => Failure { kind: FailureKind::Configuration, errno: 0, text: other.to_string() },
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let Failure { kind, errno, text } = failure;
        match kind {
            FailureKind::NotFound => Error::NotFound { message: text },
            FailureKind::NotExecutable => Error::NotExecutable { message: text },
            FailureKind::Configuration => Error::Configuration { what: text },
            FailureKind::Kernel => Error::Kernel { step: text, source: io::Error::from_raw_os_error(errno) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_arrives_as_it_was_sent() {
        let sent = Error::kernel("mount tmpfs at /x", io::Error::from_raw_os_error(22));
        let text = sent.to_string();
        let Some(Message::ChildFailed(failure)) = decode(&encode(&Message::ChildFailed(sent.into()))) else { panic!() };
        assert_eq!(Error::from(failure).to_string(), text);
    }

    #[test]
    fn noise_is_no_message() {
        for bytes in [&[][..], &[99], &[STAGER_CLONED_CHILD, 1], &[CHILD_FAILED], &[CHILD_FAILED, 9, 0, 0, 0, 0]] {
            assert!(decode(bytes).is_none(), "{bytes:?}");
        }
    }
}
