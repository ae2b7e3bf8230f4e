-- Asking the source of truth (the Graph API). graph_token: sealed. reconcile_at:
-- when the next reading is due; what was never read is. held_until: Meta asked
-- not to be asked before.
ALTER TABLE business_accounts ADD COLUMN graph_token BLOB;
ALTER TABLE business_accounts ADD COLUMN graph_token_at INTEGER;
ALTER TABLE business_accounts ADD COLUMN reconcile_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE business_accounts ADD COLUMN held_until INTEGER;
CREATE INDEX business_accounts_to_reconcile ON business_accounts (reconcile_at);
CREATE INDEX business_accounts_with_token ON business_accounts (reconcile_at) WHERE graph_token IS NOT NULL;

-- How the last readings of a business account went. failures: in a row.
CREATE TABLE reconciliations (
    business_account TEXT    PRIMARY KEY REFERENCES business_accounts (id) ON DELETE CASCADE,
    succeeded_at     INTEGER,
    numbers          INTEGER,
    learned          INTEGER,
    events           INTEGER,
    nameless         INTEGER,
    failed_at        INTEGER,
    trouble          TEXT,
    code             INTEGER,
    subcode          INTEGER,
    note             TEXT,
    failures         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reconciliations_failing ON reconciliations (business_account) WHERE failures > 0;
