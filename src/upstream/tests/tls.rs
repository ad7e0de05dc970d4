//! Private authorities and our own certificate.

use std::path::Path;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::fake::upstream;
use super::{digest, repository};
use crate::config::{UpstreamName, UpstreamSettings};
use crate::telemetry::Metrics;
use crate::upstream::{ErrorKind, Upstream};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A registry on TLS that has every blob, with 5 bytes. With `clients`, it wants a certificate of that authority.
async fn serve(authority: &Issuer, clients: Option<&Issuer>) -> String {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper::service::service_fn(|_| async {
                    let body = http_body_util::Full::new(bytes::Bytes::from_static(b"12345"));
                    Ok::<_, std::convert::Infallible>(http::Response::new(body))
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    url
}

fn settings(url: &str) -> UpstreamSettings {
    UpstreamSettings::new(UpstreamName::new("fake"), url.parse().unwrap()).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn a_private_authority_must_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let url = serve(&authority, None).await;
    let stranger = upstream(settings(&url)).blob_head(&repository(), &digest()).await.unwrap_err();
    assert!(matches!(&stranger.kind, ErrorKind::Unreachable { detail } if detail.contains("`ca`")), "{stranger}");
    let ca = Some(write(folder.path(), "ca.pem", &authority.pem()));
    let known = upstream(UpstreamSettings { ca, ..settings(&url) });
    assert_eq!(known.blob_head(&repository(), &digest()).await.unwrap(), Some(5));
    let mut stream = known.source(repository(), digest()).open(0, Some(5)).await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "12345");
}

#[tokio::test]
async fn our_certificate_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (authority(), authority());
    let url = serve(&servers, Some(&clients)).await;
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["entrepot".to_owned()]).unwrap().signed_by(&key, &clients).unwrap();
    let without = UpstreamSettings { ca: Some(write(folder.path(), "ca.pem", &servers.pem())), ..settings(&url) };
    let pair = (
        write(folder.path(), "client.pem", &certificate.pem()),
        write(folder.path(), "client.key", &key.serialize_pem()),
    );
    let with = UpstreamSettings { client_certificate: Some(pair), ..without.clone() };
    assert_eq!(upstream(with).blob_head(&repository(), &digest()).await.unwrap(), Some(5));
    assert!(upstream(without).blob_head(&repository(), &digest()).await.is_err());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pem");
    let empty = write(folder.path(), "empty.pem", "");
    for ca in [missing, empty] {
        let name = ca.file_name().unwrap().to_str().unwrap().to_owned();
        let settings = UpstreamSettings { ca: Some(ca), ..settings("https://localhost") };
        let error = Upstream::new(settings, Metrics::new().unwrap()).err().unwrap();
        assert!(error.to_string().contains(&name), "{error}");
    }
}
