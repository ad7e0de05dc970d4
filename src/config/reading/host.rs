//! Hosts and URLs of other registries.

use std::net::Ipv6Addr;

use reqwest::Url;

/// `host`, `host:port` or `[ipv6]:port`, in lower case.
pub fn parse_host(text: &str) -> Result<String, String> {
    if text.contains("://") {
        return Err(format!("{text:?} is a URL where only a host is meant: leave out the scheme and the path"));
    }
    if text.contains('/') {
        return Err(format!("{text:?} has a path where only a host is meant, such as \"ghcr.io\""));
    }
    let lower = text.to_ascii_lowercase();
    let (host, port) = split_port(&lower);
    let good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    if good_port && is_host(host) {
        Ok(lower)
    } else {
        Err(format!("{text:?} is not a host: write for instance \"ghcr.io\" or \"registry.example:5000\""))
    }
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    if text.starts_with('[') {
        return match text.split_once("]:") {
            Some((host, port)) => (host.strip_prefix('[').unwrap_or(host), Some(port)),
            // Without its bracket at the end this is no host, as it should not be.
            None => (text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or("["), None),
        };
    }
    match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

fn is_host(host: &str) -> bool {
    if host.contains(':') {
        return host.parse::<Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_')
    };
    host.len() <= 253 && host.split('.').all(label)
}

/// The base URL of a registry, without `/v2/`.
pub fn parse_url(text: &str) -> Result<Url, String> {
    if !text.contains("://") {
        return Err(format!("{text:?} is not a URL: write the scheme too, such as \"https://{text}\""));
    }
    // The text may hold a password and is not repeated until that is ruled out.
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the URL carries credentials: take them out and write `username` and `password_file` instead".into()
        );
    }
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("{text:?} is neither https nor http"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL has a query or a fragment: write only scheme, host and path".into());
    }
    let path = url.path().trim_end_matches('/');
    if path == "/v2" || path.ends_with("/v2") {
        return Err(format!("{text:?} ends in /v2: leave that out, it is added to every request"));
    }
    Ok(url)
}

/// One that is printed as it is written, so that no password may be in it.
pub fn parse_plain_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL carries credentials, which are not used: take them out".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, host) in [
            ("docker.io", "docker.io"),
            ("Registry.Example:5000", "registry.example:5000"),
            ("localhost", "localhost"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:5000", "[::1]:5000"),
            ("[fd00::1]", "[fd00::1]"),
        ] {
            assert_eq!(parse_host(text).as_deref(), Ok(host), "{text}");
        }
        for bad in
            ["", "a b", "https://a", "a/b", "a:", "a:0", "a:99999", "::1", "user@a", "a..b", "-a", "[::1", "ä.de"]
        {
            assert!(parse_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls() {
        for good in
            ["https://registry-1.docker.io", "http://127.0.0.1:5000/", "https://repo.example/artifactory/docker"]
        {
            assert!(parse_url(good).is_ok(), "{good}");
        }
        for bad in [
            "docker.io",
            "ftp://a",
            "https://",
            "https://a?x=1",
            "https://a#x",
            "https://a/v2",
            "https://a/v2/",
            "https://a:99999",
        ] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
        let message = parse_url("https://me:hunter2@a").unwrap_err();
        assert!(message.contains("credentials") && !message.contains("hunter2"), "{message}");
        assert!(!parse_url("https://me:hunter2@a b").unwrap_err().contains("hunter2"));
    }
}
