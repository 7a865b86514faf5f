-- Jobs, endpoints, layouts, rounds, slots; and the views that people read.
--
-- Times are integers: microseconds since the Unix epoch, UTC. The tables are gatherd's own and change by further
-- migrations; the views at the end are a contract. Nothing here needs a SQLite newer than 3.37 (STRICT), so that the
-- sqlite3, Python and Grafana of an old distribution read the file too.

CREATE TABLE job (
    job_id INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE
) STRICT;

-- The name is the identity: history follows it through a change of URL or position.
CREATE TABLE endpoint (
    endpoint_id INTEGER PRIMARY KEY,
    job_id      INTEGER NOT NULL REFERENCES job,
    name        TEXT NOT NULL,
    url         TEXT NOT NULL, -- as last seen, without secrets
    UNIQUE (job_id, name)
) STRICT;

-- The ordered endpoints that a config gave a job. Never changed, so an old vector stays readable.
CREATE TABLE layout (
    layout_id INTEGER PRIMARY KEY,
    job_id    INTEGER NOT NULL REFERENCES job
) STRICT;

CREATE TABLE layout_slot (
    layout_id   INTEGER NOT NULL REFERENCES layout,
    position    INTEGER NOT NULL,
    endpoint_id INTEGER NOT NULL REFERENCES endpoint,
    PRIMARY KEY (layout_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX layout_slot_by_endpoint ON layout_slot (endpoint_id);

-- A round, or an entry of the ledger: a due that did not become a complete round.
CREATE TABLE round (
    round_id    INTEGER PRIMARY KEY,
    job_id      INTEGER NOT NULL REFERENCES job,
    layout_id   INTEGER REFERENCES layout, -- NULL in the ledger
    due_at      INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    status      TEXT NOT NULL CHECK (status IN ('running', 'complete', 'interrupted', 'skipped', 'missed')),
    cause       TEXT,
    covers      INTEGER NOT NULL DEFAULT 1,
    endpoints   INTEGER,
    ok          INTEGER, -- NULL when the round has no slots
    failed      INTEGER
) STRICT;

CREATE INDEX round_by_job ON round (job_id, round_id); -- in the order of numbers, whatever the clock said
CREATE INDEX round_by_layout ON round (layout_id);
CREATE INDEX round_running ON round (round_id) WHERE status = 'running';

-- One position of a vector. The vector is the key: all slots of a round lie side by side.
CREATE TABLE slot (
    round_id    INTEGER NOT NULL REFERENCES round,
    position    INTEGER NOT NULL,
    fetched_at  INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    http_status INTEGER,
    attempts    INTEGER NOT NULL,
    elapsed_us  INTEGER NOT NULL,
    body        TEXT, -- the JSON text as sent, exactly when the outcome is ok
    detail      TEXT,
    PRIMARY KEY (round_id, position)
) STRICT, WITHOUT ROWID;

CREATE VIEW rounds AS
SELECT r.round_id,
       j.name AS job,
       strftime('%Y-%m-%dT%H:%M:%S', r.due_at / 1000000, 'unixepoch') || printf('.%03dZ', r.due_at / 1000 % 1000) AS due_at,
       strftime('%Y-%m-%dT%H:%M:%S', r.started_at / 1000000, 'unixepoch') || printf('.%03dZ', r.started_at / 1000 % 1000) AS started_at,
       strftime('%Y-%m-%dT%H:%M:%S', r.finished_at / 1000000, 'unixepoch') || printf('.%03dZ', r.finished_at / 1000 % 1000) AS finished_at,
       r.status, r.cause, r.covers, r.endpoints, r.ok, r.failed
FROM round r
JOIN job j ON j.job_id = r.job_id;

-- CROSS JOIN keeps the slots last: each is a seek by its key. The planner's own order would scan them.
CREATE VIEW observations AS
SELECT j.name AS job,
       e.name AS endpoint,
       s.position,
       r.round_id,
       strftime('%Y-%m-%dT%H:%M:%S', r.due_at / 1000000, 'unixepoch') || printf('.%03dZ', r.due_at / 1000 % 1000) AS due_at,
       strftime('%Y-%m-%dT%H:%M:%S', s.fetched_at / 1000000, 'unixepoch') || printf('.%03dZ', s.fetched_at / 1000 % 1000) AS fetched_at,
       s.outcome, s.http_status, s.attempts,
       s.elapsed_us / 1000.0 AS elapsed_ms,
       s.body, s.detail
FROM round r
JOIN job j ON j.job_id = r.job_id
JOIN layout_slot l ON l.layout_id = r.layout_id
JOIN endpoint e ON e.endpoint_id = l.endpoint_id
CROSS JOIN slot s ON s.round_id = r.round_id AND s.position = l.position;

CREATE VIEW vectors AS
SELECT r.round_id,
       j.name AS job,
       strftime('%Y-%m-%dT%H:%M:%S', r.due_at / 1000000, 'unixepoch') || printf('.%03dZ', r.due_at / 1000 % 1000) AS due_at,
       '[' || (SELECT group_concat(document, ',')
               FROM (SELECT coalesce(s.body, 'null') AS document
                     FROM slot s WHERE s.round_id = r.round_id ORDER BY s.position)) || ']' AS vector
FROM round r
JOIN job j ON j.job_id = r.job_id
WHERE r.ok IS NOT NULL;

CREATE VIEW latest AS
SELECT o.*
FROM job j
JOIN observations o ON o.round_id = (SELECT r.round_id FROM round r
                                     WHERE r.job_id = j.job_id AND r.status = 'complete'
                                     ORDER BY r.round_id DESC LIMIT 1);
