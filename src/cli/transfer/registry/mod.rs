//! A registry as a client sees it (distribution-spec): pulling and pushing, over HTTP or HTTPS, with Basic or nothing.
//!
//! Everything that can be asked again is, a few times, when a connection breaks or the registry says that it is busy. What
//! comes is verified here or by the layout that it is written to.
//!
//! *Never* here: which images are moved, or in which order.

mod access;
mod answer;
mod body;
mod pull;
mod push;
mod retry;

pub(in crate::cli) use access::Access;
pub(super) use pull::media_type;
pub(super) use retry::persist;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};

use super::error::Error;

pub(in crate::cli) struct Registry {
    /// Without a slash at the end.
    base: Url,
    client: reqwest::Client,
    login: Option<HeaderValue>,
}

impl Registry {
    /// Host and port, as they stand before an image's name.
    pub(in crate::cli) fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        let text = format!("{}/v2/{path}", self.base.as_str().trim_end_matches('/'));
        text.parse().map_err(|error| Error::Usage(format!("{text} is no URL: {error}")))
    }

    /// The credential goes to the registry itself and to nobody whom it names.
    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let is_ours = url.origin() == self.base.origin();
        let request = self.client.request(method, url);
        match &self.login {
            Some(login) if is_ours => request.header(AUTHORIZATION, login.clone()),
            _ => request,
        }
    }
}
