//! `[[account]]`: registries beside the one of `auth.account`, and what holds for each.

use super::names::{ACCOUNT_ID, HOST_NAMES};
use crate::config::reading::{
    Key, List, Optional, Parts as _, Reader, Section, TablesKey, count, section, settings, size,
};
use crate::oci::AccountId;

settings! {
    pub struct AccountSettings {
        pub id: AccountId = ID,
        /// Names under which clients reach its registry, in lower case and without a port.
        pub hosts: Vec<String> = HOSTS,
        /// Quotas of all that is pushed to its registry. `None` is without limit.
        pub max_repositories: Option<u64> = MAX_REPOSITORIES,
        pub max_images: Option<u64> = MAX_IMAGES,
        pub max_bytes: Option<u64> = MAX_BYTES,
    }
}

const EXBIBYTE: u64 = 1 << 60;

section! {
    pub static SECTION = Section::many(
        "account",
        "An account has a registry of its own: repositories, policies, settings, rules. That of `auth.account` is \
         always there; it may stand here, too, to be given hosts.",
    );

    static ID: Key<AccountId> = Key::required("id", ACCOUNT_ID, "Twelve digits.");
    static HOSTS: List<String> = List::new(
        "hosts",
        HOST_NAMES,
        "Host names under which clients reach this registry, beside `<id>.dkr.ecr.<region>.<auth.domain>`. Under all \
         other names they reach that of `auth.account`.",
    )
    .quiet();
    static MAX_REPOSITORIES: Optional<u64> = Optional::new(
        "max_repositories",
        count(0, u32::MAX as u64),
        "The most repositories that pushing and the API make; what is pulled through does not count for any quota.",
    );
    static MAX_IMAGES: Optional<u64> =
        Optional::new("max_images", count(0, u32::MAX as u64), "The most manifests in all its repositories.");
    static MAX_BYTES: Optional<u64> = Optional::new(
        "max_bytes",
        size(0, EXBIBYTE),
        "The most bytes of blobs and manifests in all its repositories; what several have counts for each.",
    );
}

pub fn read(key: &TablesKey, reader: &Reader<'_>) -> Option<Vec<AccountSettings>> {
    let accounts = key.read(reader, |reader| Some((reader.beginning().clone(), AccountSettings::read(reader)?)))?;
    let mut good = true;
    let mut report = |place, field: &str, message| {
        reader.context().report(place, format!("{}.{field}", key.name), message);
        good = false;
    };
    for (index, (place, account)) in accounts.iter().enumerate() {
        for (_, other) in accounts.iter().take(index) {
            if other.id == account.id {
                report(place, ID.name, format!("{} stands here twice", account.id));
            }
            if let Some(host) = account.hosts.iter().find(|host| other.hosts.contains(host)) {
                report(place, HOSTS.name, format!("{host:?} is a host of account {}", other.id));
            }
        }
    }
    good.then(|| accounts.into_iter().map(|(_, account)| account).collect())
}
