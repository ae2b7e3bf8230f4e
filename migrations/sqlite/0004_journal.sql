-- What each commit did, for those who follow it live: see store/sqlite/journal.rs.
-- One row a commit, more if that is much. at: the latest instant it tells of.
CREATE TABLE journal (
    row     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    entries BLOB    NOT NULL
) STRICT;

-- What is exhausted of each lane, oldest first: what has not arrived. Nothing that
-- is delivered ever enters it.
CREATE INDEX deliveries_exhausted ON deliveries (account, webhook, number, id) WHERE state = 2;
