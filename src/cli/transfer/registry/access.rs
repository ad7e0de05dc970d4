//! How a registry is reached: from what was typed to a client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use clap::Args;
use reqwest::Url;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

use super::Registry;
use super::answer::describe;
use crate::cli::transfer::error::Error;
use crate::upstream::tls_trusting;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Access {
    /// The registry
    #[arg(long, value_name = "URL", default_value = "http://localhost:5000")]
    pub(in crate::cli) url: Url,
    /// Trust the certificate authorities in this PEM file, too
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Log in with Basic as this user
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub(in crate::cli) username: Option<String>,
    /// File that holds the password in its first line
    #[arg(long, value_name = "FILE", requires = "username")]
    pub(in crate::cli) password_file: Option<PathBuf>,
}

impl Access {
    /// Without a login.
    pub(in crate::cli) fn of(url: Url) -> Self {
        Self { url, ca: None, username: None, password_file: None }
    }

    pub(in crate::cli) fn open(&self) -> Result<Registry, Error> {
        if !matches!(self.url.scheme(), "http" | "https") || self.url.host_str().is_none() {
            return Err(Error::Usage(format!("{} is no http or https URL", self.url)));
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return Err(Error::Usage("the URL holds a login; give it by --username and --password-file".to_owned()));
        }
        let login = match (&self.username, &self.password_file) {
            (Some(username), Some(file)) => Some(basic(username, file)?),
            _ => None,
        };
        let mut tls = tls_trusting(self.ca.as_deref()).map_err(Error::Usage)?;
        // Blobs go faster over a connection each than together over one.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A blob is named by its bytes as they are, not as they are packed for the way.
        let identity = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("entrepot/", env!("CARGO_PKG_VERSION")))
            .default_headers(identity)
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .tls_backend_preconfigured(tls);
        if is_this_machine(&self.url) {
            // A proxy of the environment would look for it on its own machine.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Error::Usage(describe(&error)))?;
        Ok(Registry { base: self.url.clone(), client, login })
    }
}

fn basic(username: &str, file: &Path) -> Result<HeaderValue, Error> {
    let text = std::fs::read_to_string(file).map_err(Error::file(file, "read"))?;
    let password = text.lines().next().unwrap_or_default();
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
        .map_err(|_| Error::Usage("the login cannot be sent in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_found_by_its_url() {
        let open = |url: &str| Access::of(url.parse().unwrap()).open();
        let registry = open("http://localhost:5000/").unwrap();
        assert_eq!(registry.host(), "localhost:5000");
        assert_eq!(registry.url("a/tags/list").unwrap().as_str(), "http://localhost:5000/v2/a/tags/list");
        assert_eq!(open("https://a.example").unwrap().host(), "a.example");
        for bad in ["ftp://a", "http://me:secret@a"] {
            assert!(matches!(open(bad), Err(Error::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn the_password_is_the_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "open sesame\n").unwrap();
        assert_eq!(basic("Aladdin", &file).unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
