//! Logging in, and the settings of a registry.

use super::super::account_setting::AccountSettingName;
use super::super::fault::Fault;
use super::super::words::Word;
use super::item::Item;
use super::members::Members;
use super::shape;
use crate::oci::AccountId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetAuthorizationToken {
    /// Empty means the caller's own. A token is good for every registry that its bearer may use.
    pub registry_ids: Vec<AccountId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetAccountSetting {
    pub name: AccountSettingName,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutAccountSetting {
    pub name: AccountSettingName,
    /// One of [`AccountSettingName::values`].
    pub value: &'static str,
}

impl GetAuthorizationToken {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        let registry_ids = members.optional("registryIds", |item| item.list(1..=10, shape::account_id))?;
        Ok(Self { registry_ids: registry_ids.unwrap_or_default() })
    }
}

impl GetAccountSetting {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        Ok(Self { name: members.required("name", setting_name)? })
    }
}

impl PutAccountSetting {
    pub(in crate::ecr) fn read(members: &mut Members) -> Result<Self, Fault> {
        let name = members.required("name", setting_name)?;
        let value = members.required("value", |item| {
            let refusal = item.refuse(&format!("Member must satisfy enum value set: [{}]", name.values().join(", ")));
            name.value(&item.text()?).ok_or(refusal)
        })?;
        Ok(Self { name, value })
    }
}

fn setting_name(item: Item) -> Result<AccountSettingName, Fault> {
    let all: Vec<_> = AccountSettingName::ALL.iter().map(|name| name.as_str()).collect();
    let refusal = item.refuse(&format!("Member must satisfy enum value set: [{}]", all.join(", ")));
    AccountSettingName::from_word(&item.text_within(1..=64)?).ok_or(refusal)
}
