//! The routes of the registry with their variable parts left out, for traces: a closed set.

/// The route that the path is of.
pub fn template(path: &str) -> &'static str {
    let rest = match path {
        "/" | "" => return "/",
        "/token" => return "/token",
        "/v2" | "/v2/" => return "/v2/",
        "/v2/_catalog" => return "/v2/_catalog",
        path => path.strip_prefix("/v2/"),
    };
    // A path is read from its end, as the router does.
    let mut parts = rest.unwrap_or_default().rsplit('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(""), Some("uploads"), Some("blobs"), Some(_)) => "/v2/<name>/blobs/uploads/",
        (Some("uploads"), Some("blobs"), Some(_), _) => "/v2/<name>/blobs/uploads/",
        (Some("list"), Some("tags"), Some(_), _) => "/v2/<name>/tags/list",
        (Some(_), Some("manifests"), Some(_), _) => "/v2/<name>/manifests/<reference>",
        (Some(_), Some("blobs"), Some(_), _) => "/v2/<name>/blobs/<digest>",
        (Some(_), Some("referrers"), Some(_), _) => "/v2/<name>/referrers/<digest>",
        (Some(_), Some("uploads"), Some("blobs"), Some(_)) => "/v2/<name>/blobs/uploads/<upload>",
        _ => "*",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (path, expected) in [
            ("/v2/", "/v2/"),
            ("/v2/_catalog", "/v2/_catalog"),
            ("/v2/a/tags/list", "/v2/<name>/tags/list"),
            ("/v2/a/b/manifests/1", "/v2/<name>/manifests/<reference>"),
            ("/v2/blobs/manifests/1", "/v2/<name>/manifests/<reference>"),
            ("/v2/a/blobs/sha256:0", "/v2/<name>/blobs/<digest>"),
            ("/v2/a/blobs/uploads/", "/v2/<name>/blobs/uploads/"),
            ("/v2/a/blobs/uploads/x", "/v2/<name>/blobs/uploads/<upload>"),
            ("/v2/a/referrers/sha256:0", "/v2/<name>/referrers/<digest>"),
            ("/v2/manifests/1", "*"),
            ("/robots.txt", "*"),
            ("/a/manifests/1", "*"),
            ("/", "/"),
            ("/token", "/token"),
        ] {
            assert_eq!(template(path), expected, "{path}");
        }
    }
}
