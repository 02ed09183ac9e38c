//! Names of containers: where they are reserved, and random ones for containers that were given none.

use std::path::PathBuf;

use rustix::fs::FlockOperation;
use sys::lock::FileLock;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::ContainerId;

/// The directory of reserved names, shared by all that has one (containers and pods).
pub(crate) fn dir(engine: &Engine) -> PathBuf {
    engine.store.path("names")
}

/// Held from before a name is reserved until its container's record is in place: a reservation without a record while
/// nobody holds this belongs to a creator that was killed.
pub(crate) struct Creating(FileLock);

impl Creating {
    pub(crate) fn begin(engine: &Engine) -> Result<Creating> {
        let dir = &engine.store.dirs().runroot;
        std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let path = dir.join("creating.lock");
        FileLock::shared(&path).map(Creating).map_err(Error::io(&path))
    }

    /// Whether nobody will ever come to claim the names that `holder` has reserved. To be asked before reserving
    /// anything oneself: the lock is let go for a moment.
    pub(crate) fn is_abandoned(&self, engine: &Engine, holder: &str) -> bool {
        let Ok(holder) = holder.parse::<ContainerId>() else { return true };
        let exists = || {
            let places = [engine.container_dir(&holder), engine.store.path("pods").join(&holder)];
            places.iter().any(|place| place.exists())
        };
        if exists() {
            return false;
        }
        let alone = rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive).is_ok();
        // It may have been put in place between our look and the lock.
        let abandoned = alone && !exists();
        // flock(2) gives the old lock up even where it does not give the new one.
        let held_again = rustix::fs::flock(&self.0, FlockOperation::LockShared).is_ok();
        abandoned && held_again
    }
}

/// Frees the names that creators who were killed have reserved.
pub(crate) fn sweep(engine: &Engine) -> Result<()> {
    let creating = Creating::begin(engine)?;
    storage::names::sweep(&dir(engine), |holder| creating.is_abandoned(engine, holder))?;
    Ok(())
}

/// The name itself, or with the first number that is free.
pub fn unused(name: &str, is_free: impl Fn(&str) -> bool) -> String {
    if is_free(name) {
        return name.to_owned();
    }
    (1..).map(|number| format!("{name}{number}")).find(|name| is_free(name)).unwrap_or_default()
}

/// A name like `quiet_noether`. Later attempts get a number, so that a full store does not try for ever.
pub fn random(attempt: u32) -> String {
    // Without random numbers (which do not fail once the system runs) the attempt still makes a difference.
    let bytes: [u8; 6] = sys::random::bytes().unwrap_or_default();
    let number = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high]));
    let adjective = ADJECTIVES[number(bytes[0], bytes[1]).wrapping_add(attempt as usize) % ADJECTIVES.len()];
    let surname = SURNAMES[number(bytes[2], bytes[3]) % SURNAMES.len()];
    match attempt {
        0..4 => format!("{adjective}_{surname}"),
        _ => format!("{adjective}_{surname}{}", number(bytes[4], bytes[5]) % 10_usize.saturating_pow(attempt.min(5))),
    }
}

const ADJECTIVES: [&str; 96] = [
    "agile", "airy", "amber", "ample", "apt", "avid", "balmy", "blithe", "bold", "brave", "breezy", "bright", "brisk",
    "calm", "candid", "cheery", "civil", "clear", "clever", "coastal", "cosy", "crisp", "daring", "deft", "dewy",
    "eager", "early", "earnest", "easy", "even", "fair", "fervent", "fleet", "fluent", "fond", "frank", "fresh",
    "gallant", "genial", "gentle", "glad", "golden", "grand", "handy", "hardy", "hearty", "humble", "jolly", "jovial",
    "keen", "kind", "lively", "lofty", "loyal", "lucid", "lunar", "mellow", "merry", "mild", "modest", "neat",
    "nimble", "noble", "patient", "placid", "plucky", "polite", "prompt", "proud", "quick", "quiet", "rapid", "ready",
    "robust", "rustic", "sage", "sandy", "serene", "silent", "silver", "sincere", "smooth", "snug", "sober", "solar",
    "spry", "steady", "sunny", "swift", "tidal", "tidy", "tranquil", "upbeat", "vivid", "warm", "witty",
];

/// People of science and engineering.
const SURNAMES: [&str; 112] = [
    "abel",
    "agnesi",
    "ampere",
    "anning",
    "archimedes",
    "aristarchus",
    "avogadro",
    "babbage",
    "banneker",
    "becquerel",
    "bernoulli",
    "bessel",
    "bohr",
    "boltzmann",
    "boole",
    "bose",
    "boyle",
    "brahe",
    "brunel",
    "cantor",
    "cardano",
    "carnot",
    "cauchy",
    "cavendish",
    "celsius",
    "chandra",
    "chatelet",
    "church",
    "clausius",
    "copernicus",
    "coulomb",
    "curie",
    "daguerre",
    "dalton",
    "darwin",
    "descartes",
    "diesel",
    "dirac",
    "dijkstra",
    "doppler",
    "edison",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "fibonacci",
    "foucault",
    "fourier",
    "franklin",
    "fresnel",
    "galileo",
    "galois",
    "galvani",
    "gauss",
    "gibbs",
    "godel",
    "goodall",
    "halley",
    "hamilton",
    "heaviside",
    "heisenberg",
    "helmholtz",
    "herschel",
    "hertz",
    "hilbert",
    "hooke",
    "hopper",
    "hubble",
    "huygens",
    "hypatia",
    "jacobi",
    "joule",
    "kepler",
    "khayyam",
    "kirchhoff",
    "knuth",
    "lagrange",
    "lamarr",
    "laplace",
    "lavoisier",
    "leavitt",
    "leibniz",
    "linnaeus",
    "lovelace",
    "maxwell",
    "meitner",
    "mendel",
    "mendeleev",
    "napier",
    "newton",
    "nightingale",
    "noether",
    "ohm",
    "pascal",
    "pasteur",
    "planck",
    "poincare",
    "ptolemy",
    "ramanujan",
    "riemann",
    "rutherford",
    "shannon",
    "snellius",
    "somerville",
    "tesla",
    "turing",
    "volta",
    "watt",
    "wright",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_names_are_valid_and_end_in_numbers_when_they_are_scarce() {
        for attempt in 0..20 {
            let name = random(attempt);
            assert!(name.parse::<crate::id::ContainerName>().is_ok(), "{name}");
            assert!(name.contains('_'), "{name}");
            assert_eq!(name.ends_with(|last: char| last.is_ascii_digit()), attempt >= 4, "{name}");
        }
    }

    #[test]
    fn no_word_is_there_twice() {
        let words: std::collections::BTreeSet<_> = ADJECTIVES.iter().chain(&SURNAMES).collect();
        assert_eq!(words.len(), ADJECTIVES.len() + SURNAMES.len());
    }
}
