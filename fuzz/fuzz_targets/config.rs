//! Any configuration file is read or refused with reasons.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(errors) = entrepot::config::parse(text) {
        assert!(!errors.to_string().is_empty());
    }
});
