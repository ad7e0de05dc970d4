//! The settings of a registry that `GetAccountSetting` and `PutAccountSetting` know, and the values of each.

use super::words::words;

words! {
    pub enum AccountSettingName {
        BasicScanTypeVersion = "BASIC_SCAN_TYPE_VERSION",
        RegistryPolicyScope = "REGISTRY_POLICY_SCOPE",
        BlobMounting = "BLOB_MOUNTING",
    }
}

impl AccountSettingName {
    pub const fn values(self) -> &'static [&'static str] {
        match self {
            Self::BasicScanTypeVersion => &["AWS_NATIVE"],
            Self::RegistryPolicyScope => &["V1", "V2"],
            Self::BlobMounting => &["ENABLED", "DISABLED"],
        }
    }

    /// What a registry has until someone sets it. Clients of an OCI registry count on mounting, which takes nothing from where they may
    /// not read.
    pub const fn default_value(self) -> &'static str {
        match self {
            Self::BasicScanTypeVersion => "AWS_NATIVE",
            Self::RegistryPolicyScope => "V2",
            Self::BlobMounting => "ENABLED",
        }
    }

    /// The value as one of [`AccountSettingName::values`].
    pub fn value(self, text: &str) -> Option<&'static str> {
        self.values().iter().copied().find(|value| *value == text)
    }
}
