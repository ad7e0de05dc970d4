-- Work that is to be done: by any replica, after the transaction that asked for it.
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    -- Names the object that the job is about. A queue has one job of a key at a time.
    key TEXT NOT NULL,
    -- Account and destination. Accounts take turns, destinations fail each by itself.
    lane TEXT NOT NULL,
    payload TEXT NOT NULL,
    -- ready, leased, dead.
    state TEXT NOT NULL,
    -- By the database's clock. ready: not taken before; leased: the end of the lease, after which it may be taken; dead: since when.
    run_at_ms INTEGER NOT NULL,
    -- Tries that were begun, the one under way included.
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Counts leases, so that the holder of an earlier one is known.
    lease INTEGER NOT NULL DEFAULT 0,
    leased_by TEXT NOT NULL DEFAULT '',
    leased_at_ms INTEGER NOT NULL DEFAULT 0,
    -- 1 when it was enqueued while it ran: it runs once more.
    again INTEGER NOT NULL DEFAULT 0,
    -- Where the next try goes on.
    position TEXT,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    created_at_ms INTEGER NOT NULL,
    UNIQUE (queue, key)
);

CREATE INDEX job_lane ON job (queue, lane, run_at_ms) WHERE state <> 'dead';
CREATE INDEX job_due ON job (queue, run_at_ms) WHERE state <> 'dead';

-- Work that is done once in a while: when it was last enqueued, and what came of the last run.
CREATE TABLE schedule (
    queue TEXT NOT NULL,
    -- A replica's own name where each does the work for itself, else empty.
    key TEXT NOT NULL,
    enqueued_at_ms INTEGER NOT NULL,
    -- Counts runs.
    run INTEGER NOT NULL DEFAULT 0,
    run_by TEXT NOT NULL DEFAULT '',
    started_at_ms INTEGER,
    ended_at_ms INTEGER,
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    error TEXT,
    PRIMARY KEY (queue, key)
);
