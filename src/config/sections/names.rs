//! Names that several tables have: accounts, users, roles, hosts.

use reqwest::Url;

use crate::config::reading::{Kind, Shape};
use crate::oci::{AccountId, AccountIdError};

pub const ACCOUNT_ID: Kind<AccountId> =
    Kind::parsed(Shape::Text, |text| text.parse().map_err(|error: AccountIdError| error.to_string()));

/// A user's name, or a role's.
pub const USER_NAME: Kind<String> = Kind::parsed(Shape::Text, user_name);

/// Names without a port: the port that a client comes to says nothing.
pub const HOST_NAMES: Kind<String> = Kind::parsed(Shape::Texts, host_name);

fn user_name(text: &str) -> Result<String, String> {
    let right = |c: u8| c.is_ascii_alphanumeric() || b"+=,.@_-".contains(&c);
    if text.len() <= 64 && text.bytes().all(right) && !["AWS", "oidc"].contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no name of a user: at most 64 letters, digits and +=,.@_-, and neither AWS nor oidc"))
    }
}

pub fn host_name(text: &str) -> Result<String, String> {
    let is_host = Url::parse(&format!("http://{text}/"))
        .is_ok_and(|url| url.host_str() == Some(text.to_ascii_lowercase().as_str()));
    if is_host {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is no host name, such as \"registry.example\""))
    }
}
