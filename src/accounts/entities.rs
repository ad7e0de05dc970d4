//! Making and changing users and roles.

use std::collections::BTreeMap;

use super::error::Error;
use crate::auth::{AccessKey, Enrolment};
use crate::iam::{Entity, EntityKind, MAX_TAGS, ManagedPolicy, Page, PolicyName};
use crate::meta::{
    AccessKeyInfo, Made, Meta, PasswordNow, PrincipalId, PrincipalKind, PrincipalRow, RoleColumns, TagsChange,
};
use crate::oci::AccountId;
use crate::policy::{Document, Kind};

/// Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    meta: Meta,
    enrolment: Enrolment,
    /// Characters.
    password_min_length: u32,
}

/// Bytes of a policy, wherever it comes from.
const MAX_POLICY_BYTES: usize = 64 << 10;

/// Of an account.
const MAX_USERS: u64 = 5000;
const MAX_ROLES: u64 = 1000;
/// Of a user.
const MAX_ACCESS_KEYS: usize = 2;
/// Of a user or role, its own and those that come with the program.
const MAX_POLICIES: usize = 20;

/// What the user names of `docker login` mean besides.
const RESERVED: [&str; 2] = ["AWS", "oidc"];

impl Accounts {
    pub const fn new(meta: Meta, enrolment: Enrolment, password_min_length: u32) -> Self {
        Self { meta, enrolment, password_min_length }
    }

    /// Every user and role of every account.
    pub async fn all(&self) -> Result<Vec<PrincipalRow>, Error> {
        Ok(self.enrolment.all().await?)
    }

    /// Those of an account, with one more than wanted if there is one.
    pub async fn list(&self, account: AccountId, kind: EntityKind, page: &Page) -> Result<Vec<PrincipalRow>, Error> {
        let limit = page.most.saturating_add(1);
        Ok(self.meta.principals_of(&account, kind_of(kind), page.after.as_deref(), limit).await?)
    }

    pub async fn find(&self, account: AccountId, entity: &Entity) -> Result<PrincipalRow, Error> {
        let row = self.meta.principal(&account, kind_of(entity.kind), entity.name.as_str()).await?;
        row.ok_or_else(|| Error::NoEntity(entity.clone()))
    }

    /// One that does not stand in the configuration.
    pub async fn find_changeable(&self, account: AccountId, entity: &Entity) -> Result<PrincipalRow, Error> {
        let row = self.find(account, entity).await?;
        if row.declared { Err(Error::Declared(entity.clone())) } else { Ok(row) }
    }

    pub async fn create(
        &self,
        account: AccountId,
        entity: &Entity,
        tags: BTreeMap<String, String>,
        role: &RoleColumns,
    ) -> Result<PrincipalRow, Error> {
        if entity.kind == EntityKind::User && RESERVED.contains(&entity.name.as_str()) {
            return Err(Error::Reserved(entity.name.to_string()));
        }
        if let Some(trust) = &role.trust {
            check(Kind::Trust, entity, "AssumeRolePolicyDocument", trust)?;
        }
        let kind = kind_of(entity.kind);
        let (what, most) = match entity.kind {
            EntityKind::User => ("UsersPerAccount", MAX_USERS),
            EntityKind::Role => ("RolesPerAccount", MAX_ROLES),
        };
        match self.enrolment.make(account, kind, entity.name.as_str(), tags, role, most).await? {
            Made::New(_) => self.find(account, entity).await,
            Made::TooMany => Err(Error::TooMany { what, most }),
            Made::IsThere | Made::NoOwner => Err(Error::IsThere(entity.clone())),
        }
    }

    /// One that has nothing of its own any more.
    pub async fn remove_bare(&self, row: &PrincipalRow) -> Result<(), Error> {
        self.meta.remove_bare_principal(row.id).await?.map_err(Error::StillHas)
    }

    /// With its keys and policies.
    pub async fn remove(&self, row: &PrincipalRow) -> Result<(), Error> {
        self.meta.remove_principal(row.id).await?;
        Ok(())
    }

    pub async fn put_trust(&self, row: &PrincipalRow, role: &Entity, document: &str) -> Result<(), Error> {
        check(Kind::Trust, role, "AssumeRolePolicyDocument", document)?;
        Ok(self.meta.put_trust(row.id, Some(document)).await?)
    }

    pub async fn access_keys(&self, row: &PrincipalRow) -> Result<Vec<AccessKeyInfo>, Error> {
        Ok(self.meta.access_keys(row.id).await?)
    }

    pub async fn make_access_key(&self, row: &PrincipalRow) -> Result<AccessKey, Error> {
        match self.enrolment.make_access_key(row.id, MAX_ACCESS_KEYS).await? {
            Made::New(key) => Ok(key),
            Made::TooMany | Made::IsThere => {
                Err(Error::TooMany { what: "AccessKeysPerUser", most: MAX_ACCESS_KEYS as u64 })
            }
            Made::NoOwner => Err(gone(row)),
        }
    }

    /// Of this user. What was given for the key stays good, as when it is deleted.
    pub async fn set_access_key_active(&self, row: &PrincipalRow, id: &str, is_active: bool) -> Result<(), Error> {
        let is_there = self.meta.set_access_key_active(row.id, id, is_active).await?;
        if is_there { Ok(()) } else { Err(Error::NoAccessKey(id.to_owned())) }
    }

    /// Of this user.
    pub async fn remove_access_key_of(&self, row: &PrincipalRow, id: &str) -> Result<(), Error> {
        let is_gone = self.meta.remove_access_key_of(row.id, id).await?;
        if is_gone { Ok(()) } else { Err(Error::NoAccessKey(id.to_owned())) }
    }

    /// Whoever has it.
    pub async fn remove_access_key(&self, id: &str) -> Result<(), Error> {
        let missing = || Error::NoAccessKey(id.to_owned());
        let key = self.meta.access_key(id).await?.ok_or_else(missing)?;
        let row = self.meta.principal_by_id(key.principal).await?.ok_or_else(missing)?;
        if let Some(entity) = super::describe::entity(&row)
            && row.declared
        {
            return Err(Error::Declared(entity));
        }
        self.remove_access_key_of(&row, id).await
    }

    /// One that is there, or none, is replaced.
    pub async fn put_password(&self, row: &PrincipalRow, password: &str) -> Result<(), Error> {
        self.check_length(password)?;
        self.enrolment.put_password(row.id, row.id, password, PasswordNow::IsOrIsNot).await?;
        Ok(())
    }

    /// In a turn of `by`, who sets it.
    pub async fn make_password(&self, by: PrincipalId, row: &PrincipalRow, password: &str) -> Result<(), Error> {
        self.check_length(password)?;
        let is_made = self.enrolment.put_password(by, row.id, password, PasswordNow::IsNot).await?;
        if is_made { Ok(()) } else { Err(Error::HasPassword(row.name.clone())) }
    }

    /// In a turn of `by`, who sets it.
    pub async fn change_password(&self, by: PrincipalId, row: &PrincipalRow, password: &str) -> Result<(), Error> {
        self.check_length(password)?;
        let is_changed = self.enrolment.put_password(by, row.id, password, PasswordNow::Is).await?;
        if is_changed { Ok(()) } else { Err(Error::NoPassword(row.name.clone())) }
    }

    fn check_length(&self, password: &str) -> Result<(), Error> {
        if password.chars().count() < self.password_min_length as usize {
            return Err(Error::ShortPassword(self.password_min_length));
        }
        Ok(())
    }

    pub async fn remove_password(&self, row: &PrincipalRow) -> Result<(), Error> {
        let is_gone = self.meta.put_password(row.id, None, PasswordNow::Is).await?;
        if is_gone { Ok(()) } else { Err(Error::NoPassword(row.name.clone())) }
    }

    /// Names and documents, in order of names. Those that come with the program have no document here.
    pub async fn policies(&self, row: &PrincipalRow) -> Result<Vec<(String, String)>, Error> {
        Ok(self.meta.principal_policies(row.id).await?)
    }

    pub async fn put_policy(
        &self,
        row: &PrincipalRow,
        of: &Entity,
        name: &PolicyName,
        document: &str,
    ) -> Result<(), Error> {
        if ManagedPolicy::named(name.as_str()).is_some() {
            return Err(Error::PresetName(name.to_string()));
        }
        check(Kind::Identity, of, name.as_str(), document)?;
        self.put(row, name.as_str(), document).await
    }

    pub async fn attach(&self, row: &PrincipalRow, policy: ManagedPolicy) -> Result<(), Error> {
        self.put(row, policy.name(), "").await
    }

    pub async fn remove_policy(&self, row: &PrincipalRow, of: &Entity, name: &str) -> Result<(), Error> {
        let is_gone = self.meta.remove_principal_policy(row.id, name).await?;
        if is_gone { Ok(()) } else { Err(Error::NoPolicy { of: of.clone(), policy: name.to_owned() }) }
    }

    pub async fn change_tags(
        &self,
        row: &PrincipalRow,
        put: &BTreeMap<String, String>,
        remove: &[String],
    ) -> Result<(), Error> {
        match self.meta.change_principal_tags(row.id, put, remove, MAX_TAGS).await? {
            TagsChange::Done => Ok(()),
            TagsChange::TooMany => Err(Error::TooMany { what: "TagsPerEntity", most: MAX_TAGS as u64 }),
            TagsChange::OtherCapitals(there) => Err(Error::OtherCapitals(there)),
        }
    }

    /// Every token and session that was given to it is worthless from now on.
    pub async fn revoke(&self, row: &PrincipalRow) -> Result<(), Error> {
        Ok(self.meta.revoke_tokens(row.id).await?)
    }

    async fn put(&self, row: &PrincipalRow, name: &str, document: &str) -> Result<(), Error> {
        let policy = (name.to_owned(), document.to_owned());
        match self.meta.put_principal_policy(row.id, &policy, MAX_POLICIES).await? {
            Made::New(()) | Made::IsThere => Ok(()),
            Made::TooMany => Err(Error::TooMany { what: "PoliciesPerEntity", most: MAX_POLICIES as u64 }),
            Made::NoOwner => Err(gone(row)),
        }
    }
}

/// It was there when it was looked up.
fn gone(row: &PrincipalRow) -> Error {
    match super::describe::entity(row) {
        Some(entity) => Error::NoEntity(entity),
        None => Error::NoAccessKey(row.name.clone()),
    }
}

const fn kind_of(kind: EntityKind) -> PrincipalKind {
    match kind {
        EntityKind::User => PrincipalKind::User,
        EntityKind::Role => PrincipalKind::Role,
    }
}

fn check(kind: Kind, of: &Entity, policy: &str, document: &str) -> Result<(), Error> {
    let parsed = Document::written(kind, document, MAX_POLICY_BYTES);
    parsed.map(|_| ()).map_err(|source| Error::Policy { of: of.clone(), policy: policy.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_attached_comes_with_the_program() {
        for policy in ManagedPolicy::ALL {
            assert!(ManagedPolicy::named(policy.name()).is_some_and(|preset| preset.document().is_ok()), "{policy:?}");
        }
        assert_eq!(ManagedPolicy::ALL.len(), ManagedPolicy::ALL.len());
        assert_eq!(ManagedPolicy::ALL.map(ManagedPolicy::name), crate::config::PRESETS);
    }
}
