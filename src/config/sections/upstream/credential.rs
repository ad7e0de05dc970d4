//! How an upstream is told who we are: at most one of four ways.

use std::path::PathBuf;
use std::time::Duration;

use serde::ser::SerializeMap;

use crate::config::reading::{
    Declaration, Key, List, Optional, Part, Reader, Secret, Section, TEXTS, TIMEOUT, TableKey, section, settings,
};
use crate::config::sections::secrets::secret_from_file;

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

settings! {
    /// A program that gives credentials.
    pub struct Helper {
        pub command: Vec<String> = COMMAND,
        pub lifetime: Duration = LIFETIME,
    }
}

/// The keys of a section that make up a credential.
pub struct CredentialKeys {
    pub username: &'static Optional<String>,
    pub password: &'static Optional<Secret>,
    pub password_env: &'static Optional<String>,
    pub password_file: &'static Optional<PathBuf>,
    pub docker_config: &'static Optional<PathBuf>,
    pub credential_helper: &'static TableKey<Helper>,
}

// A variable for a password takes the place of all of them in the file, or else a file with `password` could not be
// overridden by a `password_file`.
pub const DISPLACED_BY_PASSWORD: &[&str] =
    &["password", "password_env", "password_file", "docker_config", "credential_helper"];
pub const DISPLACED_BY_USERNAME: &[&str] = &["docker_config", "credential_helper"];
pub const DISPLACED_BY_DOCKER_CONFIG: &[&str] =
    &["username", "password", "password_env", "password_file", "docker_config", "credential_helper"];

section! {
    pub static HELPER =
        Section::one("credential_helper", "A program that speaks the protocol of Docker's credential helpers.");

    static COMMAND: List<String> = List::required(
        "command",
        TEXTS,
        "The program and its arguments; it is run with `get`, reads the host and writes `Username` and `Secret`.",
    );
    static LIFETIME: Key<Duration> = Key::usual("lifetime", TIMEOUT, "1h", "How long its answer is used.");
}

impl Part<Credential> for CredentialKeys {
    fn read(&self, reader: &Reader<'_>) -> Option<Credential> {
        let ways = [
            reader.has(self.username) || self.passwords().iter().any(|key| reader.has(key)),
            reader.has(self.docker_config),
            reader.has(self.credential_helper),
        ];
        if ways.iter().filter(|way| **way).count() > 1 {
            let second: &Declaration =
                if reader.has(self.credential_helper) { self.credential_helper } else { self.docker_config };
            let message = "is a second credential: keep one of `username` with a password, `docker_config` and `credential_helper`";
            reader.report(second, message);
            return None;
        }
        match ways {
            [true, ..] => self.read_basic(reader),
            [_, true, _] => self.read_docker_config(reader),
            [.., true] => self.read_helper(reader),
            _ => Some(Credential::Anonymous),
        }
    }

    fn write<M: SerializeMap>(&self, credential: &Credential, map: &mut M) -> Result<(), M::Error> {
        match credential {
            Credential::Anonymous => Ok(()),
            Credential::Basic { username, password } => {
                self.username.write(&Some(username.clone()), map)?;
                self.password.write(&Some(password.clone()), map)
            }
            Credential::DockerConfig { path } => self.docker_config.write(&Some(path.clone()), map),
            Credential::Helper { command, lifetime } => {
                self.credential_helper.write(&Helper { command: command.clone(), lifetime: *lifetime }, map)
            }
        }
    }
}

impl CredentialKeys {
    fn passwords(&self) -> [&Declaration; 3] {
        [self.password, self.password_env, self.password_file]
    }

    fn read_basic(&self, reader: &Reader<'_>) -> Option<Credential> {
        let given: Vec<_> = self.passwords().into_iter().filter(|key| reader.has(key)).collect();
        let password = match given.as_slice() {
            [] => {
                reader.report(self.username, "has no password: add `password_file`, `password_env` or `password`");
                None
            }
            [_] => self.read_password(reader),
            [.., last] => {
                let names: Vec<_> = given.iter().map(|key| key.name).collect();
                reader.report(last, format!("is a second password: keep one of {}", names.join(", ")));
                None
            }
        };
        let Some(username) = reader.get(self.username)? else {
            reader.report(given.first().copied().unwrap_or(self.password), "has no `username` beside it");
            return None;
        };
        if username.contains(':') {
            reader.report(self.username, "has a colon, which HTTP's Basic scheme cannot carry");
            return None;
        }
        Some(Credential::Basic { username, password: password? })
    }

    /// The password from the one key that is there.
    fn read_password(&self, reader: &Reader<'_>) -> Option<Secret> {
        let (password, variable, file) =
            (reader.get(self.password)?, reader.get(self.password_env)?, reader.get(self.password_file)?);
        match (variable, file) {
            (Some(name), _) => self.password_of_variable(reader, &name),
            (None, Some(path)) => secret_from_file(reader, self.password_file, &path, "password"),
            (None, None) => password,
        }
    }

    fn password_of_variable(&self, reader: &Reader<'_>, name: &str) -> Option<Secret> {
        let problem = match reader.context().environment.get(name) {
            Some(password) if !password.is_empty() => return Some(Secret::new(password)),
            Some(_) => "empty",
            None => "not set",
        };
        reader.report(self.password_env, format!("names the environment variable {name}, which is {problem}"));
        None
    }

    fn read_docker_config(&self, reader: &Reader<'_>) -> Option<Credential> {
        let path = reader.get(self.docker_config)??;
        let problem = match reader.context().files.read_unwatched(&path) {
            Err(why) => format!("{} cannot be read: {why}", path.display()),
            Ok(bytes) => match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes) {
                Ok(_) => return Some(Credential::DockerConfig { path }),
                // The error of the parser could repeat a secret.
                Err(error) => format!("{} is not a JSON object (line {})", path.display(), error.line()),
            },
        };
        reader.report(self.docker_config, problem);
        None
    }

    fn read_helper(&self, reader: &Reader<'_>) -> Option<Credential> {
        let helper = reader.table(self.credential_helper)?;
        let (command, lifetime): (Option<Vec<String>>, _) = (helper.get(&COMMAND), helper.get(&LIFETIME));
        let mut command = command?;
        let Some(program) = command.first_mut() else {
            let place = reader.place(self.credential_helper);
            reader.context().report(place, helper.key_path(&COMMAND), "is missing: name the program to run");
            return None;
        };
        *program = resolve_program(&helper, program)?;
        Some(Credential::Helper { command, lifetime: lifetime? })
    }
}

/// A program named with a path must be there; one named without is looked for in `PATH` when it is run.
fn resolve_program(reader: &Reader<'_>, program: &str) -> Option<String> {
    if !program.contains('/') {
        return Some(program.to_owned());
    }
    let path = reader.context().resolve(reader.place(&COMMAND), program);
    if !path.is_file() {
        reader.report(&COMMAND, format!("{} is not a program: there is no such file", path.display()));
        return None;
    }
    Some(path.to_string_lossy().into_owned())
}
