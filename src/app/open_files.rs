//! How many files and connections the process may have open.
//!
//! Shells and service managers begin with a soft limit of 1024, for programs that cannot count further; whoever can raises it to the
//! hard one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files of fills and of reads, the database, connections to upstreams.
const BESIDE_CONNECTIONS: u64 = 1000;

/// Raises the soft limit to the hard one, and says when that is less than `max_connections` may need.
pub(super) fn raise(max_connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files cannot be raised");
        }
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return };
    let needed = u64::try_from(max_connections).unwrap_or(u64::MAX).saturating_add(BESIDE_CONNECTIONS);
    if files < needed {
        tracing::warn!(
            files,
            needed,
            "the process may open fewer files than http.max_connections needs: raise its limit (LimitNOFILE, ulimit -n), or lower http.max_connections"
        );
    }
}
