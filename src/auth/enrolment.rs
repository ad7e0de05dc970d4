//! Making users and roles, and giving them keys and passwords.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::proof::{
    AccessKey, AccessKeyKind, Keyring, NoRandomness, PasswordCost, PasswordError, Purpose, SealedError, hash_password,
    seal,
};
use super::turns::{Pair, Turns};
use crate::config::{RoleSettings, UserSettings};
use crate::meta::{
    self, AccessKeyRow, Made, Meta, NamedPolicy, NewPrincipal, PasswordNow, PrincipalId, PrincipalKind, PrincipalRow,
    RoleColumns, now_ms,
};
use crate::oci::AccountId;
use crate::storage::joined;

const HASHED_AT_ONCE: usize = 2;

/// How long one waits for a turn.
const WAIT: Duration = Duration::from_secs(10);

/// Principals of one step.
const STEP: u32 = 200;

#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    #[error(transparent)]
    Meta(#[from] meta::Error),
    #[error("the secret cannot be sealed: {0}")]
    Sealed(#[from] SealedError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error("the password cannot be kept: {0}")]
    Password(#[from] PasswordError),
    #[error("too many passwords are being set: try again")]
    Busy,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Enrolment {
    meta: Meta,
    keyring: Arc<Keyring>,
    /// The registry's.
    account: AccountId,
    /// As at checking passwords: each takes 19 MiB and a core for a moment.
    turns: Turns,
}

impl Enrolment {
    pub fn new(meta: Meta, keyring: Arc<Keyring>, account: AccountId) -> Self {
        Self { meta, keyring, account, turns: Turns::new(HASHED_AT_ONCE) }
    }

    /// Makes the database say of users and roles in the configuration what the configuration says, and forget those that left it.
    /// A role that comes several times has the policies of all of them.
    pub async fn declare<'a>(
        &self,
        users: &[UserSettings],
        roles: &[RoleSettings],
        ruled: impl Iterator<Item = (&'a str, &'a [NamedPolicy])>,
    ) -> Result<(), EnrolmentError> {
        let mut declared = BTreeSet::new();
        for user in users {
            let account = user.account.unwrap_or(self.account);
            let id = self.put(account, PrincipalKind::User, &user.name, true).await?;
            declared.insert(id);
            self.meta.replace_principal_policies(id, &user.policies).await?;
            let wanted = user.access_key.as_ref().map(|(key, _)| key.as_str());
            for key in self.meta.access_keys(id).await? {
                if wanted != Some(key.id.as_str()) {
                    self.meta.remove_access_key(&key.id).await?;
                }
            }
            if let Some((key, secret)) = &user.access_key {
                self.put_access_key(id, key, secret.expose()).await?;
            }
            let password = match &user.password {
                Some(password) => Some(self.hash(id, password.expose()).await?),
                None => None,
            };
            self.meta.put_password(id, password.as_deref(), PasswordNow::IsOrIsNot).await?;
        }
        // Rules may share a role, with each other and with the file's own: it has the policies of all of them.
        let mut wanted: BTreeMap<(AccountId, &str), Vec<NamedPolicy>> = BTreeMap::new();
        let named = roles
            .iter()
            .map(|role| (role.account.unwrap_or(self.account), role.name.as_str(), role.policies.as_slice()));
        let ruled = ruled.map(|(name, policies)| (self.account, name, policies));
        for (account, name, policies) in named.chain(ruled) {
            wanted.entry((account, name)).or_default().extend_from_slice(policies);
        }
        for ((account, name), policies) in wanted {
            let id = self.put(account, PrincipalKind::Role, name, true).await?;
            declared.insert(id);
            self.meta.replace_principal_policies(id, &policies).await?;
            let is_it = |role: &&RoleSettings| role.account.unwrap_or(self.account) == account && role.name == name;
            let trust = roles.iter().find(is_it).map(|role| role.trust.as_str());
            self.meta.put_trust(id, trust).await?;
        }
        for row in self.all().await? {
            if row.declared && !declared.contains(&row.id) {
                self.meta.remove_principal(row.id).await?;
            }
        }
        Ok(())
    }

    /// The first user, who may do everything. `None` when an operator has made one already, or one of the configuration has
    /// something to show.
    pub async fn first_user(&self, name: &str, preset: &str) -> Result<Option<AccessKey>, EnrolmentError> {
        for row in self.all().await?.iter().filter(|row| row.kind == PrincipalKind::User) {
            let can_log_in = row.password.is_some() || !self.meta.access_keys(row.id).await?.is_empty();
            if !row.declared || can_log_in || row.name == name {
                return Ok(None);
            }
        }
        // Of several replicas that start at once, one makes it.
        let (tags, role) = (BTreeMap::new(), RoleColumns::default());
        let Made::New(id) = self.make(self.account, PrincipalKind::User, name, tags, &role, u64::MAX).await? else {
            return Ok(None);
        };
        self.meta.put_principal_policy(id, &(preset.to_owned(), String::new()), usize::MAX).await?;
        match self.make_access_key(id, 1).await? {
            Made::New(key) => Ok(Some(key)),
            Made::IsThere | Made::TooMany | Made::NoOwner => Ok(None),
        }
    }

    async fn put(
        &self,
        account: AccountId,
        kind: PrincipalKind,
        name: &str,
        declared: bool,
    ) -> Result<PrincipalId, EnrolmentError> {
        let new = NewPrincipal { account, kind, name: name.to_owned(), declared, tags: BTreeMap::new() };
        Ok(self.meta.put_principal(&new, now_ms()).await?)
    }

    /// A user or role of an account that then has `most` of the kind, at the most.
    pub async fn make(
        &self,
        account: AccountId,
        kind: PrincipalKind,
        name: &str,
        tags: BTreeMap<String, String>,
        role: &RoleColumns,
        most: u64,
    ) -> Result<Made<PrincipalId>, EnrolmentError> {
        let new = NewPrincipal { account, kind, name: name.to_owned(), declared: false, tags };
        Ok(self.meta.make_principal(&new, role, most, now_ms()).await?)
    }

    /// A new key of a principal who then has `most` of them, at the most. Its secret is told here and never again.
    pub async fn make_access_key(
        &self,
        principal: PrincipalId,
        most: usize,
    ) -> Result<Made<AccessKey>, EnrolmentError> {
        let key = AccessKey::generate(AccessKeyKind::LongTerm)?;
        let row = self.access_key_row(principal, &key.id, &key.secret)?;
        Ok(match self.meta.make_access_key(&row, most).await? {
            Made::New(()) => Made::New(key),
            Made::IsThere => Made::IsThere,
            Made::TooMany => Made::TooMany,
            Made::NoOwner => Made::NoOwner,
        })
    }

    /// False, and nothing changes, when there is a password where there must be none, or the other way round.
    /// It takes a turn of `by`, who sets it.
    pub async fn put_password(
        &self,
        by: PrincipalId,
        principal: PrincipalId,
        password: &str,
        now: PasswordNow,
    ) -> Result<bool, EnrolmentError> {
        let hash = self.hash(by, password).await?;
        Ok(self.meta.put_password(principal, Some(&hash), now).await?)
    }

    pub async fn all(&self) -> Result<Vec<PrincipalRow>, EnrolmentError> {
        let mut all: Vec<PrincipalRow> = Vec::new();
        loop {
            let some = self.meta.principals(all.last(), STEP).await?;
            let is_end = some.len() < STEP as usize;
            all.extend(some);
            if is_end {
                return Ok(all);
            }
        }
    }

    async fn put_access_key(&self, principal: PrincipalId, id: &str, secret: &str) -> Result<(), EnrolmentError> {
        Ok(self.meta.put_access_key(&self.access_key_row(principal, id, secret)?).await?)
    }

    fn access_key_row(&self, principal: PrincipalId, id: &str, secret: &str) -> Result<AccessKeyRow, EnrolmentError> {
        let sealed = seal(&self.keyring, Purpose::AccessKeySecrets, id.as_bytes(), secret.as_bytes())?;
        Ok(AccessKeyRow { id: id.to_owned(), principal, sealed, created_at_ms: now_ms(), is_active: true })
    }

    /// Those who set passwords take turns: a user or role is one, whosever passwords they become.
    async fn hash(&self, by: PrincipalId, password: &str) -> Result<String, EnrolmentError> {
        let of = Pair { source: IpAddr::from(Ipv4Addr::UNSPECIFIED).into(), user: by.number().unsigned_abs() };
        let Ok(Ok(turn)) = tokio::time::timeout(WAIT, self.turns.next(of, true)).await else {
            return Err(EnrolmentError::Busy);
        };
        let password = password.to_owned();
        let hashed = tokio::task::spawn_blocking(move || {
            let hashed = hash_password(&password, PasswordCost::default());
            drop(turn);
            hashed
        });
        Ok(joined(hashed.await).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn g25_new_passwords_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        let keyring = Arc::new(Keyring::generate().unwrap());
        let account: AccountId = "000000000000".parse().unwrap();
        let enrolment = Enrolment::new(meta, keyring, account);
        let id = enrolment.put(account, PrincipalKind::User, "ann", false).await.unwrap();
        assert_eq!(enrolment.turns.free(), HASHED_AT_ONCE);
        let of = Pair { source: IpAddr::from(Ipv4Addr::UNSPECIFIED).into(), user: 0 };
        let (one, two) = (enrolment.turns.next(of, true).await.unwrap(), enrolment.turns.next(of, true).await.unwrap());
        // Nobody hashes while all turns are taken, however long that is: as long as the work takes twice.
        let (ours, password) = (enrolment.clone(), "a password");
        let waits = tokio::spawn(async move { ours.hash(id, password).await });
        for _ in 0..2 {
            let hashed = tokio::task::spawn_blocking(move || hash_password(password, PasswordCost::default()));
            hashed.await.unwrap().unwrap();
        }
        assert!(!waits.is_finished());
        drop(one);
        assert!(waits.await.unwrap().is_ok());
        drop(two);
        assert_eq!(enrolment.turns.free(), HASHED_AT_ONCE);
    }
}
