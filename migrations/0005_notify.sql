-- What those who are told of failures ([[notify]]) know, over a restart. Both tables hold only what goes on.

CREATE TABLE incident (
    target   TEXT NOT NULL,    -- the name of a [[notify]]
    job      TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    rounds   INTEGER NOT NULL, -- failed in a row; counting ends once it is told
    since    INTEGER NOT NULL, -- the due of the first of them
    told     INTEGER NOT NULL, -- 1 when its recovery is to be told
    PRIMARY KEY (target, job, endpoint)
) STRICT, WITHOUT ROWID;

-- When each was told of trouble last.
CREATE TABLE told (
    target  TEXT NOT NULL,
    subject TEXT NOT NULL,     -- a host with its port; empty for the daemon itself
    told_at INTEGER NOT NULL,
    open    INTEGER NOT NULL,  -- 1 when the end of the daemon's trouble is to be told
    PRIMARY KEY (target, subject)
) STRICT, WITHOUT ROWID;
