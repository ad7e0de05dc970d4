//! Why the registry creates a repository by itself.

use super::words::words;

words! {
    pub enum AppliedFor {
        Replication = "REPLICATION",
        PullThroughCache = "PULL_THROUGH_CACHE",
        CreateOnPush = "CREATE_ON_PUSH",
    }
}
