-- Instants are milliseconds since the epoch, given by the program; no statement
-- reads a clock. Tables that the hot path writes grow at their end: keys are in
-- the order of arrival (ARCHITECTURE.md, "Locality").

CREATE TABLE accounts (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    chat_apps  INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- waiting: changes of it may be among the unrouted; while that is so, newer ones
-- queue up behind them.
CREATE TABLE business_accounts (
    id          TEXT    PRIMARY KEY,
    account     INTEGER NOT NULL REFERENCES accounts (key),
    sub_account TEXT,
    waiting     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX business_accounts_of_account ON business_accounts (account, sub_account);
CREATE INDEX business_accounts_waiting ON business_accounts (id) WHERE waiting = 1;

CREATE TABLE api_keys (
    id         TEXT    PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    account    INTEGER REFERENCES accounts (key),
    hash       BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Secrets are sealed. A deleted webhook stays as a row, disabled and without its
-- secrets: its deliveries name it. canceling: deleted, and pending deliveries of
-- it are still to be canceled.
CREATE TABLE webhooks (
    key                   INTEGER PRIMARY KEY AUTOINCREMENT,
    id                    TEXT    NOT NULL UNIQUE,
    account               INTEGER NOT NULL,
    sub_account           TEXT    NOT NULL,
    type                  TEXT    NOT NULL,
    url                   TEXT    NOT NULL,
    enabled               INTEGER NOT NULL,
    http_authorization    BLOB,
    oauth                 BLOB,
    secret                BLOB    NOT NULL,
    previous_secret       BLOB,
    previous_secret_until INTEGER,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    deleted_at            INTEGER,
    canceling             INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX webhooks_by_identity ON webhooks (account, sub_account, type) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_of_account ON webhooks (account, key);
CREATE INDEX webhooks_canceling ON webhooks (key) WHERE canceling = 1;

-- What is known of a number (or of a business account, for changes that name no
-- number). sequence: that of its last event.
CREATE TABLE numbers (
    key         INTEGER PRIMARY KEY,
    account     INTEGER NOT NULL,
    subject     TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    limit_value TEXT,
    limit_since INTEGER,
    latest      BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX numbers_by_subject ON numbers (account, subject);

-- The deduplication keys, led by the change's own time so that they arrive about
-- in order. time 0: the change said none.
CREATE TABLE seen (
    time        INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (time, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    account     INTEGER NOT NULL,
    key         TEXT    NOT NULL,
    request     BLOB    NOT NULL,
    event_id    TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (at);

-- position: the order of acceptance. The event's id is made of accepted_at,
-- position and random. body: the exact bytes that are signed and sent.
CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    accepted_at INTEGER NOT NULL,
    random      INTEGER NOT NULL,
    account     INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    type        TEXT    NOT NULL,
    app         TEXT,
    test        INTEGER NOT NULL,
    resends     INTEGER NOT NULL,
    body        BLOB    NOT NULL
) STRICT;

-- Behind a watermark, written in sorted batches: see store/sqlite/listing.rs.
CREATE TABLE events_by_account (
    account  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (account, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE events_by_number (
    number   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (number, position)
) STRICT, WITHOUT ROWID;

-- id: position * 16384 + ordinal, so that an event's deliveries lie together.
-- state: 0 pending, 1 delivered, 2 exhausted, 3 canceled. due_at: of a pending
-- head of its lane, when it may be claimed (while leased: when the lease ends);
-- NULL behind another one. attempts_before: those before the last replay.
-- The attempt that delivered it is kept here, failed ones in attempts.
CREATE TABLE deliveries (
    id              INTEGER PRIMARY KEY,
    account         INTEGER NOT NULL,
    webhook         INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    due_at          INTEGER,
    lease           INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    attempts_before INTEGER NOT NULL,
    started_at      INTEGER,
    duration_ms     INTEGER,
    status          INTEGER,
    answer          BLOB
) STRICT;
-- Lanes in order, and what is pending of an account or webhook.
CREATE INDEX deliveries_pending ON deliveries (account, webhook, number, id) WHERE state = 0;
-- What may be claimed.
CREATE INDEX deliveries_due ON deliveries (webhook, due_at, lease) WHERE state = 0 AND due_at IS NOT NULL;
-- What went wrong.
CREATE INDEX deliveries_ended ON deliveries (account, state, id) WHERE state >= 2;

CREATE TABLE attempts (
    delivery    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    class       INTEGER NOT NULL,
    status      INTEGER,
    note        TEXT,
    answer      BLOB    NOT NULL,
    next_at     INTEGER,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE unrouted (
    row              INTEGER PRIMARY KEY AUTOINCREMENT,
    business_account TEXT    NOT NULL,
    app              TEXT    NOT NULL,
    field            TEXT    NOT NULL,
    time             INTEGER,
    received_at      INTEGER NOT NULL,
    raw              TEXT    NOT NULL
) STRICT;
CREATE INDEX unrouted_by_business_account ON unrouted (business_account, row);

CREATE TABLE unparsed (
    row              INTEGER PRIMARY KEY AUTOINCREMENT,
    app              TEXT    NOT NULL,
    business_account TEXT,
    time             INTEGER,
    received_at      INTEGER NOT NULL,
    reason           TEXT    NOT NULL,
    raw              BLOB    NOT NULL
) STRICT;

-- Bulk replays. query: the filters as JSON. cursor: the last delivery visited.
-- paced_at: up to when its pace is used up.
CREATE TABLE replays (
    id         TEXT    PRIMARY KEY,
    account    INTEGER NOT NULL,
    query      TEXT    NOT NULL,
    per_second INTEGER NOT NULL,
    matched    INTEGER NOT NULL,
    replayed   INTEGER NOT NULL,
    cursor     INTEGER NOT NULL,
    paced_at   INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_running ON replays (id) WHERE state = 0;

-- Something sealed with the key that the secrets are sealed with: another key
-- is recognised at start.
CREATE TABLE key_check (
    sealed BLOB NOT NULL
) STRICT;

-- Small facts: one row each. Counts of deliveries by state and of the unrouted,
-- kept in the transactions that change them; the listing's watermark; the number
-- of times the store was opened (leases of earlier times are void).
CREATE TABLE facts (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO facts (name, value) VALUES
    ('deliveries_0', 0), ('deliveries_1', 0), ('deliveries_2', 0), ('deliveries_3', 0),
    ('unrouted', 0), ('listed', 0), ('opened', 0), ('last_position', 0);
