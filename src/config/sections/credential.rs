//! How an upstream is told who we are: at most one of four ways.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::config::reading::key::{Fallback, Key, Kind, Section};
use crate::config::reading::problem::Place;
use crate::config::reading::reader::Reader;
use crate::config::reading::tree::Value;
use crate::config::reading::value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Anonymous,
    Basic {
        username: String,
        password: Secret,
    },
    /// A Docker `config.json`, with `auths`, `credHelpers` and `credsStore`; read anew when it changes.
    DockerConfig {
        path: PathBuf,
    },
    /// A Docker credential helper (`get` on standard input); its answer is used for `lifetime`.
    Helper {
        command: Vec<String>,
        lifetime: Duration,
    },
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(value::REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value::REDACTED)
    }
}

pub static HELPER: Section = Section {
    name: "credential_helper",
    meaning: "A program that speaks the protocol of Docker's credential helpers.",
    keys: &[
        Key {
            name: "command",
            kind: Kind::Texts,
            fallback: Fallback::Required,
            meaning: "The program and its arguments; it is run with `get`, reads the host and writes `Username` and `Secret`.",
        },
        Key {
            name: "lifetime",
            kind: Kind::Timeout,
            fallback: Fallback::Value(r#""1h""#),
            meaning: "How long its answer is used.",
        },
    ],
};

const PASSWORDS: [&str; 3] = ["password", "password_env", "password_file"];

/// A variable for one of these keys takes the place of all of them in the file, or else a file with `password` could
/// not be overridden by a `password_file`.
pub fn displaced_by(key: &str) -> &'static [&'static str] {
    match key {
        "password" | "password_env" | "password_file" => {
            &["password", "password_env", "password_file", "docker_config", "credential_helper"]
        }
        "url" | "url_file" => &["url", "url_file"],
        "username" => &["docker_config", "credential_helper"],
        "docker_config" | "credential_helper" => {
            &["username", "password", "password_env", "password_file", "docker_config", "credential_helper"]
        }
        _ => &[],
    }
}

pub fn read(reader: &mut Reader<'_>) -> Option<Credential> {
    let ways = [
        reader.has("username") || PASSWORDS.iter().any(|name| reader.has(name)),
        reader.has("docker_config"),
        reader.has("credential_helper"),
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        let second = if reader.has("credential_helper") { "credential_helper" } else { "docker_config" };
        reader.report(
            second,
            "is a second credential: keep one of `username` with a password, `docker_config` and `credential_helper`",
        );
        return None;
    }
    match ways {
        [true, ..] => read_basic(reader),
        [_, true, _] => read_docker_config(reader),
        [.., true] => read_helper(reader),
        _ => Some(Credential::Anonymous),
    }
}

fn read_basic(reader: &Reader<'_>) -> Option<Credential> {
    let given: Vec<_> = PASSWORDS.into_iter().filter(|name| reader.has(name)).collect();
    let password = match given.as_slice() {
        [] => {
            reader.report("username", "has no password: add `password_file`, `password_env` or `password`");
            None
        }
        ["password"] => reader.get("password", value::text),
        ["password_env"] => password_from_variable(reader),
        ["password_file"] => secret_from_file(reader, "password_file", "password"),
        [.., last] => {
            reader.report(last, format!("is a second password: keep one of {}", given.join(", ")));
            None
        }
    };
    let Some(username) = reader.optional("username", value::text)? else {
        reader.report(given.first().copied().unwrap_or("password"), "has no `username` beside it");
        return None;
    };
    if username.contains(':') {
        reader.report("username", "has a colon, which HTTP's Basic scheme cannot carry");
        return None;
    }
    Some(Credential::Basic { username, password: Secret::new(&password?) })
}

fn password_from_variable(reader: &Reader<'_>) -> Option<String> {
    let name = reader.get("password_env", value::text)?;
    match reader.context().environment.get(&name) {
        Some(password) if !password.is_empty() => Some(password.clone()),
        Some(_) => {
            reader.report("password_env", format!("names the environment variable {name}, which is empty"));
            None
        }
        None => {
            reader.report("password_env", format!("names the environment variable {name}, which is not set"));
            None
        }
    }
}

/// One line end after the secret is not part of it, because editors and `echo` write one.
pub fn secret_from_file(reader: &Reader<'_>, key: &str, what: &str) -> Option<String> {
    let path = reader.path(key)??;
    let bytes = reader.contents(key, &path)?;
    let Ok(text) = String::from_utf8(bytes) else {
        reader.report(key, format!("{} is not UTF-8 text", path.display()));
        return None;
    };
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() || secret.contains(['\n', '\0']) {
        reader.report(key, format!("{} must hold the {what} in one line", path.display()));
        return None;
    }
    Some(secret.to_owned())
}

fn read_docker_config(reader: &Reader<'_>) -> Option<Credential> {
    let path = reader.path("docker_config")??;
    let problem = match reader.context().files.read_unwatched(&path) {
        Err(why) => format!("{} cannot be read: {why}", path.display()),
        Ok(bytes) => match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes) {
            Ok(_) => return Some(Credential::DockerConfig { path }),
            // The error of the parser could repeat a secret.
            Err(error) => format!("{} is not a JSON object (line {})", path.display(), error.line()),
        },
    };
    reader.report("docker_config", problem);
    None
}

fn read_helper(reader: &mut Reader<'_>) -> Option<Credential> {
    let place = reader.place("credential_helper").clone();
    let helper = reader.table("credential_helper", &HELPER)?;
    let command = helper.list("command", value::element);
    let lifetime = helper.get("lifetime", value::duration);
    let command: Vec<String> = command?.unwrap_or_default().into_iter().map(|(_, text)| text).collect();
    let Some(program) = command.first() else {
        helper.context().report(&place, helper.key_path("command"), "is missing: name the program to run");
        return None;
    };
    let command = resolve_program(&helper, program, &command);
    Some(Credential::Helper { command: command?, lifetime: lifetime? })
}

/// A program named with a path must be there; one named without is looked for in `PATH` when it is run.
fn resolve_program(helper: &Reader<'_>, program: &str, command: &[String]) -> Option<Vec<String>> {
    if !program.contains('/') {
        return Some(command.to_vec());
    }
    let path = match helper.place("command") {
        Place::Line { .. } => helper.context().folder.join(program),
        _ => PathBuf::from(program),
    };
    if !path.is_file() {
        helper.report("command", format!("{} is not a program: there is no such file", path.display()));
        return None;
    }
    let program = path.to_string_lossy().into_owned();
    Some(std::iter::once(program).chain(command.iter().skip(1).cloned()).collect())
}

/// An access key's id and secret. The inner `None` is none.
#[expect(clippy::option_option, reason = "a problem is not the same as nothing given")]
pub fn access_key(
    reader: &Reader<'_>,
    read_id: impl Fn(&Key, &Value) -> Result<String, String>,
) -> Option<Option<(String, Secret)>> {
    let id = reader.optional("access_key_id", read_id)?;
    let secret = either(reader, "secret_access_key", "secret_access_key_file", "secret")?;
    match (id, secret) {
        (Some(id), Some(secret)) => Some(Some((id, secret))),
        (None, None) => Some(None),
        (Some(_), None) => {
            reader.report("access_key_id", "has no `secret_access_key` or `secret_access_key_file` beside it");
            None
        }
        (None, Some(_)) => {
            reader.report("secret_access_key", "has no `access_key_id` beside it");
            None
        }
    }
}

/// A secret in the file, or in a file of its own. The inner `None` is none.
#[expect(clippy::option_option, reason = "a problem is not the same as nothing given")]
pub fn either(reader: &Reader<'_>, key: &str, file_key: &'static str, word: &'static str) -> Option<Option<Secret>> {
    match (reader.has(key), reader.has(file_key)) {
        (true, true) => {
            reader.report(file_key, format!("is a second {word}: keep one of them"));
            None
        }
        (true, false) => Some(Some(Secret::new(&reader.get(key, value::text)?))),
        (false, true) => Some(Some(Secret::new(&secret_from_file(reader, file_key, word)?))),
        (false, false) => Some(None),
    }
}
