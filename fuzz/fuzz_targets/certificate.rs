//! Whatever a certificate holds is read or refused; no name has a control character.
#![no_main]

use entrepot::auth::CertificateNames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    let Ok(names) = CertificateNames::parse(der) else { return };
    for (_, name) in names.names() {
        assert!(!name.is_empty() && !name.chars().any(char::is_control));
    }
});
