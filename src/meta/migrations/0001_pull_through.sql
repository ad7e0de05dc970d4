-- What the pull-through cache knows. Repositories are named as clients may name them: prefix and all.
CREATE TABLE repository (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- What a tag meant when upstream was last asked, for each set of media types that clients accept.
CREATE TABLE tag (
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    name TEXT NOT NULL,
    accept INTEGER NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER,
    checked_at_ms INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name, accept)
);

-- What a repository refers to: it may be served under that name, and no other.
CREATE TABLE link (
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    digest TEXT NOT NULL,
    kind TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER,
    PRIMARY KEY (repository_id, digest)
);

-- Lists of tags and referrers as upstream gave them.
CREATE TABLE listing (
    repository_id INTEGER NOT NULL REFERENCES repository (id),
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    checked_at_ms INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name)
);

-- When blobs were used, so that eviction goes on where it was after a restart. The files themselves say what is there.
CREATE TABLE blob_use (
    digest TEXT PRIMARY KEY,
    used_at_ms INTEGER NOT NULL,
    uses INTEGER NOT NULL
);
