//! `entrepot healthcheck`: one small request by hand, so that an image needs no other program for its health check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::arguments::{Format, Healthcheck};
use super::failure::Failure;
use super::output;
use crate::config::Source;

/// Bytes of an answer that are looked at.
const MAX_ANSWER_BYTES: u64 = 16 << 10;

pub(super) async fn run(source: &Source, wanted: &Healthcheck) -> Result<String, Failure> {
    let path = if wanted.ready { "/readyz" } else { "/livez" };
    let url = match &wanted.url {
        Some(url) => with_path(url, path)?,
        None => admin_url(source, path)?,
    };
    let answer = match tokio::time::timeout(wanted.timeout, ask(&url)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} ms", wanted.timeout.as_millis())),
    };
    match (answer, wanted.output.format) {
        (Ok(()), Format::Text) => Ok(format!("{url}: healthy")),
        (Ok(()), Format::Json) => output::json(&json!({ "healthy": true, "url": url.as_str() })),
        (Err(why), Format::Text) => Err(Failure::Unhealthy(format!("{url}: {why}"))),
        (Err(why), Format::Json) => {
            let data = output::json(&json!({ "healthy": false, "url": url.as_str(), "reason": why }))?;
            Err(Failure::UnhealthyAsData(data))
        }
    }
}

fn with_path(url: &Url, path: &str) -> Result<Url, Failure> {
    if url.scheme() != "http" {
        return Err(Failure::Usage(format!("{url} is not an http URL; the admin listener speaks plain HTTP")));
    }
    let mut url = url.clone();
    if matches!(url.path(), "" | "/") {
        url.set_path(path);
    }
    Ok(url)
}

fn admin_url(source: &Source, path: &str) -> Result<Url, Failure> {
    let settings = source.load().map_err(Failure::Configuration)?;
    let Some(address) = settings.admin.listen.first() else {
        let message = "admin.listen is empty, so that there is nothing to ask; name the address with --url";
        return Err(Failure::Usage(message.to_owned()));
    };
    let url = format!("http://{}{path}", reachable(*address));
    url.parse().map_err(|error| Failure::Runtime(format!("{url} is not a URL: {error}")))
}

/// Where a listener on every address is found from the same machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ask(url: &Url) -> Result<(), String> {
    let host = url.host_str().ok_or("the URL has no host")?;
    let port = url.port_or_known_default().unwrap_or(80);
    let connected = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
    let mut stream = connected.map_err(|error| format!("cannot be reached: {error}"))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: entrepot-healthcheck\r\nConnection: close\r\n\r\n",
        url.path()
    );
    let broken = |error: std::io::Error| format!("the connection broke: {error}");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await.map_err(broken)?;
    judge(&String::from_utf8_lossy(&answer))
}

fn judge(answer: &str) -> Result<(), String> {
    let status =
        answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(status) => {
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
            Err(format!("answered with status {status}{}{body}", if body.is_empty() { "" } else { ": " }))
        }
        None => Err("did not answer in HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::super::arguments::Output;
    use super::*;

    /// A listener that gives every connection this answer, or none at all.
    async fn answering(answer: Option<&'static str>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let count = stream.read(&mut request).await.unwrap();
                assert!(request[..count].starts_with(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:"));
                match answer {
                    Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    None => kept.push(stream),
                }
            }
        });
        url
    }

    async fn check(url: Url, format: Format) -> Result<String, Failure> {
        let source = Source::new(None, std::iter::empty());
        let timeout = Duration::from_millis(200);
        run(&source, &Healthcheck { url: Some(url), ready: false, timeout, output: Output { format } }).await
    }

    #[tokio::test]
    async fn a_service_that_lives() {
        let url = answering(Some("HTTP/1.1 200 OK\r\n\r\nok")).await;
        assert!(check(url, Format::Text).await.unwrap().ends_with("/livez: healthy"));
    }

    #[tokio::test]
    async fn services_that_do_not() {
        for (answer, said) in [
            (Some("HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\n"), "status 503: draining"),
            (Some("SSH-2.0-OpenSSH"), "did not answer in HTTP"),
            (Some(""), "did not answer in HTTP"),
            (None, "no answer within 200 ms"),
        ] {
            let failure = check(answering(answer).await, Format::Text).await.unwrap_err();
            assert_eq!(failure.exit_code(), 4);
            assert!(failure.to_string().contains(said), "{failure}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        drop(listener);
        let failure = check(url, Format::Json).await.unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        assert!(failure.data().unwrap().contains("\"healthy\": false"));
    }

    #[test]
    fn the_address_comes_from_the_settings() {
        let of = |value: &str| Source::new(None, [("ENTREPOT_ADMIN__LISTEN".to_owned(), value.to_owned())].into_iter());
        assert_eq!(admin_url(&of("0.0.0.0:9"), "/livez").unwrap().as_str(), "http://127.0.0.1:9/livez");
        assert_eq!(admin_url(&of("[::]:9"), "/livez").unwrap().as_str(), "http://[::1]:9/livez");
        assert_eq!(admin_url(&of(""), "/livez").unwrap_err().exit_code(), 2);
        assert_eq!(admin_url(&of("x"), "/livez").unwrap_err().exit_code(), 3);
    }
}
