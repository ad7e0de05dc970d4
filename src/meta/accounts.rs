//! Users and roles of an account, as its administrators list and change them.

use std::collections::BTreeMap;

use super::changes::Change;
use super::clock::now_ms;
use super::database::Meta;
use super::error::Error;
use super::identities::{COLUMNS, Columns, NewPrincipal, PrincipalId, PrincipalKind, PrincipalRow, principal};
use super::scope::Scope;
use super::tag_keys::in_other_capitals;
use crate::oci::AccountId;

/// What only roles have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleColumns {
    pub trust: Option<String>,
    pub description: Option<String>,
    pub longest_session_s: Option<u32>,
}

/// What came of making something of which there is one of a name, and so many at the most. Unless it is new, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made<T> {
    New(T),
    /// There is one of this name.
    IsThere,
    TooMany,
    /// What it would belong to is gone.
    NoOwner,
}

/// What came of changing tags. Unless it is done, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagsChange {
    Done,
    TooMany,
    /// This key is there, and one of the change differs from it in capitals only.
    OtherCapitals(String),
}

/// Whether there must be a password already for it to be put, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordNow {
    Is,
    IsNot,
    IsOrIsNot,
}

/// What keeps a principal from being removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StillHas {
    AccessKeys,
    Password,
    Policies,
}

impl Meta {
    /// A user or role of an account that then has `most` of the kind, at the most.
    pub async fn make_principal(
        &self,
        new: &NewPrincipal,
        role: &RoleColumns,
        most: u64,
        now_ms: i64,
    ) -> Result<Made<PrincipalId>, Error> {
        let mut writing = self.write(Scope::Principals(new.account)).await?;
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM principal WHERE account = $1 AND kind = $2")
            .bind(new.account.as_str())
            .bind(new.kind.name())
            .fetch_one(writing.connection())
            .await
            .map_err(Error::Query)?;
        if u64::try_from(count).unwrap_or_default() >= most {
            return Ok(Made::TooMany);
        }
        let tags = serde_json::to_string(&new.tags).unwrap_or_else(|_| "{}".to_owned());
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO principal (account, kind, name, declared, epoch, tags, created_at_ms, trust, description, longest_session_s) \
             VALUES ($1, $2, $3, $4, $6, $5, $6, $7, $8, $9) ON CONFLICT (account, kind, name) DO NOTHING RETURNING id",
        )
        .bind(new.account.as_str())
        .bind(new.kind.name())
        .bind(new.name.as_str())
        .bind(i64::from(new.declared))
        .bind(tags)
        .bind(now_ms)
        .bind(role.trust.as_deref())
        .bind(role.description.as_deref())
        .bind(role.longest_session_s.map(i64::from))
        .fetch_optional(writing.connection())
        .await
        .map_err(Error::Query)?;
        let Some(id) = id else { return Ok(Made::IsThere) };
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(Made::New(PrincipalId(id)))
    }

    /// Of one account and kind, in order of names, after `after`.
    pub async fn principals_of(
        &self,
        account: &AccountId,
        kind: PrincipalKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<PrincipalRow>, Error> {
        let statement = format!(
            "SELECT {COLUMNS} FROM principal WHERE account = $1 AND kind = $2 AND name > $3 ORDER BY name LIMIT $4"
        );
        let rows: Vec<Columns> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(account.as_str())
            .bind(kind.name())
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::Query)?;
        rows.into_iter().map(principal).collect()
    }

    /// Removes a principal that has nothing of its own; else says what it has.
    pub async fn remove_bare_principal(&self, id: PrincipalId) -> Result<Result<(), StillHas>, Error> {
        let mut writing = self.write(Scope::Principal(id)).await?;
        for (statement, what) in [
            ("SELECT COUNT(*) FROM access_key WHERE principal_id = $1", StillHas::AccessKeys),
            ("SELECT COUNT(*) FROM principal WHERE id = $1 AND password IS NOT NULL", StillHas::Password),
            ("SELECT COUNT(*) FROM principal_policy WHERE principal_id = $1", StillHas::Policies),
        ] {
            let count: i64 =
                sqlx::query_scalar(statement).bind(id.0).fetch_one(writing.connection()).await.map_err(Error::Query)?;
            if count > 0 {
                return Ok(Err(what));
            }
        }
        let delete = sqlx::query("DELETE FROM principal WHERE id = $1").bind(id.0);
        delete.execute(writing.connection()).await.map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(Ok(()))
    }

    /// `None` takes the password away. False, and nothing changes, when it is not as `now` says.
    pub async fn put_password(&self, id: PrincipalId, hash: Option<&str>, now: PasswordNow) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Principal(id)).await?;
        let statement = format!(
            "UPDATE principal SET password = $2, password_at_ms = $3 WHERE id = $1{}",
            match now {
                PasswordNow::Is => " AND password IS NOT NULL",
                PasswordNow::IsNot => " AND password IS NULL",
                PasswordNow::IsOrIsNot => "",
            }
        );
        let put = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(id.0)
            .bind(hash)
            .bind(hash.map(|_| now_ms()))
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(put.rows_affected() > 0)
    }

    /// Every token that was given to the principal is worthless from now on.
    pub async fn revoke_tokens(&self, id: PrincipalId) -> Result<(), Error> {
        let mut writing = self.write(Scope::Rows).await?;
        sqlx::query("UPDATE principal SET epoch = epoch + 1 WHERE id = $1")
            .bind(id.0)
            .execute(writing.connection())
            .await
            .map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await
    }

    /// `None`: nobody may assume the role.
    pub async fn put_trust(&self, id: PrincipalId, trust: Option<&str>) -> Result<(), Error> {
        let mut writing = self.write(Scope::Principal(id)).await?;
        let update = sqlx::query("UPDATE principal SET trust = $2 WHERE id = $1").bind(id.0).bind(trust);
        update.execute(writing.connection()).await.map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await
    }

    /// Adds tags, or changes them, and takes others away.
    pub async fn change_principal_tags(
        &self,
        id: PrincipalId,
        put: &BTreeMap<String, String>,
        remove: &[String],
        most: usize,
    ) -> Result<TagsChange, Error> {
        let mut writing = self.write(Scope::Principal(id)).await?;
        let kept: Option<String> = sqlx::query_scalar("SELECT tags FROM principal WHERE id = $1")
            .bind(id.0)
            .fetch_optional(writing.connection())
            .await
            .map_err(Error::Query)?;
        let Some(text) = kept else { return Ok(TagsChange::Done) };
        let tags = serde_json::from_str::<BTreeMap<String, String>>(&text);
        let mut tags = tags.map_err(|_| Error::Malformed { what: "a principal's tags", text })?;
        if let Some(there) = in_other_capitals(&tags, put.keys(), remove) {
            return Ok(TagsChange::OtherCapitals(there.to_owned()));
        }
        tags.retain(|key, _| !remove.contains(key));
        tags.extend(put.iter().map(|(key, value)| (key.clone(), value.clone())));
        if tags.len() > most {
            return Ok(TagsChange::TooMany);
        }
        let text = serde_json::to_string(&tags).unwrap_or_else(|_| "{}".to_owned());
        let update = sqlx::query("UPDATE principal SET tags = $2 WHERE id = $1").bind(id.0).bind(text);
        update.execute(writing.connection()).await.map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(TagsChange::Done)
    }

    /// False when the principal has no such key.
    pub async fn set_access_key_active(
        &self,
        principal: PrincipalId,
        id: &str,
        is_active: bool,
    ) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let update = sqlx::query("UPDATE access_key SET is_active = $3 WHERE id = $1 AND principal_id = $2")
            .bind(id)
            .bind(principal.0)
            .bind(i64::from(is_active));
        let done = update.execute(writing.connection()).await.map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// False when the principal has no such key.
    pub async fn remove_access_key_of(&self, principal: PrincipalId, id: &str) -> Result<bool, Error> {
        let mut writing = self.write(Scope::Rows).await?;
        let delete =
            sqlx::query("DELETE FROM access_key WHERE id = $1 AND principal_id = $2").bind(id).bind(principal.0);
        let done = delete.execute(writing.connection()).await.map_err(Error::Query)?;
        writing.announce(Change::Principals).await?;
        writing.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::on_each;
    use super::*;
    use crate::meta::AccessKeyRow;

    fn new(account: &str, kind: PrincipalKind, name: &str) -> NewPrincipal {
        let account = account.parse().unwrap();
        NewPrincipal { account, kind, name: name.to_owned(), declared: false, tags: BTreeMap::new() }
    }

    #[tokio::test]
    async fn users_and_roles_of_an_account() {
        on_each(async |meta| {
            const OURS: &str = "000000000000";
            let none = RoleColumns::default();
            let make = async |account: &str, kind, name: &str| {
                meta.make_principal(&new(account, kind, name), &none, 3, 100).await.unwrap()
            };
            let id = |made| if let Made::New(id) = made { id } else { panic!("{made:?}") };
            let ann = id(make(OURS, PrincipalKind::User, "ann").await);
            assert_eq!(make(OURS, PrincipalKind::User, "ann").await, Made::IsThere);
            for (account, kind, name) in [
                (OURS, PrincipalKind::User, "Bob"),
                (OURS, PrincipalKind::User, "cid"),
                ("111111111111", PrincipalKind::User, "ann"),
            ] {
                id(make(account, kind, name).await);
            }
            assert_eq!(make(OURS, PrincipalKind::User, "dan").await, Made::TooMany);
            let role = RoleColumns {
                trust: Some("{}".to_owned()),
                description: Some("d".to_owned()),
                longest_session_s: Some(7200),
            };
            let ci = id(meta.make_principal(&new(OURS, PrincipalKind::Role, "ann"), &role, 3, 100).await.unwrap());
            let account = OURS.parse().unwrap();
            let names = async |kind, after, limit| {
                let rows = meta.principals_of(&account, kind, after, limit).await.unwrap();
                rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
            };
            assert_eq!(names(PrincipalKind::User, None, 10).await, ["Bob", "ann", "cid"], "by bytes");
            assert_eq!(names(PrincipalKind::User, Some("Bob"), 1).await, ["ann"]);
            assert_eq!(names(PrincipalKind::Role, None, 10).await, ["ann"]);

            let row = meta.principal_by_id(ci).await.unwrap().unwrap();
            assert_eq!((row.trust.as_deref(), row.longest_session_s, row.created_at_ms), (Some("{}"), Some(7200), 100));
            meta.put_trust(ci, None).await.unwrap();
            assert_eq!(meta.principal_by_id(ci).await.unwrap().unwrap().trust, None);

            let tags = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
                pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
            };
            let change = async |put: &[(&str, &str)], removed: &[&str]| {
                let removed: Vec<_> = removed.iter().map(|key| (*key).to_owned()).collect();
                meta.change_principal_tags(ann, &tags(put), &removed, 2).await.unwrap()
            };
            assert_eq!(change(&[("a", "1"), ("b", "2")], &[]).await, TagsChange::Done);
            assert_eq!(change(&[("c", "3")], &[]).await, TagsChange::TooMany);
            assert_eq!(change(&[("c", "3")], &["a"]).await, TagsChange::Done);
            assert_eq!(meta.principal_by_id(ann).await.unwrap().unwrap().tags, tags(&[("b", "2"), ("c", "3")]));
            assert_eq!(change(&[("B", "4")], &[]).await, TagsChange::OtherCapitals("b".to_owned()));
            assert_eq!(change(&[], &["C"]).await, TagsChange::OtherCapitals("c".to_owned()));
            assert_eq!(change(&[("b", "4")], &["c"]).await, TagsChange::Done);
            assert_eq!(meta.principal_by_id(ann).await.unwrap().unwrap().tags, tags(&[("b", "4")]));

            // It goes when it has nothing any more.
            let key = AccessKeyRow {
                id: "AKIA".to_owned(),
                principal: ann,
                sealed: String::new(),
                created_at_ms: 1,
                is_active: true,
            };
            meta.put_access_key(&key).await.unwrap();
            assert!(meta.put_password(ann, Some("hash"), PasswordNow::IsOrIsNot).await.unwrap());
            assert!(meta.principal_by_id(ann).await.unwrap().unwrap().password_at_ms.is_some());
            meta.put_principal_policy(ann, &("p".to_owned(), String::new()), 1).await.unwrap();
            let other = ("q".to_owned(), String::new());
            assert_eq!(meta.put_principal_policy(ann, &other, 1).await.unwrap(), Made::TooMany);
            assert_eq!(meta.put_principal_policy(PrincipalId(-1), &other, 1).await.unwrap(), Made::NoOwner);
            assert_eq!(meta.remove_bare_principal(ann).await.unwrap(), Err(StillHas::AccessKeys));
            for is_active in [false, true, false] {
                assert!(!meta.set_access_key_active(ci, "AKIA", !is_active).await.unwrap(), "it is not theirs");
                assert!(meta.set_access_key_active(ann, "AKIA", is_active).await.unwrap());
                assert_eq!(meta.access_key("AKIA").await.unwrap().map(|key| key.is_active), Some(is_active));
                assert_eq!(meta.access_keys(ann).await.unwrap()[0].is_active, is_active);
            }
            // That of the configuration is as the configuration has it.
            meta.put_access_key(&key).await.unwrap();
            assert!(meta.access_key("AKIA").await.unwrap().is_some_and(|key| key.is_active));
            assert!(!meta.remove_access_key_of(ci, "AKIA").await.unwrap(), "it is not theirs");
            assert!(meta.remove_access_key_of(ann, "AKIA").await.unwrap());
            assert_eq!(meta.remove_bare_principal(ann).await.unwrap(), Err(StillHas::Password));
            assert!(meta.put_password(ann, None, PasswordNow::Is).await.unwrap());
            assert_eq!(meta.remove_bare_principal(ann).await.unwrap(), Err(StillHas::Policies));
            meta.remove_principal_policy(ann, "p").await.unwrap();
            let before = meta.principal_by_id(ann).await.unwrap().unwrap();
            assert_eq!(meta.remove_bare_principal(ann).await.unwrap(), Ok(()));
            assert_eq!(meta.principal_by_id(ann).await.unwrap(), None);

            // Another of the same name does not inherit the tokens of the first.
            let again = new(OURS, PrincipalKind::User, "ann");
            let again = id(meta.make_principal(&again, &none, 3, 101).await.unwrap());
            let after = meta.principal_by_id(again).await.unwrap().unwrap();
            assert_ne!(after.epoch, before.epoch);
        })
        .await;
    }
}
