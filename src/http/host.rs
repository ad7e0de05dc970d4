//! The host that a client speaks to: one, and said (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
//!
//! It says which upstream a name may mean, where a token is had, and what was signed. With two of them, whoever stands before us
//! may have looked at the other one.

use http::header::HOST;
use http::request::Parts;
use http::{StatusCode, Version};

use super::oci::Failure;
use crate::oci::ErrorCode;

pub fn check(request: &Parts) -> Result<(), Failure> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = hosts.next();
    let message = match (host, request.uri.authority()) {
        _ if hosts.next().is_some() => "the request has more than one Host header: send one",
        (None, _) if request.version == Version::HTTP_11 => "the request has no Host header: send one",
        (Some(host), Some(authority))
            if request.version == Version::HTTP_2
                && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            "the Host header is not the :authority of the request: send one of them"
        }
        _ => return Ok(()),
    };
    Err(Failure::new(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (version, uri, hosts, is_right) in [
            (Version::HTTP_11, "/", &["a"][..], true),
            (Version::HTTP_11, "/", &[], false),
            (Version::HTTP_11, "/", &["a", "a"], false),
            (Version::HTTP_11, "/", &["a", "b"], false),
            // The target's host counts, and the header need only be there.
            (Version::HTTP_11, "http://a/", &["b"], true),
            (Version::HTTP_11, "http://a/", &[], false),
            (Version::HTTP_10, "/", &[], true),
            (Version::HTTP_10, "/", &["a", "b"], false),
            (Version::HTTP_2, "http://a:1/", &[], true),
            (Version::HTTP_2, "http://a:1/", &["A:1"], true),
            (Version::HTTP_2, "http://a:1/", &["a"], false),
            (Version::HTTP_2, "http://a:1/", &["a:1", "a:1"], false),
        ] {
            let mut request = http::Request::builder().version(version).uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(check(&parts).is_ok(), is_right, "{version:?} {uri} {hosts:?}");
        }
    }
}
