-- What was used in each hour, which is named by the milliseconds of its beginning. Several replicas add to the same row. `account` is
-- that of the registry which the repository belongs to.
CREATE TABLE usage_hour (
    hour_ms INTEGER NOT NULL,
    account TEXT NOT NULL,
    -- As policies and lists know it. It may be gone by now.
    repository TEXT NOT NULL,
    principal TEXT NOT NULL,
    requests INTEGER NOT NULL,
    pulls INTEGER NOT NULL,
    pushes INTEGER NOT NULL,
    received_bytes INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    -- Of these, what was sent of repositories of upstreams.
    relayed_bytes INTEGER NOT NULL,
    fetched_bytes INTEGER NOT NULL,
    PRIMARY KEY (hour_ms, account, repository, principal)
);

-- What the repositories of one's own held in each hour.
CREATE TABLE stored_hour (
    hour_ms INTEGER NOT NULL,
    account TEXT NOT NULL,
    repository TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (hour_ms, account, repository)
);
