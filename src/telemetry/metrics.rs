//! Every metric of the program.
//!
//! Names follow Prometheus' conventions: the application's prefix, base units, `_total` on counters. The only labels are
//! closed sets and the names of configured upstreams.

use std::ops::Deref;
use std::sync::Arc;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// How a request for content was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheOutcome {
    /// From what was kept.
    Hit,
    /// This request started the fetch.
    Miss,
    /// This request joined a fetch that was under way.
    Coalesced,
    /// From what was kept, past its time, because upstream could not be asked or is being asked behind the answer.
    Stale,
    /// Straight from upstream, not kept.
    PassThrough,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Blob,
    Manifest,
    Tag,
    List,
}

impl CacheOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
            Self::PassThrough => "pass_through",
        }
    }
}

impl ObjectKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Manifest => "manifest",
            Self::Tag => "tag",
            Self::List => "list",
        }
    }
}

macro_rules! metrics {
    ($( $field:ident : $kind:ident $name:literal [$($label:literal),*] $help:literal; )*) => {
        /// Every metric. Cheap to clone.
        #[derive(Clone)]
        pub struct Metrics {
            handles: Arc<Handles>,
        }

        pub struct Handles {
            registry: Registry,
            $( #[doc = $help] pub $field: $kind, )*
        }

        impl Metrics {
            pub fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(
                    let $field = metrics!(@make $kind $name [$($label),*] $help);
                    registry.register(Box::new($field.clone()))?;
                )*
                Ok(Self { handles: Arc::new(Handles { registry, $($field),* }) })
            }
        }
    };
    (@make IntCounter $name:literal [] $help:literal) => { IntCounter::new($name, $help)? };
    (@make IntGauge $name:literal [] $help:literal) => { IntGauge::new($name, $help)? };
    (@make Histogram $name:literal [] $help:literal) => { Histogram::with_opts(HistogramOpts::new($name, $help).buckets(SECONDS.to_vec()))? };
    (@make HistogramVec $name:literal [$($label:literal),*] $help:literal) => { HistogramVec::new(HistogramOpts::new($name, $help).buckets(SECONDS.to_vec()), &[$($label),*])? };
    (@make IntCounterVec $name:literal [$($label:literal),*] $help:literal) => { IntCounterVec::new(Opts::new($name, $help), &[$($label),*])? };
    (@make IntGaugeVec $name:literal [$($label:literal),*] $help:literal) => { IntGaugeVec::new(Opts::new($name, $help), &[$($label),*])? };
}

/// Buckets from a millisecond to an hour: a fill may take that long.
const SECONDS: [f64; 14] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1800.0, 3600.0];

metrics! {
    http_requests: IntCounterVec "entrepot_http_requests_total" ["method", "status"] "Requests answered, by method and status class.";
    http_in_flight: IntGauge "entrepot_http_requests_in_flight" [] "Requests whose body has not ended.";
    http_sent_bytes: IntCounter "entrepot_http_sent_bytes_total" [] "Body bytes sent to clients.";
    http_connections: IntGauge "entrepot_http_connections" [] "Open client connections.";
    http_ended: IntCounterVec "entrepot_http_ended_total" ["why"] "Connections and streams of clients that were ended: client_limit (http.max_connections_per_client), proxy_header (a listener with proxy_protocol), stalled_stream, idle_http2; requests refused with 503: no_place (http.max_connections), no_memory (http.body_memory).";
    cache_requests: IntCounterVec "entrepot_cache_requests_total" ["type", "upstream", "outcome"] "Requests for content, by how the cache answered.";
    upstream_rows_trimmed: IntCounterVec "entrepot_upstream_rows_trimmed_total" ["table"] "Rows of what upstreams said that were removed by age or number.";
    cache_requests_waiting: IntGauge "entrepot_cache_requests_waiting" [] "Requests that wait for the first answer to a fetch of a blob.";
    cache_fills_in_flight: IntGauge "entrepot_cache_fills_in_flight" [] "Blobs that are being fetched.";
    cache_fill_seconds: Histogram "entrepot_cache_fill_seconds" [] "Time of finished fills.";
    cache_fills: IntCounterVec "entrepot_cache_fills_total" ["result"] "Ended fills: stored, corrupt, failed, pass_through.";
    cache_copies_left_out: IntCounter "entrepot_cache_copies_left_out_total" [] "Blobs of upstreams that were not sent to the bucket, because too many were on their way.";
    cache_fill_resumes: IntCounter "entrepot_cache_fill_resumes_total" [] "Times that a fill asked upstream for the rest.";
    cache_digest_mismatches: IntCounterVec "entrepot_cache_digest_mismatches_total" ["upstream"] "Bodies whose bytes did not match their digest or size.";
    cache_evictions: IntCounterVec "entrepot_cache_evictions_total" ["tier"] "Objects evicted to keep a limit.";
    cache_evicted_bytes: IntCounterVec "entrepot_cache_evicted_bytes_total" ["tier"] "Bytes evicted to keep a limit.";
    cache_bytes: IntGaugeVec "entrepot_cache_bytes" ["tier"] "Bytes kept, fills in flight included.";
    cache_limit_bytes: IntGaugeVec "entrepot_cache_limit_bytes" ["tier"] "The configured limit.";
    cache_objects: IntGaugeVec "entrepot_cache_objects" ["tier"] "Objects kept.";
    remembered_bytes: IntGaugeVec "entrepot_remembered_bytes" ["map"] "Bytes of what is remembered of upstreams, the database and requests, estimated.";
    remembered_limit_bytes: IntGaugeVec "entrepot_remembered_limit_bytes" ["map"] "The share of cache.remembered; of tokens, helpers and distrusted bytes for each upstream, beside it.";
    receiving_bytes: IntGaugeVec "entrepot_receiving_bytes" ["what"] "Memory of what is being received whole: documents of upstreams, four times their bytes, and bodies of requests.";
    receiving_limit_bytes: IntGaugeVec "entrepot_receiving_limit_bytes" ["what"] "The limit of it: cache.documents, http.request_memory.";
    reclaimed_blobs: IntCounter "entrepot_reclaimed_blobs_total" [] "Pushed blobs that nobody needed any more and that were removed.";
    reclaimed_bytes: IntCounter "entrepot_reclaimed_bytes_total" [] "Bytes of these blobs.";
    scrub_damaged: IntCounter "entrepot_scrub_damaged_total" [] "Kept blobs that were found damaged or missing when they were read again.";
    storage_errors: IntCounterVec "entrepot_storage_errors_total" ["operation"] "Failures of the disk: reserve, write, commit, read, remove.";
    upstream_requests: IntCounterVec "entrepot_upstream_requests_total" ["upstream", "code"] "Requests sent upstream, by status, or error where none came.";
    upstream_received_bytes: IntCounterVec "entrepot_upstream_received_bytes_total" ["upstream"] "Body bytes received from upstream.";
    upstream_retries: IntCounterVec "entrepot_upstream_retries_total" ["upstream"] "Requests that were sent again.";
    upstream_available: IntGaugeVec "entrepot_upstream_available" ["upstream", "endpoint"] "1 while the circuit of this endpoint (its place in the list of URLs) is closed.";
    upstream_login_failures: IntCounterVec "entrepot_upstream_login_failures_total" ["upstream"] "Logins that an upstream or its token service refused, or that failed.";
    upstream_fetches_waiting: IntGaugeVec "entrepot_upstream_fetches_waiting" ["upstream"] "Fetches that wait for a place below max_fetches.";
    upstream_rate_limit: IntGaugeVec "entrepot_upstream_rate_limit" ["upstream"] "Pulls that upstream allows in its window.";
    upstream_rate_limit_remaining: IntGaugeVec "entrepot_upstream_rate_limit_remaining" ["upstream"] "Pulls left in that window.";
    announced_changes: IntCounterVec "entrepot_announced_changes_total" ["kind"] "Announced changes that memory was cleared for: principals, policies, exclusions, pulled; a new connection to PostgreSQL counts as one of each.";
    database_unavailable: IntGaugeVec "entrepot_database_unavailable" ["cause"] "1 while PostgreSQL cannot be asked, or takes no writes: away, hanging, out_of_connections, read_only, refusing.";
    database_probes: IntCounterVec "entrepot_database_probes_total" ["result"] "Looks at PostgreSQL because a question took long or failed, and until it is well again: well, or the cause.";
    database_last_known: IntCounter "entrepot_database_last_known_total" [] "Answers that PostgreSQL gave earlier and that were used because it could not be asked.";
    jobs: IntGaugeVec "entrepot_jobs" ["queue"] "Jobs that wait or run; those of queues that this version does not know are unknown.";
    jobs_dead: IntGaugeVec "entrepot_jobs_dead" ["queue"] "Jobs whose tries have come to an end: entrepot jobs ls --state dead.";
    jobs_oldest_seconds: IntGaugeVec "entrepot_jobs_oldest_seconds" ["queue"] "How long the job that is due longest has waited for a replica to take it.";
    jobs_runs: IntCounterVec "entrepot_jobs_runs_total" ["queue", "result"] "Runs of jobs by this process: done, failed (and tried again), dead, cut_off (by the end of the process), lost (the lease ended, or it was dropped).";
    jobs_run_seconds: HistogramVec "entrepot_jobs_run_seconds" ["queue"] "Time of runs.";
    metered_bytes: IntCounterVec "entrepot_metered_bytes_total" ["direction"] "Body bytes that counted for a repository: received, sent, fetched from an upstream.";
    metered_stored_bytes: IntGauge "entrepot_metered_stored_bytes" [] "Bytes that repositories of one's own held when it was last looked at, shared blobs counted for each.";
    metering_writes: IntCounterVec "entrepot_metering_writes_total" ["result"] "Writes of counts to the database: written, failed (and kept).";
    metering_unnamed: IntCounter "entrepot_metering_unnamed_total" [] "Times that use counted for nobody, because metering.max_keys was reached.";
    audit_failures: IntCounter "entrepot_audit_write_failures_total" [] "Times that a line of the audit log could not be written; it is kept and tried again each second.";
    audit_left_out: IntCounter "entrepot_audit_left_out_total" [] "Refusals of clients that nobody knows that are not in the audit log: an address gets so many records a minute.";
    audit_lost: IntCounter "entrepot_audit_lost_total" [] "Lines of the audit log that are lost: too many waited while it could not be written, or the process ended.";
    config_reloads: IntCounterVec "entrepot_config_reloads_total" ["result"] "Reloads of the configuration: applied, refused.";
    build_info: IntGaugeVec "entrepot_build_info" ["version", "commit"] "Always 1.";
}

impl Deref for Metrics {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.handles
    }
}

impl Metrics {
    pub fn cache_request(&self, kind: ObjectKind, upstream: &str, outcome: CacheOutcome) {
        self.cache_requests.with_label_values(&[kind.as_str(), upstream, outcome.as_str()]).inc();
    }

    /// Prometheus' text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}
