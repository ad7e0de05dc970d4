-- Who may ask: users and roles of accounts. `declared` ones stand in the configuration and change only there.
CREATE TABLE principal (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    -- `user` or `role`.
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    declared INTEGER NOT NULL,
    -- Counted up to revoke every token that was given out before. It begins with the time: what was given to an earlier principal of the
    -- same name is of another epoch.
    epoch INTEGER NOT NULL,
    -- A JSON object.
    tags TEXT NOT NULL,
    -- Of a password that does not expire: what argon2id made of it.
    password TEXT,
    password_at_ms INTEGER,
    -- Of a role: the policy that says who may assume it; nobody where there is none.
    trust TEXT,
    description TEXT,
    longest_session_s INTEGER,
    created_at_ms INTEGER NOT NULL,
    UNIQUE (account, kind, name)
);

-- Secrets are sealed with the key file, which is not in the database.
CREATE TABLE access_key (
    id TEXT PRIMARY KEY,
    principal_id INTEGER NOT NULL REFERENCES principal (id),
    sealed TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
);

CREATE INDEX access_key_principal ON access_key (principal_id);

-- What they may do: documents of IAM's form.
CREATE TABLE principal_policy (
    principal_id INTEGER NOT NULL REFERENCES principal (id),
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (principal_id, name)
);

-- What holds for a whole registry: its policy, settings, templates, rules. `document` is JSON.
CREATE TABLE registry_document (
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, kind, name)
);
