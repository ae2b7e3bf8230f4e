-- What is known of a number: its limits, throughput, flag, rating and status,
-- each with when and by what it was learned (state, see store/sqlite/bytes.rs).
-- A row that was not written since the second schema has none: then limit_value,
-- limit_since and latest say it. business_account: the one that last spoke of
-- the number; its capability updates are held against all of its numbers.
ALTER TABLE numbers ADD COLUMN business_account TEXT;
ALTER TABLE numbers ADD COLUMN state BLOB;
CREATE INDEX numbers_of_business_account ON numbers (account, business_account)
    WHERE business_account IS NOT NULL;

-- changed: what the event changed of its number, from and to, and what it told
-- although something newer was known. derived: why there is an event that no
-- notification said (1 a capability update, 2 a reconciliation).
ALTER TABLE events ADD COLUMN changed BLOB;
ALTER TABLE events ADD COLUMN derived INTEGER;

-- What changed of a number without an event. after: the last position by then,
-- which places it among the number's events; ordinal tells those of one place
-- apart.
CREATE TABLE observations (
    number  INTEGER NOT NULL,
    after   INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    by      INTEGER NOT NULL,
    changed BLOB    NOT NULL,
    PRIMARY KEY (number, after, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX observations_by_age ON observations (at);

-- Capability updates of which not all numbers have heard yet. number: the last
-- one that has.
CREATE TABLE capabilities (
    row              INTEGER PRIMARY KEY,
    account          INTEGER NOT NULL,
    business_account TEXT    NOT NULL,
    limit_value      TEXT    NOT NULL,
    of_portfolio     INTEGER NOT NULL,
    derive           INTEGER NOT NULL,
    at               INTEGER NOT NULL,
    app              TEXT    NOT NULL,
    number           INTEGER NOT NULL
) STRICT;
CREATE INDEX capabilities_of_business_account ON capabilities (business_account);

-- Whose the numbers are is known from their last events. For that all events are
-- listed first.
INSERT INTO events_by_account (account, position)
    SELECT account, position FROM events
    WHERE position > (SELECT value FROM facts WHERE name = 'listed') ORDER BY account, position;
INSERT INTO events_by_number (number, position)
    SELECT number, position FROM events
    WHERE position > (SELECT value FROM facts WHERE name = 'listed') ORDER BY number, position;
UPDATE facts SET value = max(value, coalesce((SELECT max(position) FROM events), 0)) WHERE name = 'listed';
UPDATE numbers SET business_account =
    (SELECT json_extract(CAST(e.body AS TEXT), '$.businessAccountId') FROM events e
     WHERE e.position = (SELECT max(n.position) FROM events_by_number n WHERE n.number = numbers.key))
    WHERE subject >= '0' AND subject < ':';
