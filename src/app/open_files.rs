//! How many files and connections the process may have open.
//!
//! Shells and service managers begin with a soft limit of 1024, for programs that cannot count further; whoever can raises it to the
//! hard one.

use crate::config::HttpSettings;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files of fills and of reads, the database, connections to upstreams.
const BESIDE_CONNECTIONS: u64 = 1000;

/// Raises the soft limit to the hard one. Returns how many connections each of `listeners` may have, at most `max_connections`: fewer
/// where the process may not open so many files, so that a flood leaves files for fills, the database and operators.
pub(super) fn raise(max_connections: usize, listeners: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files cannot be raised");
        }
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return max_connections };
    let possible = places(files, listeners);
    if possible >= max_connections {
        return max_connections;
    }
    tracing::warn!(
        files,
        connections = possible,
        "the process may open fewer files than http.max_connections needs on each listener: each takes fewer connections; raise the limit \
         (LimitNOFILE, ulimit -n), or lower http.max_connections"
    );
    possible
}

/// How many of them a client address may have. Where there are fewer than are configured, at most half of those that there are, as in
/// the defaults: one client never takes all of them by that.
pub(super) fn per_client(settings: &HttpSettings, connections: usize) -> usize {
    let configured = settings.max_connections_per_client;
    if connections < settings.max_connections { configured.min(connections.div_ceil(2)) } else { configured }
}

/// Half of the files at least are left to connections, however few there are.
fn places(files: u64, listeners: usize) -> usize {
    let for_connections = files.saturating_sub(BESIDE_CONNECTIONS).max(files / 2);
    (usize::try_from(for_connections).unwrap_or(usize::MAX) / listeners.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d17_a_client_has_no_more_than_half_of_few_connections() {
        let http = |more: &str| crate::config::parse(&format!("[http]\nmax_connections = 10000\n{more}")).unwrap().http;
        assert_eq!(per_client(&http(""), 10_000), 5000);
        assert_eq!(per_client(&http(""), 512), 256);
        assert_eq!(per_client(&http("max_connections_per_client = 9000"), 10_000), 9000);
        assert_eq!(per_client(&http("max_connections_per_client = 100"), 512), 100);
        assert_eq!(per_client(&http(""), 1), 1);
    }

    #[test]
    fn t33_connections_leave_files_for_the_rest() {
        assert_eq!(places(1_048_576, 1), 1_047_576);
        assert_eq!(places(21_000, 2), 10_000);
        assert_eq!(places(1024, 1), 512);
        assert_eq!(places(1, 3), 1);
    }
}
