-- At which URLs an upstream was when it was last asked, as its origin. What one said is not another's answer.
CREATE TABLE upstream_origin (
    name TEXT PRIMARY KEY,
    origin TEXT NOT NULL
);
