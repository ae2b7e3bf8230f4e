-- What the body's bytes add up to (store/sqlite/sums.rs); NULL in rows from before.
ALTER TABLE events ADD COLUMN sum INTEGER;
