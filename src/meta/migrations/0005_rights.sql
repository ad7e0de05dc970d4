-- What an origin (an upstream at its URLs) has confirmed of a repository: that it has the object there, as a blob or as a manifest.
-- A manifest that names a digest (upstream_link) is no right to it.
CREATE TABLE upstream_right (
    repository_id BIGINT NOT NULL REFERENCES upstream_repository (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL,
    PRIMARY KEY (repository_id, digest, kind, origin)
);

-- Which origin has ever sent the bytes of a digest. What is kept is served in the name of no other.
CREATE TABLE upstream_sent (
    digest TEXT NOT NULL,
    origin TEXT NOT NULL,
    PRIMARY KEY (digest, origin)
);
