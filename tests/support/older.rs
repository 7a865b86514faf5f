//! Files as older versions wrote them.

use std::path::Path;

use rusqlite::Connection;

/// A file as the first version wrote it: two rounds of two endpoints, and one that a kill cut off.
pub fn version_1(path: &Path) {
    let file = Connection::open(path).expect("made");
    file.pragma_update(None, "auto_vacuum", "INCREMENTAL").expect("set");
    file.pragma_update(None, "application_id", 0x6774_6864).expect("set");
    file.execute_batch(include_str!("../../migrations/0001_rounds.sql")).expect("a schema");
    file.execute_batch(
        "INSERT INTO job VALUES (1, 'job');
         INSERT INTO endpoint VALUES (1, 1, 'e0', 'https://api.example.com/e0'),
             (2, 1, 'e1', 'https://api.example.com/e1');
         INSERT INTO layout VALUES (1, 1);
         INSERT INTO layout_slot VALUES (1, 0, 1), (1, 1, 2);
         INSERT INTO round VALUES (1, 1, 1, 1000000, 1000000, 1001000, 'complete', NULL, 1, 2, 2, 0),
             (2, 1, 1, 2000000, 2000000, 2001000, 'complete', NULL, 1, 2, 1, 1),
             (3, 1, 1, 3000000, 3000000, NULL, 'running', NULL, 1, 2, NULL, NULL);
         INSERT INTO slot VALUES (1, 0, 1000500, 'ok', 200, 1, 500, '1e400', NULL),
             (1, 1, 1000500, 'ok', 200, 1, 500, 'null', NULL),
             (2, 0, 2000500, 'ok', 200, 1, 500, '{\"a\":1}', NULL),
             (2, 1, 2000500, 'timeout', NULL, 3, 500, NULL, 'connect');
         PRAGMA user_version = 1;",
    )
    .expect("rounds");
}

/// What the fifth version added to that: how far the slot came that failed, what was sent and what came back.
pub fn version_5(path: &Path) {
    version_1(path);
    let file = Connection::open(path).expect("opened");
    for migration in [
        include_str!("../../migrations/0002_evidence.sql"),
        include_str!("../../migrations/0003_round_by_due.sql"),
        include_str!("../../migrations/0004_rollups.sql"),
        include_str!("../../migrations/0005_notify.sql"),
        "INSERT INTO sent VALUES (7, x'01', 2000000, 'GET /', 2000000);
         INSERT INTO evidence VALUES (9, x'02', 2000000, 503, '', 'Back soon', 0, 'maintenance page', 2000000);
         UPDATE slot SET phases = '{\"reached\":\"headers\"}', sent_id = 7, evidence_id = 9 WHERE outcome = 'timeout';
         PRAGMA user_version = 5;",
    ] {
        file.execute_batch(migration).expect("migrated");
    }
}
