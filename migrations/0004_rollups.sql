-- What a year of an endpoint says without its slots: a row for each endpoint and hour, made from the hour's slots.

-- Each counted slot is ok or failed; what was cancelled was never tried and is in slots and outcomes only. Moments are
-- dues. A row is valid while its hour is not in rollup_stale.
CREATE TABLE rollup (
    job_id       INTEGER NOT NULL REFERENCES job,
    hour         INTEGER NOT NULL, -- of the due, in hours since the Unix epoch
    endpoint_id  INTEGER NOT NULL REFERENCES endpoint,
    slots        INTEGER NOT NULL,
    ok           INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    outcomes     TEXT NOT NULL,    -- JSON: {"ok":58,"timeout":2}
    first_due    INTEGER,          -- NULL when all were cancelled
    last_due     INTEGER,
    first_ok     INTEGER,
    last_ok      INTEGER,
    failing_from INTEGER,          -- the first failure of those that the hour ends with
    outage_from  INTEGER,          -- the longest run of failures that an ok ended
    outage_until INTEGER,          -- that ok
    p50_us       INTEGER,          -- of what ended as ok; at most 1 % too high, as the histogram
    p95_us       INTEGER,
    p99_us       INTEGER,
    latencies    BLOB NOT NULL,    -- pairs of LEB128 numbers: how much higher than the last value, how often
    PRIMARY KEY (job_id, hour, endpoint_id)
) STRICT, WITHOUT ROWID;

-- The hours whose slots say more than their rollup.
CREATE TABLE rollup_stale (
    job_id INTEGER NOT NULL REFERENCES job,
    hour   INTEGER NOT NULL,
    PRIMARY KEY (job_id, hour)
) STRICT, WITHOUT ROWID;

INSERT INTO rollup_stale
SELECT DISTINCT job_id, due_at / 3600000000 FROM round WHERE ok IS NOT NULL;

-- Hours before this one were deleted, or are being deleted: their rollups are all that is left of them.
CREATE TABLE pruned (
    job_id INTEGER PRIMARY KEY REFERENCES job,
    before INTEGER NOT NULL
) STRICT;

-- When a slot last pointed at it, to the hour.
ALTER TABLE sent ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0;
ALTER TABLE evidence ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0;
UPDATE sent SET last_used = strftime('%s', 'now') * 1000000;
UPDATE evidence SET last_used = strftime('%s', 'now') * 1000000;

-- Hours that are over and rolled up: a few minutes after their end.
CREATE VIEW uptime_hours AS
SELECT j.name AS job,
       e.name AS endpoint,
       strftime('%Y-%m-%dT%H:00:00.000Z', u.hour * 3600, 'unixepoch') AS hour,
       u.slots, u.ok, u.failed, u.outcomes,
       u.p50_us / 1000.0 AS p50_ms,
       u.p95_us / 1000.0 AS p95_ms,
       u.p99_us / 1000.0 AS p99_ms
FROM rollup u
JOIN job j ON j.job_id = u.job_id
JOIN endpoint e ON e.endpoint_id = u.endpoint_id
WHERE NOT EXISTS (SELECT 1 FROM rollup_stale d WHERE d.job_id = u.job_id AND d.hour = u.hour);
