-- What a commit says of deduplication keys and numbers, one row a commit, until
-- it is folded into seen and numbers in the order of their keys: see
-- store/sqlite/tail.rs.
CREATE TABLE tail (
    row     INTEGER PRIMARY KEY,
    entries BLOB    NOT NULL
) STRICT;

-- A delivery that is under way stands in deliveries_leased alone; due_at is then
-- the end of its lease. Most deliveries are handed over when they are accepted
-- and delivered at once: they never enter the indexes of what waits.
DROP INDEX deliveries_pending;
DROP INDEX deliveries_due;
CREATE INDEX deliveries_pending ON deliveries (account, webhook, number, id) WHERE state = 0 AND lease = 0;
CREATE INDEX deliveries_due ON deliveries (webhook, due_at) WHERE state = 0 AND lease = 0 AND due_at IS NOT NULL;
CREATE INDEX deliveries_leased ON deliveries (id) WHERE lease <> 0;
