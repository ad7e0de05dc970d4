//! The proxy through which an upstream is asked, if there is one.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use crate::config::ProxySetting;

pub(super) struct Proxies(Choice);

enum Choice {
    None,
    /// For everything.
    Fixed(Url),
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, read once.
    Environment(Box<Matcher>),
}

impl Proxies {
    pub(super) fn new(setting: &ProxySetting) -> Self {
        Self(match setting {
            ProxySetting::None => Choice::None,
            ProxySetting::Url(url) => Choice::Fixed(url.clone()),
            // The module's own tests talk to loopback, whatever the environment of who runs them.
            ProxySetting::Environment if cfg!(test) => Choice::None,
            ProxySetting::Environment => Choice::Environment(Box::new(Matcher::from_env())),
        })
    }

    /// Lets a client take the same way. The error says what is wrong with the URL.
    pub(super) fn apply(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, String> {
        match &self.0 {
            Choice::None => Ok(builder.no_proxy()),
            Choice::Fixed(url) => {
                let proxy = reqwest::Proxy::all(url.clone()).map_err(|error| format!("`proxy`: {error}"))?;
                Ok(builder.no_proxy().proxy(proxy))
            }
            // Its own reading of the environment is by the same matcher.
            Choice::Environment(_) => Ok(builder),
        }
    }

    /// The proxy for this URL, without what it may hold of a login: `http://proxy:3128, from the environment`.
    pub(super) fn of(&self, url: &Url) -> Option<String> {
        match &self.0 {
            Choice::None => None,
            Choice::Fixed(proxy) => Some(proxy.origin().ascii_serialization()),
            Choice::Environment(matcher) => {
                let found = matcher.intercept(&url.as_str().parse().ok()?)?;
                Some(format!("{}, from the environment", shown(found.uri())))
            }
        }
    }

    /// Names of proxies.
    pub(super) fn hosts(&self) -> Vec<String> {
        match &self.0 {
            Choice::None => Vec::new(),
            Choice::Fixed(url) => url.host_str().map(str::to_owned).into_iter().collect(),
            Choice::Environment(matcher) => ["http://registry.invalid/", "https://registry.invalid/"]
                .into_iter()
                .filter_map(|url| matcher.intercept(&url.parse().ok()?)?.uri().host().map(str::to_owned))
                .collect(),
        }
    }
}

fn shown(proxy: &http::Uri) -> String {
    let host = proxy.host().unwrap_or_default();
    let port = proxy.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", proxy.scheme_str().unwrap_or("http"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nm16_no_login_is_shown() {
        let matcher = Matcher::builder().all("http://user:secret@proxy.example:3128").no("inner.example").build();
        let proxies = Proxies(Choice::Environment(Box::new(matcher)));
        let of = |url: &str| proxies.of(&url.parse().unwrap());
        assert_eq!(of("https://ghcr.io/v2/").as_deref(), Some("http://proxy.example:3128, from the environment"));
        assert_eq!(of("https://inner.example/v2/"), None);
        assert_eq!(proxies.hosts(), ["proxy.example", "proxy.example"]);
        let fixed = Proxies::new(&ProxySetting::Url("http://p:3128".parse().unwrap()));
        assert_eq!(fixed.of(&"https://ghcr.io".parse().unwrap()).as_deref(), Some("http://p:3128"));
        assert_eq!(Proxies::new(&ProxySetting::None).hosts(), Vec::<String>::new());
    }
}
