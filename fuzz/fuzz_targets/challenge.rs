//! Any `WWW-Authenticate` header is read or passed over.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = entrepot::upstream::parse_challenges(text);
});
