//! What somebody tries who wants in, or wants others out: against a listener that wants to know who asks.
//!
//! A part of the suite for each thing that is bent: the head of a request, its path, a token, a signature, and how much there
//! is of anything. `edge.rs` shows what is right; here is what is nearly right.

mod askers;
mod bounds;
mod browsers;
mod caches;
mod crowds;
mod frames;
mod guards;
mod heads;
mod hints;
mod http2;
mod idle;
mod late;
mod layer_urls;
mod lengths;
mod lines;
mod lists;
mod lockouts;
mod logins;
mod losses;
mod memory;
mod moved;
mod open;
mod origins;
mod pages;
mod paths;
mod places;
mod proxies;
mod reach;
mod readers;
mod rules;
mod secrets;
mod sick;
mod signatures;
mod streams;
mod templates;
mod tokens;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bound::within;
use crate::client::{Answer, Client};
use crate::proxy::{Proxy, Setup};
use crate::upstream::FakeUpstream;

/// The account that a configuration without one has.
const ACCOUNT: &str = "000000000000";

/// With users, and without patience for connections that say nothing.
async fn impatient(upstream: &FakeUpstream) -> Proxy {
    let mut setup = Setup::of(upstream);
    setup.more = crate::edge::USERS.to_owned() + "[auth]\nfailed_logins = 100000\n";
    setup.http.text("header_timeout", "1s").text("idle_timeout", "1s").text("stall_timeout", "2s");
    setup.start().await
}

/// What the server says to these bytes until it closes.
async fn said_to(client: &Client, bytes: &[u8]) -> String {
    let mut stream = client.connect().await.unwrap();
    // A server that has heard enough may have closed.
    let _ = within("the server takes it", stream.write_all(bytes)).await;
    let mut answer = Vec::new();
    let _ = within("the server closes", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(said: &str) -> Vec<&str> {
    said.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap_or(answer)).collect()
}

async fn with_authorization(proxy: &Proxy, authorization: &str, method: &str, path: &str) -> Answer {
    proxy.client().request(method, path, &[("Authorization", authorization)]).await
}
