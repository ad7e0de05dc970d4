//! Users of the configuration, and the first one where there is none.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use super::policies;
use crate::auth::{AccessKey, Enrolment, Keyring, load_keyring};
use crate::config::{Access, CertificateGives, Settings};
use crate::iam::ManagedPolicy;
use crate::meta::Meta;
use crate::telemetry::{Audit, Caller};

const FIRST_USER: &str = "admin";

/// Where the keys are that everything is sealed with.
pub(super) fn key_file(settings: &Settings) -> PathBuf {
    settings.auth.key_file.clone().unwrap_or_else(|| settings.data.join("keys"))
}

pub(super) async fn keyring(settings: &Settings) -> Result<Arc<Keyring>, Error> {
    let path = key_file(settings);
    match tokio::task::spawn_blocking(move || load_keyring(&path)).await {
        Ok(keyring) => Ok(Arc::new(keyring?)),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Writes the configuration's users into the database. Where listeners want to know who asks and there is nobody, a first user is
/// made, whose key is written to a file: a log would keep it for everyone who can read logs.
pub(super) async fn declare(
    settings: &Settings,
    meta: &Meta,
    keyring: &Arc<Keyring>,
    audit: &Audit,
) -> Result<(), Error> {
    policies::check_declared(settings, meta).await?;
    let enrolment = Enrolment::new(meta.clone(), keyring.clone(), settings.auth.account);
    enrolment.declare(&settings.users, &settings.roles, settings.ruled_roles()).await?;
    let is_required =
        settings.auth.required || settings.listen.iter().any(|listener| listener.auth == Some(Access::Required));
    if !is_required || has_administrator_without_key(settings) {
        return Ok(());
    }
    if let Some(key) = enrolment.first_user(FIRST_USER, ManagedPolicy::Administrator.name()).await? {
        let path = settings.data.join("admin-credentials");
        write_credentials(&path, &key, &settings.auth.region)
            .map_err(|source| Error::FirstUser { path: path.clone(), source })?;
        tell(&path);
        let (request_id, source, principal) = ("start".to_owned(), "local".to_owned(), "entrepot".to_owned());
        let caller = Caller { request_id, source, principal, means: "start" };
        let arn = format!("arn:aws:iam::{}:user/{FIRST_USER}", settings.auth.account);
        let because = Arc::from("nobody was there who may log in");
        let mut entry = audit.allowed(caller, "iam:CreateUser", arn, &because);
        entry.says(&format!("policy {}, access key {}", ManagedPolicy::Administrator.name(), key.id));
        entry.done();
    }
    Ok(())
}

/// Whether ID tokens or certificates make somebody an administrator, who can then make the others.
fn has_administrator_without_key(settings: &Settings) -> bool {
    let administers = |policies: &[(String, String)]| {
        policies.iter().any(|(name, _)| ManagedPolicy::named(name) == Some(ManagedPolicy::Administrator))
    };
    let is_named_by_certificate = |user: &str| {
        settings
            .certificates
            .iter()
            .any(|rule| matches!(&rule.gives, CertificateGives::User { user: named } if named == user))
    };
    settings.ruled_roles().any(|(_, policies)| administers(policies))
        || settings.users.iter().any(|user| administers(&user.policies) && is_named_by_certificate(&user.name))
}

fn write_credentials(path: &Path, key: &AccessKey, region: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let (id, secret) = (&key.id, &key.secret);
    write!(file, "[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\nregion = {region}\n")?;
    file.sync_all()
}

fn tell(path: &Path) {
    tracing::warn!(
        credentials = %path.display(),
        "nobody was there who may log in: user {FIRST_USER} was made; take the key out of the file and remove it"
    );
}
