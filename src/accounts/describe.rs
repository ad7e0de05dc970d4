//! Rows of the database as IAM shows them.

use sha2::{Digest as _, Sha256};

use crate::iam::{AccessKeyDetail, Entity, EntityDetail, EntityKind, EntityName};
use crate::meta::{AccessKeyInfo, PrincipalKind, PrincipalRow};

const ID_CHARS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_RANDOM_CHARS: usize = 17;

/// `None` for a name that IAM cannot say.
pub(super) fn entity(row: &PrincipalRow) -> Option<Entity> {
    let name = EntityName::parse(&row.name).ok()?;
    Some(match row.kind {
        PrincipalKind::User => Entity::user(name),
        PrincipalKind::Role => Entity::role(name),
    })
}

/// Another one where a name was given again. It tells nothing: what it is made of is known to nobody else.
pub(super) fn unique_id(row: &PrincipalRow) -> String {
    let mut id = match row.kind {
        PrincipalKind::User => "AIDA".to_owned(),
        PrincipalKind::Role => "AROA".to_owned(),
    };
    let hash = Sha256::digest(format!("{}/{}/{}", row.account, row.id.number(), row.created_at_ms));
    let chars = hash.iter().take(ID_RANDOM_CHARS);
    id.extend(chars.filter_map(|byte| ID_CHARS.get(usize::from(byte % 32)).copied().map(char::from)));
    id
}

pub(super) fn detail(row: PrincipalRow) -> Option<EntityDetail> {
    let entity = entity(&row)?;
    let is_role = entity.kind == EntityKind::Role;
    Some(EntityDetail {
        account: row.account,
        id: unique_id(&row),
        created_at_ms: row.created_at_ms,
        tags: row.tags.into_iter().collect(),
        trust: row.trust.filter(|_| is_role),
        description: row.description.filter(|_| is_role),
        longest_session_seconds: is_role.then(|| row.longest_session_s.unwrap_or(LONGEST_SESSION)),
        entity,
    })
}

pub(super) fn access_key(user: &PrincipalRow, key: AccessKeyInfo) -> AccessKeyDetail {
    let AccessKeyInfo { id, created_at_ms, is_active } = key;
    AccessKeyDetail { user: user.name.clone(), id, created_at_ms, is_active }
}

/// Seconds, of a role that says nothing about it.
pub(super) const LONGEST_SESSION: u32 = 60 * 60;
