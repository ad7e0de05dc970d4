//! `proxy` of an upstream.

use reqwest::Url;

use crate::config::reading::{Kind, Shape, Written, parse_url};

/// The proxy by which an upstream is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxySetting {
    /// As `HTTPS_PROXY` and its kin say.
    Environment,
    None,
    Url(Url),
}

pub const PROXY_SETTING: Kind<ProxySetting> = Kind::written(Shape::Text, parse, write);

fn parse(text: &str) -> Result<ProxySetting, String> {
    match text {
        "none" => Ok(ProxySetting::None),
        text => Ok(ProxySetting::Url(parse_url(text)?)),
    }
}

fn write(proxy: &ProxySetting) -> Written {
    match proxy {
        ProxySetting::Environment => Written::Nothing,
        ProxySetting::None => Written::text("none"),
        ProxySetting::Url(url) => Written::text(url),
    }
}
