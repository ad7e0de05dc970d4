//! The API that a request is for, from its method, path and headers.

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::aws::TARGET;
use super::{oci, welcome};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The OCI distribution API, and everything that is for no API.
    Oci,
    /// The token endpoint.
    Token,
    /// ECR's API (JSON 1.1): `POST /` with the operation's name in `X-Amz-Target`.
    Ecr,
    /// A browser at the first page.
    Welcome,
    /// The APIs of IAM and STS (AWS's Query protocol): `POST /` of a form.
    Iam,
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Protocol {
    /// An open listener gives no tokens.
    pub fn of(request: &Parts, is_open: bool) -> Self {
        let path = request.uri.path();
        if path == oci::token::PATH && !is_open {
            return Self::Token;
        }
        if welcome::is_wanted(request) {
            return Self::Welcome;
        }
        if path != "/" || request.method != Method::POST {
            return Self::Oci;
        }
        if request.headers.contains_key(TARGET) {
            return Self::Ecr;
        }
        let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case(FORM) { Self::Iam } else { Self::Oci }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d4_browsers_are_welcome() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (method, path, accept, expected) in [
            ("GET", "/", browser, Protocol::Welcome),
            ("HEAD", "/?x=1", "*/*, Text/HTML;q=0.1", Protocol::Welcome),
            ("GET", "/", "*/*", Protocol::Oci),
            ("GET", "/", "application/json", Protocol::Oci),
            ("GET", "/v2/", browser, Protocol::Oci),
            ("GET", "//", browser, Protocol::Oci),
            ("PUT", "/", browser, Protocol::Oci),
        ] {
            let request = http::Request::builder().method(method).uri(path).header(http::header::ACCEPT, accept);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            for is_open in [false, true] {
                assert_eq!(Protocol::of(&parts, is_open), expected, "{method} {path} {accept}");
            }
        }
    }

    #[test]
    fn protocols() {
        let (form, json) = (FORM, "application/x-amz-json-1.1");
        let target = Some("AmazonEC2ContainerRegistry_V20150921.DescribeRegistry");
        for (method, path, content_type, target, is_open, expected) in [
            ("GET", "/v2/", None, None, false, Protocol::Oci),
            ("POST", "/v2/a/blobs/uploads/", Some(form), target, false, Protocol::Oci),
            ("GET", "/token", None, None, false, Protocol::Token),
            ("POST", "/token", Some(form), None, false, Protocol::Token),
            ("GET", "/token", None, None, true, Protocol::Oci),
            ("GET", "/token/", None, None, false, Protocol::Oci),
            ("POST", "/", Some(json), target, false, Protocol::Ecr),
            ("POST", "/", Some(json), target, true, Protocol::Ecr),
            // The target goes before the form.
            ("POST", "/", Some(form), target, false, Protocol::Ecr),
            ("GET", "/", Some(json), target, false, Protocol::Oci),
            ("POST", "//", Some(json), target, false, Protocol::Oci),
            ("POST", "/", Some(form), None, false, Protocol::Iam),
            ("POST", "/", Some("Application/X-WWW-Form-Urlencoded; charset=utf-8"), None, true, Protocol::Iam),
            ("POST", "/", Some(json), None, false, Protocol::Oci),
            ("POST", "/", None, None, false, Protocol::Oci),
        ] {
            let mut request = http::Request::builder().method(method).uri(path);
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            if let Some(target) = target {
                request = request.header(TARGET, target);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(Protocol::of(&parts, is_open), expected, "{method} {path} {content_type:?}");
        }
    }
}
