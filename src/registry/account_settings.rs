//! The settings of a registry as they hold now: what was put, else the default. They are read when they are needed, so that they hold at once,
//! whichever replica was told.

use crate::ecr::{AccountSettingName, Word};
use crate::meta::{DocumentKind, Error, Meta};
use crate::oci::AccountId;

/// A value that no version knows is as good as none.
pub(super) async fn account_setting(
    meta: &Meta,
    account: AccountId,
    name: AccountSettingName,
) -> Result<&'static str, Error> {
    let row = meta.document(account, DocumentKind::Setting, name.word()).await?;
    Ok(row.and_then(|row| name.value(&row.document)).unwrap_or_else(|| name.default_value()))
}

/// Whether a push may take a blob from another repository of the registry.
pub(super) async fn is_mounting_enabled(meta: &Meta, account: AccountId) -> Result<bool, Error> {
    Ok(account_setting(meta, account, AccountSettingName::BlobMounting).await? == "ENABLED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_put_holds_in_one_registry() {
        let folder = tempfile::tempdir().unwrap();
        let meta = Meta::open(&folder.path().join("x.db")).await.unwrap();
        let [mine, theirs] = ["000000000000", "222222222222"].map(|id| id.parse().unwrap());
        let kind = DocumentKind::Setting;
        assert!(is_mounting_enabled(&meta, mine).await.unwrap());
        for (value, enabled) in [("DISABLED", false), ("ENABLED", true), ("nonsense", true), ("DISABLED", false)] {
            meta.put_document(mine, kind, "BLOB_MOUNTING", value, 1).await.unwrap();
            assert_eq!(is_mounting_enabled(&meta, mine).await.unwrap(), enabled, "{value}");
        }
        assert!(is_mounting_enabled(&meta, theirs).await.unwrap());
        let scope = AccountSettingName::RegistryPolicyScope;
        assert_eq!(account_setting(&meta, mine, scope).await.unwrap(), "V2");
    }
}
