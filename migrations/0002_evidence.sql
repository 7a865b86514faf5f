-- What a failure leaves to look at, and what is remembered from one round to the next, over a restart.

-- How far a failed slot's last attempt came: JSON, {"reached":"headers","dns_us":1500,…}.
ALTER TABLE slot ADD COLUMN phases TEXT;
-- Both may point at rows that are gone: the tables below are bounded.
ALTER TABLE slot ADD COLUMN sent_id INTEGER;
ALTER TABLE slot ADD COLUMN evidence_id INTEGER;

-- What was sent, without secrets: equal but for numbers it is kept once for an endpoint. The newest 10,000 are kept.
CREATE TABLE sent (
    sent_id     INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL UNIQUE, -- of the endpoint as well
    first_seen  INTEGER NOT NULL,
    request     TEXT NOT NULL
) STRICT;

-- What came back, without secrets: equal but for numbers and dates it is kept once for all. The newest 10,000 are kept.
CREATE TABLE evidence (
    evidence_id INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL UNIQUE,
    first_seen  INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    headers     TEXT NOT NULL,
    body        TEXT NOT NULL,    -- its beginning
    cut         INTEGER NOT NULL, -- 1 when the body went on
    guess       TEXT
) STRICT;

-- The last document of an endpoint that came with validators (RFC 9110, section 13); it is the body of that slot.
CREATE TABLE validators (
    endpoint_id   INTEGER PRIMARY KEY REFERENCES endpoint,
    request       INTEGER NOT NULL, -- the request's fingerprint, 64 bits
    etag          TEXT,
    last_modified TEXT,
    round_id      INTEGER NOT NULL,
    position      INTEGER NOT NULL
) STRICT;

-- The due of the last success of endpoints whose requests ask for it.
CREATE TABLE last_ok (
    endpoint_id INTEGER PRIMARY KEY REFERENCES endpoint,
    due_at      INTEGER NOT NULL
) STRICT;

-- Hosts that asked to be left alone.
CREATE TABLE host_pause (
    host  TEXT PRIMARY KEY, -- with its port
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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
CROSS JOIN slot s ON s.round_id = r.round_id AND s.position = l.position
LEFT JOIN evidence v ON v.evidence_id = s.evidence_id
WHERE r.failed > 0 AND s.outcome <> 'ok';
