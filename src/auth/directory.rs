//! Principals by their names, remembered for moments: other processes change them, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::proof::{Principal, PrincipalError};
use crate::memory::{self, Map};
use crate::meta::{self, Meta, PrincipalId, PrincipalKind, PrincipalRow};
use crate::oci::AccountId;

/// A change elsewhere that was not announced is seen after this.
const REMEMBERED: Duration = Duration::from_secs(3);

/// Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    meta: Meta,
    /// Counts changes.
    changes: Arc<AtomicU64>,
    /// Each with the count that it was asked for at; under another it is not believed.
    by_arn: Map<String, (u64, Option<Arc<Known>>)>,
}

/// A principal that the database knows: a user, or somebody in a role.
#[derive(Debug)]
pub struct Known {
    row: PrincipalRow,
    arn: String,
    /// Who acts in the role.
    session: Option<String>,
}

impl Known {
    pub fn new(row: PrincipalRow) -> Self {
        let arn = format!("arn:aws:iam::{}:{}/{}", row.account, row.kind.name(), row.name);
        Self { row, arn, session: None }
    }

    /// Somebody in the role.
    pub fn in_role(row: PrincipalRow, session: &str) -> Self {
        let arn = format!("arn:aws:sts::{}:assumed-role/{}/{session}", row.account, row.name);
        Self { row, arn, session: Some(session.to_owned()) }
    }

    /// The ARN of the role, and who acts in it.
    pub fn role(&self) -> Option<(String, &str)> {
        let session = self.session.as_deref()?;
        Some((format!("arn:aws:iam::{}:role/{}", self.row.account, self.row.name), session))
    }

    pub fn row(&self) -> &PrincipalRow {
        &self.row
    }

    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        let tags = self.row.tags.iter().map(|(key, value)| 2 * size_of::<String>() + key.len() + value.len());
        let session = self.session.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.arn.len() + session + self.row.name.len() + tags.sum::<usize>()
    }

    /// As tokens carry it.
    pub(super) fn in_tokens(&self) -> Result<Principal, PrincipalError> {
        Principal::new(&self.arn, self.row.account.as_str(), self.row.epoch)
    }
}

impl Directory {
    pub fn new(meta: Meta) -> Self {
        let by_arn = Map::expiring(
            memory::Kind::Principals,
            REMEMBERED,
            |arn: &String, (_, known): &(_, Option<Arc<Known>>)| {
                arn.len() + known.as_ref().map_or(0, |known| known.bytes())
            },
        );
        Self { meta, changes: Arc::default(), by_arn }
    }

    /// Principals are others now.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// What was found out before the count changed may no longer be so.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub async fn by_arn(&self, arn: &str) -> Result<Option<Arc<Known>>, meta::Error> {
        let changes = self.changes();
        if let Some((at, known)) = self.by_arn.get(arn)
            && at == changes
        {
            return Ok(known);
        }
        let found = match parse(arn) {
            Some((account, kind, name, session)) => {
                let row = self.meta.principal(&account, kind, name).await?;
                row.map(|row| match session {
                    Some(session) => Known::in_role(row, session),
                    None => Known::new(row),
                })
            }
            None => None,
        };
        let known = found.map(Arc::new);
        self.by_arn.insert(arn.to_owned(), (changes, known.clone()));
        Ok(known)
    }

    pub async fn user(&self, account: &AccountId, name: &str) -> Result<Option<Arc<Known>>, meta::Error> {
        self.by_arn(&format!("arn:aws:iam::{account}:user/{name}")).await
    }

    /// Somebody in the role of this ARN.
    pub async fn in_role(&self, role: &str, session: &str) -> Result<Option<Arc<Known>>, meta::Error> {
        let Some((account, PrincipalKind::Role, name, None)) = parse(role) else { return Ok(None) };
        self.by_arn(&format!("arn:aws:sts::{account}:assumed-role/{name}/{session}")).await
    }

    pub async fn by_id(&self, id: PrincipalId) -> Result<Option<Arc<Known>>, meta::Error> {
        Ok(self.meta.principal_by_id(id).await?.map(|row| Arc::new(Known::new(row))))
    }
}

/// Account, kind, name, and the session in a role.
fn parse(arn: &str) -> Option<(AccountId, PrincipalKind, &str, Option<&str>)> {
    if let Some(rest) = arn.strip_prefix("arn:aws:sts::") {
        let (account, entity) = rest.split_once(':')?;
        let (role, session) = entity.strip_prefix("assumed-role/")?.split_once('/')?;
        return Some((account.parse().ok()?, PrincipalKind::Role, role, Some(session)));
    }
    let (account, entity) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let (kind, name) = entity.split_once('/')?;
    let kind = match kind {
        "user" => PrincipalKind::User,
        "role" => PrincipalKind::Role,
        _ => return None,
    };
    Some((account.parse().ok()?, kind, name, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::NewPrincipal;

    /// What is remembered is not believed once principals are said to be others, that somebody is not there included.
    #[tokio::test]
    async fn forgets_when_principals_changed() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        let directory = Directory::new(meta.clone());
        let account: AccountId = "000000000000".parse().unwrap();
        let epoch = async || {
            let known = directory.user(&account, "ann").await.unwrap();
            known.map(|known| known.row().epoch)
        };
        assert_eq!(epoch().await, None);
        let (kind, name) = (PrincipalKind::User, "ann".to_owned());
        let new = NewPrincipal { account, kind, name, declared: false, tags: Default::default() };
        let id = meta.put_principal(&new, 1).await.unwrap();
        directory.changed();
        let first = epoch().await.expect("she is there");
        meta.revoke_tokens(id).await.unwrap();
        directory.clone().changed();
        assert!(epoch().await.is_some_and(|second| second > first));
    }
}
