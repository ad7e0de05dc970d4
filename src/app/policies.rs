//! Policies that would not say what they seem to: refused where they are new, and told of where they are there already.

use std::path::Path;

use super::error::Error;
use crate::config::{ConfigErrors, Place, Problem, Settings};
use crate::iam::ManagedPolicy;
use crate::meta::{self, DocumentKind, DocumentRow, Meta, PrincipalKind, PrincipalRow};
use crate::oci::{AccountId, QualifiedName};
use crate::policy::{Document, DocumentError, Kind};

/// Bytes of a policy (IAM allows 6,144 characters without spaces for a managed one).
const MAX_POLICY_BYTES: usize = 64 << 10;

/// Rows that are read at once.
const STEP: u32 = 200;

/// Policies that are told of at a start. All are listed by `entrepot policy check`.
const MOST_TOLD: usize = 20;

/// A policy of a user or role of the configuration.
struct Declared<'a> {
    account: AccountId,
    of: (PrincipalKind, &'a str),
    /// As the configuration has it.
    name: String,
    kind: Kind,
    text: &'a str,
}

/// A stored policy with the reason why it would be refused if it were written now.
pub struct Doubt {
    /// Such as `policy "ci" of user ci of 000000000000`.
    pub policy: String,
    pub reason: DocumentError,
}

fn declared(settings: &Settings) -> Vec<Declared<'_>> {
    let home = settings.auth.account;
    let users = settings.users.iter().map(|user| {
        (user.account.unwrap_or(home), (PrincipalKind::User, user.name.as_str()), user.policies.as_slice())
    });
    let roles = settings.roles.iter().map(|role| {
        (role.account.unwrap_or(home), (PrincipalKind::Role, role.name.as_str()), role.policies.as_slice())
    });
    let ruled = settings.ruled_roles().map(|(name, policies)| (home, (PrincipalKind::Role, name), policies));
    let own = users.chain(roles).chain(ruled).flat_map(|(account, of, policies)| {
        let written = policies.iter().filter(|(name, _)| ManagedPolicy::named(name).is_none());
        written.map(move |(name, text)| Declared { account, of, name: name.clone(), kind: Kind::Identity, text })
    });
    let trusts = settings.roles.iter().map(|role| Declared {
        account: role.account.unwrap_or(home),
        of: (PrincipalKind::Role, &role.name),
        name: role.trust_file.display().to_string(),
        kind: Kind::Trust,
        text: &role.trust,
    });
    own.chain(trusts).collect()
}

/// All that is wrong with the configuration's policies, for `config check`.
pub fn check_policies(settings: &Settings, file: Option<&Path>) -> Result<(), ConfigErrors> {
    let problem = |policy: Declared<'_>| {
        let error = Document::written(policy.kind, policy.text, MAX_POLICY_BYTES).err()?;
        let message = format!("policy {:?} of {:?} is refused: {error}", policy.name, policy.of.1);
        Some(Problem { place: Place::File, key: String::new(), message })
    };
    let problems: Vec<_> = declared(settings).into_iter().filter_map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(ConfigErrors::new(file.map(Into::into), problems)) }
}

/// Refuses policies of the configuration. One that the database has from an earlier start goes on as it is.
pub(super) async fn check_declared(settings: &Settings, meta: &Meta) -> Result<(), Error> {
    for policy in declared(settings) {
        let (user, name) = (policy.of.1.to_owned(), policy.name.clone());
        let refused = |source| Error::Policy { user, name, source };
        match Document::parse(policy.kind, policy.text, MAX_POLICY_BYTES) {
            Err(source) => return Err(refused(source)),
            Ok(document) => match document.doubts().first() {
                Some(doubt) if !was_declared(&policy, meta).await? => return Err(refused(doubt.clone())),
                _ => {}
            },
        }
    }
    Ok(())
}

async fn was_declared(policy: &Declared<'_>, meta: &Meta) -> Result<bool, meta::Error> {
    let (kind, of) = policy.of;
    let Some(row) = meta.principal(&policy.account, kind, of).await? else { return Ok(false) };
    Ok(match policy.kind {
        Kind::Trust => row.trust.as_deref() == Some(policy.text),
        _ => {
            let stored = meta.principal_policies(row.id).await?;
            stored.iter().any(|(name, text)| *name == policy.name && text == policy.text)
        }
    })
}

/// Every stored policy that would be refused if it were written now.
pub(super) async fn doubts(meta: &Meta) -> Result<Vec<Doubt>, meta::Error> {
    let mut found = Found::default();
    let mut last: Option<PrincipalRow> = None;
    loop {
        let rows = meta.principals(last.as_ref(), STEP).await?;
        for row in &rows {
            let of = format!("{} {} of {}", word(row.kind), row.name, row.account);
            for (name, text) in meta.principal_policies(row.id).await? {
                if !text.is_empty() {
                    found.look(Kind::Identity, &text, || format!("policy {name:?} of {of}"));
                }
            }
            if let Some(trust) = &row.trust {
                found.look(Kind::Trust, trust, || format!("the trust policy of {of}"));
            }
        }
        match rows.into_iter().last() {
            Some(row) => last = Some(row),
            None => break,
        }
    }
    let mut last: Option<QualifiedName> = None;
    loop {
        let rows = meta.repository_policies(last.as_ref(), STEP).await?;
        for (name, text) in &rows {
            let QualifiedName { account, name } = name;
            found.look(Kind::Repository, text, || format!("the policy of repository {name} of {account}"));
        }
        match rows.into_iter().last() {
            Some((name, _)) => last = Some(name),
            None => break,
        }
    }
    for (account, row) in meta.documents_of_all(DocumentKind::RegistryPolicy, u32::MAX).await? {
        found.look(Kind::Registry, &row.document, || format!("the policy of registry {account}"));
    }
    for (account, row) in meta.documents_of_all(DocumentKind::Template, u32::MAX).await? {
        if let Some(text) = policy_of_template(&row) {
            let name = &row.name;
            found.look(Kind::Repository, &text, || format!("the repository policy of template {name} of {account}"));
        }
    }
    Ok(found.doubts)
}

/// Says in the log which stored policies do not say what they seem to.
pub(super) async fn tell_doubts(meta: Meta) {
    match doubts(&meta).await {
        Ok(doubts) => {
            for Doubt { policy, reason } in doubts.iter().take(MOST_TOLD) {
                tracing::warn!(policy, %reason, "a policy does not say what it seems to; it goes on as it is");
            }
            if let Some(more) = doubts.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
                tracing::warn!(more, "more policies do not say what they seem to: see `entrepot policy check`");
            }
        }
        Err(error) => tracing::warn!(%error, "it was not looked whether stored policies say what they seem to"),
    }
}

#[derive(Default)]
struct Found {
    doubts: Vec<Doubt>,
}

impl Found {
    fn look(&mut self, kind: Kind, text: &str, policy: impl Fn() -> String) {
        let reasons = match Document::parse(kind, text, MAX_POLICY_BYTES) {
            Ok(document) => document.doubts().to_vec(),
            Err(error) => vec![error],
        };
        self.doubts.extend(reasons.into_iter().map(|reason| Doubt { policy: policy(), reason }));
    }
}

fn policy_of_template(row: &DocumentRow) -> Option<String> {
    serde_json::from_str::<serde_json::Value>(&row.document)
        .ok()?
        .get("repositoryPolicy")?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

const fn word(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::Role => "role",
    }
}
