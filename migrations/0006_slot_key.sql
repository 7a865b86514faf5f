-- A slot's key becomes one number, round_id * 2^20 + position: still all slots of a round lie side by side, but the tree
-- above them holds numbers instead of whole rows, and a document of 1 to 4 KB lies in its row instead of a page of its own.

CREATE TABLE slot_by_number (
    slot_id     INTEGER PRIMARY KEY,
    round_id    INTEGER GENERATED ALWAYS AS (slot_id >> 20) VIRTUAL, -- to be read; only slot_id is looked up
    position    INTEGER GENERATED ALWAYS AS (slot_id & 1048575) VIRTUAL,
    fetched_at  INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    http_status INTEGER,
    attempts    INTEGER NOT NULL,
    elapsed_us  INTEGER NOT NULL,
    -- Both may point at rows that are gone: those tables are bounded.
    sent_id     INTEGER,
    evidence_id INTEGER,
    -- How far a failed slot's last attempt came: JSON, {"reached":"headers","dns_us":1500,…}.
    phases      TEXT,
    detail      TEXT,
    body        TEXT -- the JSON text as sent, exactly when the outcome is ok
) STRICT;

INSERT INTO slot_by_number (slot_id, fetched_at, outcome, http_status, attempts, elapsed_us, sent_id, evidence_id, phases,
    detail, body)
SELECT round_id << 20 | position, fetched_at, outcome, http_status, attempts, elapsed_us, sent_id, evidence_id, phases,
    detail, body
FROM slot ORDER BY round_id, position;

DROP VIEW latest;
DROP VIEW failures;
DROP VIEW vectors;
DROP VIEW observations;
DROP TABLE slot;
ALTER TABLE slot_by_number RENAME TO slot;

-- CROSS JOIN keeps the slots last: each is a seek by its key. The planner's own order would scan them.
CREATE VIEW observations AS
SELECT j.name AS job,
       e.name AS endpoint,
       l.position,
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
CROSS JOIN slot s ON s.slot_id = r.round_id << 20 | l.position;

CREATE VIEW vectors AS
SELECT r.round_id,
       j.name AS job,
       strftime('%Y-%m-%dT%H:%M:%S', r.due_at / 1000000, 'unixepoch') || printf('.%03dZ', r.due_at / 1000 % 1000) AS due_at,
       '[' || (SELECT group_concat(document, ',')
               FROM (SELECT coalesce(s.body, 'null') AS document
                     FROM slot s WHERE s.slot_id BETWEEN r.round_id << 20 AND r.round_id << 20 | 1048575
                     ORDER BY s.slot_id)) || ']' AS vector
FROM round r
JOIN job j ON j.job_id = r.job_id
WHERE r.ok IS NOT NULL;

CREATE VIEW latest AS
SELECT o.*
FROM job j
JOIN observations o ON o.round_id = (SELECT r.round_id FROM round r
                                     WHERE r.job_id = j.job_id AND r.status = 'complete'
                                     ORDER BY r.round_id DESC LIMIT 1);

-- Rounds without a failure are passed over before their slots are looked at; otherwise as in observations.
CREATE VIEW failures AS
SELECT j.name AS job,
       e.name AS endpoint,
       r.round_id,
       strftime('%Y-%m-%dT%H:%M:%S', r.due_at / 1000000, 'unixepoch') || printf('.%03dZ', r.due_at / 1000 % 1000) AS due_at,
       s.outcome, s.http_status, s.attempts, s.detail,
       json_extract(s.phases, '$.reached') AS phase,
       v.guess, v.headers, v.body
FROM round r
JOIN job j ON j.job_id = r.job_id
JOIN layout_slot l ON l.layout_id = r.layout_id
JOIN endpoint e ON e.endpoint_id = l.endpoint_id
CROSS JOIN slot s ON s.slot_id = r.round_id << 20 | l.position
LEFT JOIN evidence v ON v.evidence_id = s.evidence_id
WHERE r.failed > 0 AND s.outcome <> 'ok';
