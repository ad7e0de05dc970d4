-- When upstream last said so, so that what nobody has asked for in a long time can go. Rows of before count as old.
ALTER TABLE upstream_link ADD COLUMN noted_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE upstream_right ADD COLUMN noted_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE upstream_sent ADD COLUMN noted_at_ms INTEGER NOT NULL DEFAULT 0;

CREATE INDEX upstream_link_noted ON upstream_link (noted_at_ms);
CREATE INDEX upstream_right_noted ON upstream_right (noted_at_ms);
CREATE INDEX upstream_sent_noted ON upstream_sent (noted_at_ms);
CREATE INDEX upstream_tag_checked ON upstream_tag (checked_at_ms);
CREATE INDEX upstream_listing_checked ON upstream_listing (checked_at_ms);
