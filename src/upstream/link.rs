//! `Link: <…>; rel="next"` (RFC 8288): how a list goes on. Pure.

use reqwest::Url;

/// The query of the next page, if there is one, of a list that was asked for at `base`.
///
/// Only the query is taken, whatever the cursor in it is called: a link cannot lead to another host or path, and one that a
/// registry writes without the prefix or the scheme of its proxy works all the same.
pub(super) fn next_query<'a>(headers: impl IntoIterator<Item = &'a str>, base: &Url) -> Result<Option<String>, String> {
    let Some(target) = headers.into_iter().find_map(next_target) else { return Ok(None) };
    let url = base.join(target).map_err(|_| "its link to the next page is not a URL".to_owned())?;
    if url.host_str() != base.host_str() {
        return Err(format!("its link to the next page leads to {}", url.host_str().unwrap_or_default()));
    }
    Ok(url.query().filter(|query| !query.is_empty()).map(str::to_owned))
}

/// The target of the first link whose relation is `next`.
fn next_target(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, link) = rest.split_once('<')?;
        let (target, after) = link.split_once('>')?;
        // A comma inside a quoted parameter would cut it short; no relation has one.
        let parameters = after.split('<').next().unwrap_or_default();
        if parameters.split([';', ',']).any(is_next) {
            return Some(target);
        }
        rest = after;
    }
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("rel")
        && value.trim().trim_matches('"').split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let base: Url = "https://host/v2/a/tags/list?n=2".parse().unwrap();
        for (header, expected) in [
            ("</v2/a/tags/list?last=b&n=2>; rel=\"next\"", Ok(Some("last=b&n=2"))),
            ("</v2/a/tags/list?last=b>;rel=next", Ok(Some("last=b"))),
            ("<?next_page=x%3D>; rel=\"next\"", Ok(Some("next_page=x%3D"))),
            ("<https://host/v2/a/tags/list?n=2&last=b>; rel=\"next\"", Ok(Some("n=2&last=b"))),
            ("<http://host/other/path?cursor=1>; title=\"x\"; rel=\"prev next\"", Ok(Some("cursor=1"))),
            ("</a?first>; rel=\"first\", </a?next>; rel=\"next\"", Ok(Some("next"))),
            ("</a?prev>; rel=\"prev\"", Ok(None)),
            ("</v2/a/tags/list>; rel=\"next\"", Ok(None)),
            ("", Ok(None)),
            ("<", Ok(None)),
            ("<a", Ok(None)),
            ("<a>", Ok(None)),
            ("rel=next", Ok(None)),
            ("<https://evil/v2/a/tags/list?n=2>; rel=\"next\"", Err(())),
            ("<//evil/?n=2>; rel=\"next\"", Err(())),
            ("<https://[>; rel=\"next\"", Err(())),
        ] {
            let found = next_query([header], &base).map_err(|_| ());
            assert_eq!(found, expected.map(|query| query.map(str::to_owned)), "{header}");
        }
        assert_eq!(next_query([], &base), Ok(None));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(header in ".{0,200}") {
            let _ = next_query([header.as_str()], &"https://host".parse().unwrap());
        }
    }
}
