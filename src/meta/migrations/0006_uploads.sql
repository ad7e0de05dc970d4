-- Whose upload it is, so that nobody has more than so many under way.
ALTER TABLE upload ADD COLUMN principal TEXT NOT NULL DEFAULT '';

CREATE INDEX upload_repository ON upload (repository_id);
CREATE INDEX upload_principal ON upload (principal);
