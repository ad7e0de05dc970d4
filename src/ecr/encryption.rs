//! How a repository's content is encrypted: chosen at its creation and never changed.

use serde::Serialize;

use super::words::words;

words! {
    pub enum EncryptionType {
        Aes256 = "AES256",
        Kms = "KMS",
        KmsDsse = "KMS_DSSE",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionConfiguration {
    pub encryption_type: EncryptionType,
    /// Key id, alias or ARN; in a template only an ARN, or empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

impl Default for EncryptionConfiguration {
    fn default() -> Self {
        Self { encryption_type: EncryptionType::Aes256, kms_key: None }
    }
}
