//! Lists that come in pages: tags, and the referrers of a manifest.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::body::{Received, read_body};
use super::client::Channel;
use super::error::{Error, ErrorKind};
use super::link::next_query;
use super::remote::{Turn, Upstream};
use super::request::Ask;
use crate::memory::Held;
use crate::oci::{Digest, MediaType, RepositoryName, Tag, json};

const MAX_PAGES: usize = 1_000;
const MAX_LIST_BYTES: usize = 64 << 20;
const MAX_TAGS: usize = 2_000_000;
/// An index of referrers is served as one manifest.
const MAX_REFERRERS_BYTES: usize = 16 << 20;
/// Tags wanted on a page; what other clients ask for, too.
const PAGE_TAGS: &str = "n=1000";

/// One page as it came.
struct Page {
    media_type: Option<MediaType>,
    bytes: Bytes,
    /// The query of the next one.
    next: Option<String>,
}

impl Upstream {
    /// Every tag, over all of upstream's pages, in upstream's order, one on a line. What is not a tag by the specification is left out.
    pub async fn tags(&self, repository: &RepositoryName) -> Result<Received<String>, Error> {
        let deadline = Some(Instant::now() + self.list_time());
        self.over_endpoints(deadline, |turn| self.tags_once(turn, repository)).await
    }

    /// The referrers API's index over all pages, or `None` where upstream has no such API.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Received<Bytes>>, Error> {
        let deadline = Some(Instant::now() + self.list_time());
        let asked = self.over_endpoints(deadline, |turn| self.referrers_once(turn, repository, subject)).await;
        match asked {
            // Registries without it say so in several ways.
            Err(Error {
                kind: ErrorKind::NotFound | ErrorKind::Failed { status: 400 | 405 | 406 | 501, .. }, ..
            }) => Ok(None),
            asked => asked,
        }
    }

    /// For all pages together; each has less.
    fn list_time(&self) -> Duration {
        self.settings().header_timeout * 8
    }

    async fn tags_once(&self, turn: Turn<'_>, repository: &RepositoryName) -> Result<Received<String>, ErrorKind> {
        let path = format!("{repository}/tags/list");
        let mut ask = Ask { query: Some(PAGE_TAGS.to_owned()), ..Ask::new(Method::GET, Channel::Api, path) };
        let (mut tags, mut room) = (Names::default(), self.room());
        let mut bytes_left = MAX_LIST_BYTES;
        for number in 0..MAX_PAGES {
            let page = match self.page(turn, repository, &ask, bytes_left, &mut room).await {
                // Some registries refuse pages as long as ours; then they choose the length.
                Err(ErrorKind::Failed { status: 400, .. }) if number == 0 => {
                    ask.query = None;
                    self.page(turn, repository, &ask, bytes_left, &mut room).await?
                }
                page => page?,
            };
            bytes_left -= page.bytes.len();
            read_tags(&page.bytes, &mut tags).map_err(|detail| ErrorKind::Misbehaved { detail })?;
            if page.next.is_none() || page.next == ask.query {
                return Ok(Received { value: tags.lines, room });
            }
            ask.query = page.next;
        }
        Err(ErrorKind::Misbehaved { detail: format!("its list of tags has more than {MAX_PAGES} pages") })
    }

    async fn referrers_once(
        &self,
        turn: Turn<'_>,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Received<Bytes>>, ErrorKind> {
        let path = format!("{repository}/referrers/{subject}");
        let accept = Some(MediaType::oci_index().to_string());
        let mut ask = Ask { accept, ..Ask::new(Method::GET, Channel::Api, path) };
        let (mut whole, mut room) = (Index::default(), self.room());
        let mut bytes_left = MAX_REFERRERS_BYTES;
        for number in 0..MAX_PAGES {
            let page = self.page(turn, repository, &ask, bytes_left, &mut room).await?;
            bytes_left -= page.bytes.len();
            let is_index = page.media_type.as_ref().is_none_or(|media_type| *media_type == MediaType::oci_index());
            let added = if is_index { whole.add(page.bytes) } else { Err("another type".to_owned()) };
            match added {
                // A web page or an error document: this registry does not know the path.
                Err(_) if number == 0 => return Ok(None),
                Err(detail) => {
                    let detail = format!("a page of its list of referrers is not an index: {detail}");
                    return Err(ErrorKind::Misbehaved { detail });
                }
                Ok(()) => {}
            }
            if page.next.is_none() || page.next == ask.query {
                return Ok(Some(Received { value: whole.into_bytes(), room }));
            }
            ask.query = page.next;
        }
        Err(ErrorKind::Misbehaved { detail: format!("its list of referrers has more than {MAX_PAGES} pages") })
    }

    async fn page(
        &self,
        turn: Turn<'_>,
        repository: &RepositoryName,
        ask: &Ask,
        limit: usize,
        room: &mut Held,
    ) -> Result<Page, ErrorKind> {
        let fetch = async {
            let reply = self.send(turn, repository, ask).await?;
            reply.check_encoding()?;
            let links = reply.response.headers().get_all("link");
            let links = links.iter().filter_map(|value| value.to_str().ok());
            let next = next_query(links, &turn.endpoint.url(&ask.path, None))
                .map_err(|detail| ErrorKind::Misbehaved { detail })?;
            let media_type = reply.media_type();
            let bytes = read_body(reply.response, limit, room).await?;
            self.received(repository, bytes.len());
            Ok(Page { media_type, bytes, next })
        };
        tokio::time::timeout(self.settings().patience(), fetch).await.unwrap_or(Err(ErrorKind::TimedOut))
    }
}

/// Adds the tags of a page to `tags`, one on a line.
fn read_tags(bytes: &[u8], tags: &mut Names) -> Result<(), String> {
    let mut is_list = false;
    let read = json::members(bytes, |name, value| {
        if name != "tags" {
            return Ok(());
        }
        is_list = true;
        // `null` stands for an empty list; without the member it is no list.
        if value.get() == "null" {
            return Ok(());
        }
        json::elements(value.get().as_bytes(), |entry| match json::text(entry) {
            Some(name) if name.parse::<Tag>().is_ok() => tags.add(&name),
            _ => Ok(()),
        })
    });
    read.map_err(|error| format!("its list of tags cannot be read: {error}"))?;
    if is_list { Ok(()) } else { Err("it sends a document without tags where a list of them was asked for".to_owned()) }
}

#[derive(Default)]
struct Names {
    /// One on a line.
    lines: String,
    count: usize,
}

impl Names {
    fn add(&mut self, name: &str) -> Result<(), String> {
        if self.count == MAX_TAGS {
            return Err(format!("it has more than {MAX_TAGS} tags"));
        }
        self.count += 1;
        self.lines.extend([name, "\n"]);
        Ok(())
    }
}

/// Pages of an index, put together. A single page stays as it came, byte for byte.
#[derive(Default)]
struct Index {
    first: Bytes,
    /// The members of the first page but its manifests, and the manifests of all, each followed by a comma.
    members: String,
    manifests: String,
    pages: usize,
}

impl Index {
    fn add(&mut self, page: Bytes) -> Result<(), String> {
        self.pages += 1;
        let is_first = self.pages == 1;
        let (mut has_list, mut is_other) = (false, false);
        json::members(&page, |name, value| {
            if name == "mediaType" {
                let declared = json::text(value);
                is_other = declared.is_some_and(|declared| MediaType::new(&declared) != MediaType::oci_index());
            }
            if name == "manifests" {
                has_list = true;
                return if value.get() == "null" { Ok(()) } else { self.add_manifests(value) };
            }
            if is_first {
                let name = serde_json::to_string(name).map_err(|error| error.to_string())?;
                self.members.extend([&name, ":", value.get(), ","]);
            }
            Ok(())
        })?;
        if is_other {
            return Err("it says that it is of another type".to_owned());
        }
        if !has_list {
            return Err("it has no list of manifests".to_owned());
        }
        if is_first {
            self.first = page;
        }
        Ok(())
    }

    fn add_manifests(&mut self, list: &RawValue) -> Result<(), String> {
        json::elements(list.get().as_bytes(), |manifest| {
            self.manifests.extend([manifest.get(), ","]);
            Ok(())
        })
    }

    fn into_bytes(self) -> Bytes {
        if self.pages == 1 {
            return self.first;
        }
        let manifests = self.manifests.strip_suffix(',').unwrap_or_default();
        Bytes::from(format!("{{{}\"manifests\":[{manifests}]}}", self.members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn tags(text: &str) -> Result<Vec<String>, String> {
        let mut tags = Names::default();
        read_tags(text.as_bytes(), &mut tags).map(|()| tags.lines.lines().map(str::to_owned).collect())
    }

    #[test]
    fn lists_of_tags() {
        for (text, expected) in [
            (r#"{"name":"a","tags":["b","a"]}"#, vec!["b", "a"]),
            (r#"{"tags":null}"#, vec![]),
            (r#"{"tags":[],"more":{"x":1}}"#, vec![]),
            (r#"{"tags":["ok",7,null,"bad tag","-x",{"n":1},["a"]]}"#, vec!["ok"]),
        ] {
            assert_eq!(tags(text).unwrap(), expected, "{text}");
        }
        for text in ["", "<html>", "[]", r#"{"errors":[]}"#, r#"{"tags":"a"}"#] {
            assert!(tags(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_of_tags_have_an_end() {
        let mut tags = Names { count: MAX_TAGS - 2, ..Names::default() };
        assert!(read_tags(br#"{"tags":["a","b"]}"#, &mut tags).is_ok());
        assert!(read_tags(br#"{"tags":["c"]}"#, &mut tags).unwrap_err().contains("more than"));
    }

    fn merge(pages: &[&str]) -> Result<String, String> {
        let mut index = Index::default();
        for page in pages {
            index.add(Bytes::from((*page).to_owned()))?;
        }
        Ok(String::from_utf8(index.into_bytes().to_vec()).unwrap())
    }

    #[test]
    fn pages_of_referrers() {
        let one = r#"{"schemaVersion":2, "manifests":[{"digest":"a"}], "annotations":{"k":"v"}}"#;
        let two = r#"{"schemaVersion":2,"manifests":[{"digest":"b"}]}"#;
        assert_eq!(merge(&[one]).unwrap(), one);
        let merged: Value = serde_json::from_str(&merge(&[one, two, r#"{"manifests":null}"#]).unwrap()).unwrap();
        assert_eq!(merged["manifests"], serde_json::json!([{"digest":"a"},{"digest":"b"}]));
        assert_eq!(merged["annotations"]["k"], "v");
        for page in ["", "[]", "{}", r#"{"errors":[]}"#, r#"{"manifests":[],"mediaType":"x/y"}"#] {
            assert!(merge(&[page]).is_err(), "{page}");
        }
    }
}
