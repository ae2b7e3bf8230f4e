-- What an event tells, as far as a newer one may stand for it; NULL: it stands
-- for nothing and nothing for it (policy/supersede.rs). snapshot: it tells how a
-- number stands, to one webhook that asked; it is no change.
ALTER TABLE events ADD COLUMN tells INTEGER;
ALTER TABLE events ADD COLUMN snapshot INTEGER;

-- latest: what waits for the webhook and a newer event stands for is superseded.
ALTER TABLE webhooks ADD COLUMN latest INTEGER NOT NULL DEFAULT 0;

-- state 4: superseded, by the event at this position.
ALTER TABLE deliveries ADD COLUMN superseded_by INTEGER;
INSERT INTO facts (name, value) VALUES ('deliveries_4', 0);

-- skip: what a newer delivery of its lane stands for is superseded instead of
-- replayed; superseded: how many were.
ALTER TABLE replays ADD COLUMN skip INTEGER NOT NULL DEFAULT 0;
ALTER TABLE replays ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0;

-- Webhooks that are being told how the numbers stand. cursor: the last number
-- told of. random: what the events' ids are made with.
CREATE TABLE snapshots (
    webhook INTEGER PRIMARY KEY,
    cursor  TEXT    NOT NULL,
    random  INTEGER NOT NULL
) STRICT;
