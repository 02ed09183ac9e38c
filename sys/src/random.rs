//! The kernel's random numbers, see getrandom(2).

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// `N` of them. The kernel gives up to 256 bytes in one piece once the system runs.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    const { assert!(N <= 256) };
    let mut bytes = [0; N];
    match getrandom(&mut bytes, GetRandomFlags::empty())? {
        filled if filled == N => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// `N` of them in hex digits, two for each.
pub fn hex<const N: usize>() -> io::Result<String> {
    Ok(bytes::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// 64 hex digits: the id of something new.
pub fn id() -> io::Result<String> {
    hex::<32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_long_and_of_their_own() {
        let (one, other) = (id().unwrap(), id().unwrap());
        assert!(one.len() == 64 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, other);
    }
}
