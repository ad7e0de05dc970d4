//! Taking turns at facts that span rows.
//!
//! A transaction that looks at some rows and changes others, or the same ones, is right only if nobody changes them in between. SQLite
//! has one writer at a time; PostgreSQL judges each statement by what was committed before it began, so that two transactions can both
//! find a tag free, a limit not reached, a blob not referred to. Each transaction therefore says what it decides about, and has that
//! for itself until its end, in this process and in every replica. [`super::database::Meta::write`] takes no transaction without it.

use super::hosted::RepositoryId;
use super::identities::PrincipalId;
use super::last_known::Topic;
use super::registry::DocumentKind;
use crate::oci::AccountId;
use crate::turns::{Asker, Turn, Turns};

/// What a transaction has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope<'a> {
    /// Nothing but the rows that its statements change: each statement finds its row by its key, and says itself under which condition it
    /// changes it. Statements that change several rows do so in the order of their keys, or two of them may wait for each other.
    Rows,
    /// A repository: its tags, manifests and what they refer to, its right to blobs, its settings.
    Repository(RepositoryId),
    /// A user or role: keys, password, policies, tags.
    Principal(PrincipalId),
    /// How many users and roles an account has.
    Principals(AccountId),
    /// The documents of one kind that a registry has, and how many they are.
    Documents(AccountId, DocumentKind),
    /// How many uploads one client has under way.
    Uploads(&'a str),
}

/// The turns of this process, so that whoever waits for a scope here waits without a connection. Scopes that fall together wait for
/// each other, which is all that comes of it.
pub(super) struct Scopes(Box<[Turns]>);

/// Scopes that can be taken at once.
const SCOPES: usize = 256;

impl Scope<'_> {
    /// The same in every replica and version; `None` where there is nothing to be had.
    pub(super) fn key(self) -> Option<i64> {
        let text = match self {
            Self::Rows => return None,
            Self::Repository(id) => format!("repository {}", id.0),
            Self::Principal(id) => format!("principal {}", id.0),
            Self::Principals(account) => format!("principals {account}"),
            Self::Documents(account, kind) => format!("documents {account} {}", kind.name()),
            Self::Uploads(principal) => format!("uploads {principal}"),
        };
        // FNV-1a.
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Some(hash.cast_signed())
    }

    /// What was known of it may be otherwise when a transaction that has it ends. Principals and documents are announced.
    pub(super) fn topic(self) -> Option<Topic> {
        match self {
            Self::Repository(id) => Some(Topic::of("repository", id.0)),
            _ => None,
        }
    }
}

impl Scopes {
    pub(super) fn new() -> Self {
        Self((0..SCOPES).map(|_| Turns::new(1)).collect())
    }

    /// `keys` are in order and each is there once.
    pub(super) async fn take(&self, keys: &[i64], asker: Asker) -> Vec<Turn> {
        let place = |key: &i64| usize::try_from(key.cast_unsigned() % SCOPES as u64).unwrap_or_default();
        let mut places: Vec<usize> = keys.iter().map(place).collect();
        places.sort_unstable();
        places.dedup();
        let mut turns = Vec::with_capacity(places.len());
        for scope in places.into_iter().filter_map(|place| self.0.get(place)) {
            turns.push(scope.take(asker).await);
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_scopes_apart_and_stay_as_they_are() {
        let account: AccountId = "000000000000".parse().unwrap();
        let scopes = [
            Scope::Repository(RepositoryId::for_tests(1)),
            Scope::Repository(RepositoryId::for_tests(11)),
            Scope::Principal(PrincipalId(1)),
            Scope::Principals(account),
            Scope::Documents(account, DocumentKind::Template),
            Scope::Documents(account, DocumentKind::PullThroughRule),
            Scope::Uploads("1"),
        ];
        let keys: std::collections::BTreeSet<_> = scopes.into_iter().map(Scope::key).collect();
        assert_eq!(keys.len(), scopes.len());
        // Replicas of two versions must agree.
        assert_eq!(Scope::Repository(RepositoryId::for_tests(1)).key(), Some(KEY_OF_REPOSITORY_1));
        assert_eq!(Scope::Rows.key(), None);
    }

    const KEY_OF_REPOSITORY_1: i64 = -7_089_665_565_323_976_230;

    #[tokio::test]
    async fn one_at_a_time_and_in_no_circle() {
        use futures_util::FutureExt;
        let (scopes, asker) = (Scopes::new(), Asker::work("test"));
        // The second and the third fall together.
        let (one, two, three) = (1, 2, 2 + SCOPES as i64);
        let first = scopes.take(&[one, three], asker).await;
        assert!(scopes.take(&[two], asker).now_or_never().is_none());
        assert!(scopes.take(&[3], asker).now_or_never().is_some());
        drop(first);
        assert_eq!(scopes.take(&[one, two, three], asker).await.len(), 2);
    }
}
