//! Clients that come in such numbers that others would not get in.

use futures_util::future::select_all;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::addresses::{free_ports, fresh_ip};
use crate::bound::{until_async, within};
use crate::client::Client;
use crate::proxy::{Proxy, Setup};
use crate::upstream::FakeUpstream;

/// From another address of this machine.
async fn from(address: &str, proxy: &Proxy) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    within("a connection", socket.connect(proxy.client().host().parse().unwrap())).await.unwrap()
}

/// Connections of clients: the one that asks for the metrics is an operator's.
async fn open(proxy: &Proxy) -> f64 {
    proxy.metrics().await.sum("entrepot_http_connections") - 1.0
}

#[tokio::test]
async fn t07_one_client_does_not_take_all_places() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.http.set("max_connections", 20);
    let proxy = setup.start().await;
    let mut held = Vec::new();
    for _ in 0..15 {
        held.push(from("127.9.9.9", &proxy).await);
    }
    // Ten of them, half of the places, are kept; the others are closed.
    until_async("the rest is closed", async || {
        proxy.metrics().await.with("entrepot_http_ended_total", &[("why", "client_limit")]) >= 5.0
    })
    .await;
    until_async("half of the places are taken", async || open(&proxy).await == 10.0).await;
    let closed =
        held.iter_mut().map(|stream| Box::pin(async move { within("it is closed", stream.read(&mut [0])).await }));
    let (ended, ..) = select_all(closed).await;
    assert!(ended.unwrap_or(0) == 0);
    proxy.get("/v2/").await.assert_status(200);
    // Places come back.
    drop(held);
    until_async("all are gone", async || open(&proxy).await == 0.0).await;
    let mut again = Vec::new();
    for _ in 0..10 {
        again.push(from("127.9.9.9", &proxy).await);
    }
    until_async("they are in", async || open(&proxy).await == 10.0).await;
}

#[tokio::test]
async fn t33_a_flooded_listener_leaves_the_others() {
    let upstream = FakeUpstream::start().await;
    let mut setup = Setup::of(&upstream);
    setup.http.set("max_connections", 3).set("max_connections_per_client", 3);
    let [second] = free_ports(fresh_ip());
    let mut proxy = setup.prepare();
    let first = proxy.client().host().to_owned();
    proxy.environment("ENTREPOT_LISTEN", &format!("{first},{second}"));
    proxy.start().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(proxy.client().connect().await.unwrap());
    }
    until_async("the first is full", async || open(&proxy).await == 3.0).await;
    Client::new(second).get("/v2/").await.assert_status(200);
    proxy.admin().get("/readyz").await.assert_status(200);
    drop(held);
    proxy.get("/v2/").await.assert_status(200);
}
