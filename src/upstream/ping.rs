//! Whether an upstream lets us in: `/v2/`, with the login that it wants (distribution-spec, "Determining Support").

use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;

use super::client::Channel;
use super::error::{Error, ErrorKind};
use super::remote::Upstream;
use super::request::Ask;
use crate::oci::RepositoryName;

/// Tokens are asked for with a repository in their scope; any will do.
const ANY: &str = "library/any";

impl Upstream {
    /// The error says why not. `patience` is for all of its urls and for the login.
    pub async fn ping(&self, patience: Duration) -> Result<(), Error> {
        let Ok(any) = ANY.parse::<RepositoryName>() else { return Ok(()) };
        let ask = Ask::new(Method::GET, Channel::Api, String::new());
        let (any, ask) = (&any, &ask);
        let asked = self
            .over_endpoints(Some(Instant::now() + patience), async |turn| self.send(turn, any, ask).await.map(drop));
        match tokio::time::timeout(patience, asked).await {
            Ok(answered) => answered,
            Err(_) => Err(self.error(ErrorKind::TimedOut)),
        }
    }
}
