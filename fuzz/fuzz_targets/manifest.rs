//! Any bytes are read or refused.
#![no_main]

use entrepot::oci::{AcceptSet, Manifest, MediaType};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Manifest::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = MediaType::new(text).may_be_manifest();
        let accept = AcceptSet::parse([text]);
        assert_eq!(AcceptSet::parse([accept.header().as_str()]), accept);
    }
});
