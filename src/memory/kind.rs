//! The maps that there are, what each may hold, and what all of a kind hold.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::Metrics;

/// `cache.remembered`, in bytes.
static LIMIT: AtomicU64 = AtomicU64::new(64 << 20);

/// What a map is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Lists,
    Tags,
    Links,
    Refusals,
    Confirmed,
    Sent,
    Pulled,
    Manifests,
    Repositories,
    Quotas,
    LastManifests,
    LastFacts,
    Exclusions,
    Principals,
    PrincipalPolicies,
    RepositoryPolicies,
    RegistryPolicies,
    Decisions,
    Logins,
    Certificates,
    DeletedRules,
    Tokens,
    Helpers,
    Distrusted,
}

#[derive(Clone, Copy)]
enum Share {
    /// In parts of [`PARTS`] of the limit.
    Part(u64),
    /// Bytes for each upstream, beside the limit.
    OfUpstream(u64),
    /// Bytes beside the limit, with PostgreSQL alone.
    OfServer(u64),
}

/// A part is 256 KiB as long as nothing else is configured.
const PARTS: u64 = 256;

/// Each kind with its name in metrics and its share.
const KINDS: [(Kind, &str, Share); 24] = [
    // What upstreams said.
    (Kind::Lists, "lists", Share::Part(60)),
    (Kind::Tags, "tags", Share::Part(26)),
    (Kind::Links, "links", Share::Part(32)),
    (Kind::Refusals, "refusals", Share::Part(8)),
    (Kind::Confirmed, "confirmed", Share::Part(24)),
    (Kind::Sent, "sent", Share::Part(12)),
    // What the database said.
    (Kind::Pulled, "pulled", Share::Part(12)),
    (Kind::Manifests, "manifests", Share::Part(36)),
    (Kind::Repositories, "repositories", Share::Part(8)),
    (Kind::Quotas, "quotas", Share::Part(2)),
    (Kind::Exclusions, "exclusions", Share::Part(2)),
    (Kind::Principals, "principals", Share::Part(6)),
    (Kind::PrincipalPolicies, "principal_policies", Share::Part(8)),
    (Kind::RepositoryPolicies, "repository_policies", Share::Part(8)),
    (Kind::RegistryPolicies, "registry_policies", Share::Part(2)),
    // What PostgreSQL said last, for while it cannot be asked.
    (Kind::LastManifests, "last_manifests", Share::OfServer(32 << 20)),
    (Kind::LastFacts, "last_facts", Share::OfServer(32 << 20)),
    // What was found out about requests a moment ago.
    (Kind::Decisions, "decisions", Share::Part(2)),
    (Kind::Logins, "logins", Share::Part(4)),
    (Kind::Certificates, "certificates", Share::Part(2)),
    (Kind::DeletedRules, "deleted_rules", Share::Part(2)),
    (Kind::Tokens, "tokens", Share::OfUpstream(1 << 20)),
    (Kind::Helpers, "helpers", Share::OfUpstream(128 << 10)),
    (Kind::Distrusted, "distrusted", Share::OfUpstream(128 << 10)),
];

/// Bytes that all maps of each kind hold, in the order of `KINDS`.
static HELD: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; KINDS.len()];

/// Sets the limit of the process, for the maps that are made from now on.
pub(super) fn limit(bytes: u64) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// Brings the gauges up to date.
pub(super) fn observe(metrics: &Metrics) {
    let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    for ((kind, name, _), held) in KINDS.iter().zip(&HELD) {
        metrics.remembered_bytes.with_label_values(&[name]).set(gauge(held.load(Ordering::Relaxed)));
        metrics.remembered_limit_bytes.with_label_values(&[name]).set(gauge(kind.limit()));
    }
}

impl Kind {
    /// Bytes that one map of this kind may hold.
    pub(super) fn limit(self) -> u64 {
        let share = KINDS.iter().find(|(kind, ..)| *kind == self).map(|(_, _, share)| *share);
        match share {
            Some(Share::Part(parts)) => LIMIT.load(Ordering::Relaxed) / PARTS * parts,
            Some(Share::OfUpstream(bytes) | Share::OfServer(bytes)) => bytes,
            None => 0,
        }
    }

    pub(super) fn held(self) -> Option<&'static AtomicU64> {
        KINDS.iter().zip(&HELD).find(|((kind, ..), _)| *kind == self).map(|(_, held)| held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_all_of_the_limit() {
        let parts = KINDS.iter().map(|(_, _, share)| match share {
            Share::Part(parts) => *parts,
            Share::OfUpstream(_) | Share::OfServer(_) => 0,
        });
        assert_eq!(parts.sum::<u64>(), PARTS);
        assert!(KINDS.iter().all(|(kind, ..)| kind.limit() > 0 && kind.held().is_some()));
    }
}
