//! Listeners that ask clients for a certificate.

use std::path::Path;

use super::super::{ClientCertificate, ConfigErrors, Settings, parse};
use super::{certificate, load_in};

fn load_with(folder: &Path, more_of_tls: &str) -> Result<Settings, ConfigErrors> {
    let (pem, key) = certificate();
    std::fs::write(folder.join("c"), pem).unwrap();
    std::fs::write(folder.join("k"), key).unwrap();
    let tls = format!(r#"{{ certificate = "c", key = "k"{more_of_tls} }}"#);
    load_in(folder, &format!("listen = [{{ address = \"127.0.0.1:0\", tls = {tls} }}]\n"), &[])
}

#[test]
fn asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (more, expected) in [
        (r#", client_ca = "c", client_certificate = "optional""#, ClientCertificate::Optional),
        (r#", client_ca = "c""#, ClientCertificate::Required),
    ] {
        let settings = load_with(folder.path(), more).unwrap();
        assert_eq!(settings.listen[0].tls.as_ref().unwrap().client_certificate, expected);
        assert_eq!(parse(&settings.to_toml().unwrap()).unwrap(), settings);
    }
    let told = load_with(folder.path(), r#", client_certificate = "optional""#).unwrap_err().to_string();
    assert!(told.contains("has no `client_ca` beside it"), "{told}");
}
