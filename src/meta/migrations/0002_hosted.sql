-- What was learned of upstreams is told apart from what was pushed here.
ALTER TABLE repository RENAME TO upstream_repository;
ALTER TABLE tag RENAME TO upstream_tag;
ALTER TABLE link RENAME TO upstream_link;
ALTER TABLE listing RENAME TO upstream_listing;

-- Repositories of registries, of which each account has one.
-- An id is never given again: a request may still hold that of a repository that is gone.
CREATE TABLE repository (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The upstream that it is pulled through from; none is a repository of one's own.
    upstream TEXT,
    created_at_ms INTEGER NOT NULL,
    -- Whether tags can be moved, in JSON; none is as the configuration says.
    mutability TEXT,
    scan_on_push INTEGER NOT NULL DEFAULT 0,
    -- In JSON.
    encryption TEXT,
    -- Who else may do what with it: a document of IAM's form.
    policy TEXT,
    -- Of the repository itself; a JSON object.
    resource_tags TEXT,
    UNIQUE (account, name)
);

-- Blobs that were pushed. A row is here before the bytes are in their place, and until after they have left it: whoever
-- brings a blob and whoever removes one take turns at its row. `condemned_at_ms` is set when it is found that nobody needs
-- the blob, and taken back when somebody does.
CREATE TABLE blob (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    claimed_at_ms INTEGER NOT NULL,
    condemned_at_ms INTEGER,
    -- Set when its bytes were found damaged or gone: until they are pushed again there is no such blob.
    lost_at_ms INTEGER
);

CREATE INDEX blob_condemned ON blob (condemned_at_ms, digest) WHERE condemned_at_ms IS NOT NULL;

-- Which repositories have a blob, and when each last showed that it wants it.
CREATE TABLE blob_link (
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    digest TEXT NOT NULL REFERENCES blob (digest),
    size INTEGER NOT NULL,
    wanted_at_ms INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
);

CREATE INDEX blob_link_digest ON blob_link (digest);

CREATE TABLE manifest (
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT,
    subject TEXT,
    -- A JSON object.
    annotations TEXT NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL,
    pushed_at_ms INTEGER NOT NULL,
    pulled_at_ms INTEGER,
    PRIMARY KEY (repository_id, digest)
);

CREATE INDEX manifest_subject ON manifest (repository_id, subject, digest);

-- What a manifest refers to: blobs and manifests.
CREATE TABLE manifest_reference (
    repository_id INTEGER NOT NULL,
    digest TEXT NOT NULL,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (repository_id, digest, target, kind),
    FOREIGN KEY (repository_id, digest) REFERENCES manifest (repository_id, digest)
);

CREATE INDEX manifest_reference_target ON manifest_reference (repository_id, target, kind);

CREATE TABLE tag (
    repository_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    pushed_at_ms INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, digest) REFERENCES manifest (repository_id, digest)
);

CREATE INDEX tag_digest ON tag (repository_id, digest);

-- Who moved a tag, when, from which digest to which: no digest is no tag.
CREATE TABLE tag_move (
    id INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    name TEXT NOT NULL,
    before TEXT,
    after TEXT,
    moved_at_ms INTEGER NOT NULL,
    principal TEXT NOT NULL
);

CREATE INDEX tag_move_name ON tag_move (repository_id, name, id);

CREATE TABLE upload (
    id TEXT PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    algorithm TEXT NOT NULL,
    -- The replica that goes on with it.
    holder TEXT NOT NULL,
    touched_at_ms INTEGER NOT NULL,
    -- Bytes that are in pieces in the bucket, and their digest.
    bytes INTEGER NOT NULL,
    digest TEXT,
    -- 1 when the last part that came is shorter than parts are, 2 when one before it was.
    short_part INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX upload_touched ON upload (touched_at_ms);

-- What an upload has brought, where it lies in a bucket for other replicas to go on with.
CREATE TABLE upload_piece (
    upload_id TEXT NOT NULL REFERENCES upload (id),
    start INTEGER NOT NULL,
    size INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (upload_id, start)
);

-- Blobs of upstreams that lie in the bucket, for every replica. Such a blob has a row in `blob` as well, and leaves the bucket as
-- pushed ones do when this row is gone.
CREATE TABLE pulled_blob (
    digest TEXT PRIMARY KEY REFERENCES blob (digest),
    used_at_ms INTEGER NOT NULL
);

CREATE INDEX pulled_blob_used ON pulled_blob (used_at_ms, digest);

-- Which replica is fetching a blob from its upstream.
CREATE TABLE fetch_lease (
    digest TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until_ms INTEGER NOT NULL
);
