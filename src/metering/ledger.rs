//! Counts in memory, by whose they are: a table that does not grow beyond its limit. What has no row of its own any more goes to one
//! that is nobody's.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use super::hour::Hour;
use crate::meta::{UsageCounts, UsageRow};
use crate::oci::AccountId;

/// The repository and the principal of the row that is nobody's.
const NOBODY: &str = "*";

pub(super) struct Ledger {
    rows: HashMap<Key, UsageCounts>,
    max_keys: usize,
}

struct Key {
    hour: Hour,
    account: AccountId,
    repository: Box<str>,
    principal: Box<str>,
}

/// A key that owns nothing, so that looking one up makes no copies.
pub(super) struct Entry<'a> {
    pub(super) hour: Hour,
    pub(super) account: AccountId,
    pub(super) repository: &'a str,
    pub(super) principal: &'a str,
}

/// What the two kinds of key have in common, by which the table compares them.
trait Parts {
    fn parts(&self) -> (Hour, AccountId, &str, &str);
}

impl Ledger {
    /// Holds so many rows, and one that is nobody's for each hour and account.
    pub(super) fn new(max_keys: usize) -> Self {
        Self { rows: HashMap::new(), max_keys }
    }

    /// False when the table is full: then the counts are nobody's.
    pub(super) fn add(&mut self, entry: &Entry<'_>, counts: UsageCounts) -> bool {
        if let Some(row) = self.rows.get_mut(entry as &dyn Parts) {
            *row += counts;
            return true;
        }
        let has_room = self.rows.len() < self.max_keys;
        let (repository, principal) = if has_room { (entry.repository, entry.principal) } else { (NOBODY, NOBODY) };
        let key = Key {
            hour: entry.hour,
            account: entry.account,
            repository: repository.into(),
            principal: principal.into(),
        };
        *self.rows.entry(key).or_default() += counts;
        has_room
    }

    /// All of it, in no order. It is empty afterwards.
    pub(super) fn take(&mut self) -> impl Iterator<Item = UsageRow> + use<> {
        std::mem::take(&mut self.rows).into_iter().map(|(key, counts)| UsageRow {
            hour_ms: key.hour.ms(),
            account: key.account,
            repository: key.repository.into(),
            principal: key.principal.into(),
            counts,
        })
    }
}

impl Parts for Key {
    fn parts(&self) -> (Hour, AccountId, &str, &str) {
        (self.hour, self.account, &self.repository, &self.principal)
    }
}

impl Parts for Entry<'_> {
    fn parts(&self) -> (Hour, AccountId, &str, &str) {
        (self.hour, self.account, self.repository, self.principal)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Key {}

impl<'a> Borrow<dyn Parts + 'a> for Key {
    fn borrow(&self) -> &(dyn Parts + 'a) {
        self
    }
}

impl Hash for dyn Parts + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for dyn Parts + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Parts + '_ {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_nobodys() {
        let mut ledger = Ledger::new(2);
        let account: AccountId = "000000000000".parse().unwrap();
        let mut add = |hour, repository, principal| {
            let entry = Entry { hour: Hour::of_ms(hour), account, repository, principal };
            ledger.add(&entry, UsageCounts { requests: 1, ..UsageCounts::default() })
        };
        assert!(add(0, "a", "me") && add(0, "a", "you") && add(0, "a", "me"));
        assert!(!add(0, "b", "me") && !add(0, "a", "her") && !add(3_600_000, "a", "me"));
        assert!(add(0, "a", "you"), "who has a row keeps it");
        let mut told: Vec<_> =
            ledger.take().map(|row| (row.hour_ms, row.repository, row.principal, row.counts.requests)).collect();
        told.sort();
        let row =
            |hour, repository: &str, principal: &str, count| (hour, repository.to_owned(), principal.to_owned(), count);
        let expected = [row(0, "*", "*", 2), row(0, "a", "me", 2), row(0, "a", "you", 2), row(3_600_000, "*", "*", 1)];
        assert_eq!(told, expected);
        assert_eq!(ledger.take().count(), 0);
    }
}
