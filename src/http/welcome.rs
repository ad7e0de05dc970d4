//! What somebody sees who opens the registry in a browser: a few words, as there are no pages here.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Response};

use super::transport::ResponseBody;

/// Whether a browser asks for the first page. Clients of registries accept no HTML.
pub fn is_wanted(request: &Parts) -> bool {
    let is_html = |item: &str| item.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html");
    let values = request.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    request.uri.path() == "/"
        && matches!(request.method, Method::GET | Method::HEAD)
        && values.flat_map(|value| value.split(',')).any(is_html)
}

/// `url` is where clients reach the registry; at an open one nobody logs in.
pub fn words(url: &str, is_open: bool) -> Response<ResponseBody> {
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let login = if is_open { String::new() } else { format!("Log in:  docker login {host}\n") };
    let text = format!(
        "This is entrepot, a registry of container images. It has no pages: images are pulled with docker, podman or containerd.\n\
         {login}Pull:    docker pull {host}/NAME:TAG\n"
    );
    let mut response = Response::new(ResponseBody::full(text.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
