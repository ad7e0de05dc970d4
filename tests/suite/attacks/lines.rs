//! The log: clients write into their own values, and nowhere else.

use crate::bound::until;
use crate::proxy::{HUB, Setup, manifest};
use crate::upstream::{Behaviour, FakeUpstream};

/// Keys of a line that stand outside of quotes.
fn keys(line: &str) -> Vec<String> {
    let (mut found, mut word, mut is_quoted, mut is_escaped) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' if !is_escaped => is_quoted = !is_quoted,
            '=' if !is_quoted => found.push(std::mem::take(&mut word)),
            ' ' if !is_quoted => word.clear(),
            c if !is_quoted => word.push(c),
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    assert!(!is_quoted, "{line}");
    found
}

#[tokio::test]
async fn p06_clients_and_upstreams_write_no_fields_of_the_log() {
    let upstream = FakeUpstream::start().await;
    upstream.image("app", "1", 1, &[1000]);
    let proxy = Setup::of(&upstream).start().await;
    let agents = [
        "x status=500 error=\"disk\"",
        "a\\\" status=500",
        "\"quoted\" status=500",
        "\ttab status=500",
        "=",
        "plain/1.0",
    ];
    for agent in agents {
        let path = format!("{}?x=1&status=500%20error%3D%22disk%22&y=a=b", manifest("app", "1"));
        proxy.client().request("GET", &path, &[("User-Agent", agent)]).await.assert_status(200);
        let odd = format!("/v2/{HUB}/app/manifests/1%22=%0astatus=500");
        proxy.client().request("GET", &odd, &[("User-Agent", agent)]).await;
    }
    // What an upstream says comes into messages and errors.
    upstream.on("GET", "/manifests/evil", Behaviour::status(500));
    upstream.on("HEAD", "/manifests/evil", Behaviour::status(500));
    proxy.get(&manifest("app", "evil")).await.assert_status(502);
    // Of what is no request there is no line. Other lines, of the audit log, have a request's id as well.
    let expected = agents.len() + 1;
    let lines = || {
        proxy
            .log()
            .lines()
            .filter(|line| line.contains("request_id=") && line.contains(" method="))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    until("the lines are written", || {
        lines().len() >= expected && lines().iter().any(|line| line.contains("status=502"))
    })
    .await;
    for line in lines() {
        let keys = keys(&line);
        assert_eq!(keys.iter().filter(|key| *key == "status").count(), 1, "{line}");
        let known = [
            "request_id",
            "client",
            "method",
            "path",
            "query",
            "status",
            "cache",
            "upstream",
            "bytes",
            "complete",
            "first_byte_ms",
            "total_ms",
            "user_agent",
            "error",
            "trace_id",
        ];
        assert!(keys.iter().all(|key| known.contains(&key.as_str())), "{keys:?}\n{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
