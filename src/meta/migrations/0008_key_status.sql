-- Whether an access key is believed: one that is rotated out is made inactive before it is deleted.
ALTER TABLE access_key ADD COLUMN is_active INTEGER NOT NULL DEFAULT 1;
