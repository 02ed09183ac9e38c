//! Content digests in the OCI's spelling, and the hashers that make them.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::error::{Error, Result};

/// The hash functions of the OCI image specification that are registered ("descriptor.md").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn hex_len(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

/// `algorithm:lowercase hex`, checked when made: safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// A sha256 digest from its 64 hex digits.
    pub fn sha256(hex: &str) -> Result<Digest> {
        format!("sha256:{hex}").parse()
    }

    /// The sha256 digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Digest> {
        let invalid = |why| Error::Invalid { what: "digest", value: text.to_owned(), why };
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| invalid("it has no algorithm"))?;
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(invalid("only sha256 and sha512 are known")),
        };
        if hex.len() != algorithm.hex_len() || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid("the wrong number of lowercase hex digits"));
        }
        Ok(Digest { algorithm, hex: hex.to_owned() })
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Digest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

/// A running hash.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Hasher {
        Hasher(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::new(sha2::Sha512::new())),
        })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Everything up to the end of `reader`; how many bytes that were.
    pub fn read_from(&mut self, reader: &mut impl io::Read) -> io::Result<u64> {
        let mut buffer = vec![0; 256 << 10];
        let mut size = 0;
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(size),
                count => {
                    self.update(&buffer[..count]);
                    size += count as u64;
                }
            }
        }
    }

    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hash) => Digest { algorithm: Algorithm::Sha256, hex: to_hex(&hash.finalize()) },
            State::Sha512(hash) => Digest { algorithm: Algorithm::Sha512, hex: to_hex(&hash.finalize()) },
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_parse_only_in_their_canonical_spelling() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), format!("sha256:{empty}"));
        assert_eq!(format!("sha256:{empty}").parse::<Digest>().unwrap(), Digest::of(b""));
        for bad in [
            "",
            "sha256:",
            empty,
            &format!("sha256:{}", empty.to_uppercase()),
            &format!("sha256:{}", &empty[1..]),
            &format!("md5:{}", &empty[..32]),
            "sha256:../../../../../../../../../../../../../../../../../../../../../../",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(format!("sha512:{empty}{empty}").parse::<Digest>().is_ok());
    }
}
