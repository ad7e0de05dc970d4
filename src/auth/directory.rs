//! Principals by their names, remembered for moments: other processes change them, too.

use std::sync::Arc;
use std::time::Duration;

use super::proof::Principal;
use crate::meta::{self, Meta, PrincipalId, PrincipalKind, PrincipalRow};
use crate::oci::AccountId;

/// A change elsewhere is seen after this.
const REMEMBERED: Duration = Duration::from_secs(3);

const MAX_PRINCIPALS: u64 = 10_000;

/// Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    meta: Meta,
    by_arn: moka::sync::Cache<String, Option<Arc<Known>>>,
}

/// A principal that the database knows.
#[derive(Debug)]
pub struct Known {
    row: PrincipalRow,
    arn: String,
}

impl Known {
    pub fn new(row: PrincipalRow) -> Self {
        let arn = format!("arn:aws:iam::{}:{}/{}", row.account, row.kind.name(), row.name);
        Self { row, arn }
    }

    pub fn row(&self) -> &PrincipalRow {
        &self.row
    }

    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// As tokens carry it.
    pub(super) fn in_tokens(&self) -> Option<Principal> {
        Principal::new(&self.arn, self.row.account.as_str(), self.row.epoch).ok()
    }
}

impl Directory {
    pub fn new(meta: Meta) -> Self {
        let by_arn = moka::sync::Cache::builder().max_capacity(MAX_PRINCIPALS).time_to_live(REMEMBERED).build();
        Self { meta, by_arn }
    }

    pub async fn by_arn(&self, arn: &str) -> Result<Option<Arc<Known>>, meta::Error> {
        if let Some(known) = self.by_arn.get(arn) {
            return Ok(known);
        }
        let found = match parse(arn) {
            Some((account, kind, name)) => self.meta.principal(&account, kind, name).await?,
            None => None,
        };
        let known = found.map(|row| Arc::new(Known::new(row)));
        self.by_arn.insert(arn.to_owned(), known.clone());
        Ok(known)
    }

    pub async fn user(&self, account: &AccountId, name: &str) -> Result<Option<Arc<Known>>, meta::Error> {
        self.by_arn(&format!("arn:aws:iam::{account}:user/{name}")).await
    }

    pub async fn by_id(&self, id: PrincipalId) -> Result<Option<Arc<Known>>, meta::Error> {
        Ok(self.meta.principal_by_id(id).await?.map(|row| Arc::new(Known::new(row))))
    }
}

fn parse(arn: &str) -> Option<(AccountId, PrincipalKind, &str)> {
    let (account, entity) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let (kind, name) = entity.split_once('/')?;
    let kind = match kind {
        "user" => PrincipalKind::User,
        "role" => PrincipalKind::Role,
        _ => return None,
    };
    Some((account.parse().ok()?, kind, name))
}
