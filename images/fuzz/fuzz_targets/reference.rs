//! Whatever is typed as the name of an image: it parses or it does not, and what parses survives being written.
#![no_main]

use images::{Reference, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(source) = text.parse::<Source>() {
        assert_eq!(source.to_string().parse::<Source>().ok(), Some(source));
    }
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse::<Reference>().ok().as_ref(), Some(&reference));
        for form in [reference.complete(), reference.local()] {
            assert_eq!(form.complete(), form);
            assert_eq!(form.to_string().parse::<Reference>().ok().as_ref(), Some(&form));
        }
    }
});
