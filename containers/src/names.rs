//! Names of containers: where they are reserved, and random ones for containers that were given none.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::Engine;
use crate::id::ContainerId;

/// A name is reserved before its container's record is in place. A reservation this old without a record belongs to a
/// creator that died in between.
const CREATION_TAKES: Duration = Duration::from_secs(10);

/// The directory of reserved names, shared by all that has one (containers and pods).
pub(crate) fn dir(engine: &Engine) -> PathBuf {
    engine.store.path("names")
}

/// Whether nobody will ever come to claim the names that `holder` has reserved.
pub(crate) fn is_abandoned(engine: &Engine, holder: &ContainerId) -> bool {
    let places = [engine.container_dir(holder), engine.store.path("pods").join(holder)];
    if places.iter().any(|place| place.exists()) {
        return false;
    }
    let dir = dir(engine);
    let Ok(names) = storage::names::list(&dir) else { return false };
    let links = names.iter().filter(|(_, id)| id == holder.as_str());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    links.filter_map(|(name, _)| std::fs::symlink_metadata(dir.join(storage::names::encode(name).ok()?)).ok()).all(
        |link| {
            let made = Duration::from_secs(u64::try_from(link.ctime()).unwrap_or_default());
            now.saturating_sub(made) > CREATION_TAKES
        },
    )
}

/// A name like `quiet_noether`. Later attempts get a number, so that a full store does not try for ever.
pub(crate) fn random(attempt: u32) -> String {
    let mut bytes = [0u8; 6];
    // Without random numbers (which do not fail once the system runs) the attempt still makes a difference.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
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
