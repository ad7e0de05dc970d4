//! Docker's credential helpers: a program that is run with `get`, reads a server's name and writes a credential.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::credential::Login;
use super::error::ErrorKind;
use crate::config::Secret;

const MAX_TIME: Duration = Duration::from_secs(10);
const MAX_OUTPUT_BYTES: u64 = 64 << 10;
const MAX_COMPLAINT_CHARS: usize = 300;

/// What every helper writes when it has no credential for the server: then we are nobody there.
const NOT_FOUND: &str = "credentials not found";
/// A user of this name says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Runs `command` for `server`; at most ten seconds.
pub(super) async fn get(command: &[String], server: &str) -> Result<Login, ErrorKind> {
    get_within(MAX_TIME, command, server).await
}

async fn get_within(time: Duration, command: &[String], server: &str) -> Result<Login, ErrorKind> {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let answer = match tokio::time::timeout(time, run(command, server)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("did not answer within {} s", time.as_secs_f64())),
    };
    answer.map_err(|detail| ErrorKind::LoginFailed {
        detail: format!("the credential helper {name:?} {detail}"),
        retry_after: None,
    })
}

async fn run(command: &[String], server: &str) -> Result<Login, String> {
    let Some((program, arguments)) = command.split_first() else { return Err("is not named".to_owned()) };
    let mut child = Command::new(program)
        .args(arguments)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be run: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that reads nothing is no error; its answer tells.
        let _ = stdin.write_all(format!("{server}\n").as_bytes()).await;
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (output, complaint) = tokio::join!(read(stdout), read(stderr));
    let (output, complaint) = (output?, complaint?);
    let status = child.wait().await.map_err(|error| format!("cannot be waited for: {error}"))?;
    if !status.success() {
        if [&output, &complaint].into_iter().any(|text| String::from_utf8_lossy(text).contains(NOT_FOUND)) {
            return Ok(Login::Anonymous);
        }
        return Err(format!("ended with {status}: {}", first_line(&complaint)));
    }
    // The output holds the secret, so no part of it goes into an error.
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| format!("wrote no JSON with Username and Secret: {}", first_line(&complaint)))?;
    let secret = Secret::new(&answer.secret);
    Ok(match answer.username.as_str() {
        TOKEN_USER => Login::IdentityToken(secret),
        _ => Login::Basic { username: answer.username, password: secret },
    })
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let read = from.take(MAX_OUTPUT_BYTES + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| format!("cannot be read: {error}"))?;
    }
    if bytes.len() as u64 > MAX_OUTPUT_BYTES {
        return Err(format!("wrote more than {MAX_OUTPUT_BYTES} bytes"));
    }
    Ok(bytes)
}

fn first_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line =
        text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it wrote nothing to standard error");
    line.chars().filter(|c| !c.is_control()).take(MAX_COMPLAINT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> Result<Login, ErrorKind> {
        get(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], "registry.example").await
    }

    #[tokio::test]
    async fn answers() {
        let login =
            shell(r#"read s; echo "{\"ServerURL\":\"$s\",\"Username\":\"$s\",\"Secret\":\"x\"}""#).await.unwrap();
        assert_eq!(login, Login::Basic { username: "registry.example".to_owned(), password: Secret::new("x") });
        let login = shell(r#"echo '{"Username":"<token>","Secret":"x"}'"#).await.unwrap();
        assert_eq!(login, Login::IdentityToken(Secret::new("x")));
        let login = shell("echo credentials not found in native keychain; exit 1").await.unwrap();
        assert_eq!(login, Login::Anonymous);
    }

    #[tokio::test]
    async fn failures_tell_the_complaint_but_not_the_secret() {
        for (script, expected) in [
            ("echo hunter2; echo no token >&2; exit 3", "no token"),
            ("echo 'hunter2'; echo half a token >&2", "half a token"),
            ("exit 1", "wrote nothing to standard error"),
            ("head -c 100000 /dev/zero", "more than 65536 bytes"),
        ] {
            let error = shell(script).await.unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
        let missing = get(&["/nonexistent/helper".to_owned()], "x").await.unwrap_err().to_string();
        assert!(missing.contains("cannot be run"), "{missing}");
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_killed() {
        let command = ["sh", "-c", "exec sleep 1000"].map(str::to_owned);
        let error = get_within(Duration::from_millis(200), &command, "x").await.unwrap_err().to_string();
        assert!(error.contains("within 0.2 s"), "{error}");
    }
}
