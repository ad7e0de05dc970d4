//! What AWS's APIs have in common on the wire: how a request names its operation, and how an answer is put together.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::transport::ResponseBody;

pub const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// What came of a request.
pub struct Answered {
    pub response: Response<ResponseBody>,
    /// For the log.
    pub fault: Option<String>,
}

impl Answered {
    pub fn new(
        status: StatusCode,
        content_type: &'static str,
        document: impl Into<Bytes>,
        fault: Option<String>,
        request_id: &str,
    ) -> Self {
        let mut response = Response::new(ResponseBody::full(document.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if status.is_server_error() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        Self { response, fault }
    }
}
