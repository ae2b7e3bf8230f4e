-- To which account a business account was registered that is no longer: if it
-- is registered to another, that is where its numbers are known.
CREATE TABLE business_accounts_left (
    id      TEXT    PRIMARY KEY,
    account INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX business_accounts_left_by_account ON business_accounts_left (account);
