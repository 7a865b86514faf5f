//! What people copy: the README's queries and the dashboards, on the file and the API of a daemon that runs.

mod support;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use gatherd::sample_api::SampleApi;
use reqwest::Method;
use rusqlite::types::Value as Cell;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use support::sample_api;
use support::web::Web;

/// A daemon with two jobs, one of which is slower than its cadence, after some rounds of both.
struct Running {
    web: Mutex<Web>,
    _api: SampleApi,
}

/// The daemon that tests which run at the same time share. The last of them ends it.
fn running() -> Arc<Running> {
    static SHARED: Mutex<Weak<Running>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let running = Arc::new(Running::start());
        *shared = Arc::downgrade(&running);
        running
    })
}

impl Running {
    fn start() -> Self {
        let api = sample_api();
        let endpoint = |name: &str, path: &str| format!("{{ name = {name:?}, url = {:?} }}", api.url(path));
        let analytics = [
            endpoint("visits", "/figures/visits"),
            endpoint("signups", "/figures/signups"),
            endpoint("flaky", "/flaky"),
            endpoint("partners", "/html-500"),
        ];
        let jobs = format!(
            "[defaults]\nretries = 0\n\
             [[job]]\nname = \"analytics\"\nevery = \"1s\"\nendpoints = [{}]\n\
             [[job]]\nname = \"billing\"\nevery = \"1s\"\ndeadline = \"5s\"\nendpoints = [{}]\n",
            analytics.join(", "),
            endpoint("invoices", "/delay/1500"),
        );
        let web = Web::start("", &jobs);
        web.daemon.wait_for_rounds("billing", 2);
        web.daemon.wait_for_rounds("analytics", 3);
        Self { web: Mutex::new(web), _api: api }
    }

    fn web(&self) -> MutexGuard<'_, Web> {
        self.web.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, sql: &str) -> Table {
        let connection = self.web().home.read();
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let count = columns.len();
        let rows = statement.query_map([], |row| (0..count).map(|index| row.get(index)).collect());
        let rows = rows.and_then(Iterator::collect).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
        let plan = explained.query_map([], |row| row.get("detail")).and_then(Iterator::collect).expect("a plan");
        Table { columns, rows, plan }
    }
}

/// What a query answers.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
    plan: Vec<String>,
}

impl Table {
    /// The rows whose `column` is this text.
    fn having(&self, column: &str, text: &str) -> Vec<&Vec<Cell>> {
        let index = self.columns.iter().position(|name| name == column).expect("such a column");
        self.rows.iter().filter(|row| row[index] == Cell::Text(text.to_owned())).collect()
    }
}

/// A file of the source tree.
fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is in the source tree")
}

/// The README's numbered queries, in their order.
fn queries() -> Vec<String> {
    let readme = source("README.md");
    let blocks = readme.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .filter(|block| block.starts_with("/* ") && block[3..].starts_with(char::is_numeric))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_ten_queries_of_the_readme_answer_and_none_reads_all_slots() {
    let (running, queries) = (running(), queries());
    assert_eq!(queries.len(), 10);
    let columns = [
        "due_at users change outcome",
        "hour users lowest highest missing",
        "due_at visits signups",
        "job endpoint outcome detail last_ok",
        "endpoint slots ok percent",
        "first_due last_due rounds outcomes",
        "endpoint answers p50 p95 slowest",
        "job endpoint outcome http_status phase guess times last_due",
        "day job status cause dues",
        "key type documents first_due last_due",
    ];
    for (number, (sql, columns)) in queries.iter().zip(columns).enumerate() {
        let table = running.ask(sql);
        assert!(sql.starts_with(&format!("/* {}. ", number + 1)), "{sql}");
        assert_eq!(table.columns.join(" "), columns);
        assert!(!table.rows.is_empty(), "{sql}");
        assert!(!table.plan.iter().any(|step| step.starts_with("SCAN s")), "{sql}: {:#?}", table.plan);
    }
}

#[test]
fn the_ten_queries_of_the_readme_say_what_happened() {
    let running = running();
    let tables: Vec<Table> = queries().iter().map(|sql| running.ask(sql)).collect();
    let text = |text: &str| Cell::Text(text.to_owned());
    let [figure, hours, side_by_side, failing, uptime, outages, latency, why, ledger, shape] = &tables[..] else {
        panic!("ten");
    };
    assert!(figure.rows.len() >= 4 && figure.rows[0][2] == Cell::Null, "nothing came before the first");
    assert!(figure.rows.iter().all(|row| matches!(row[1], Cell::Integer(_)) && row[3] == text("ok")));
    assert!(figure.rows.iter().skip(1).all(|row| matches!(row[2], Cell::Integer(_))));
    assert!(hours.rows.iter().all(|row| matches!(row[1], Cell::Real(_)) && row[4] == Cell::Integer(0)));
    assert!(side_by_side.rows.iter().all(|row| matches!(row[..], [_, Cell::Integer(_), Cell::Integer(_)])));
    assert_eq!(failing.having("endpoint", "partners")[0][4], Cell::Null, "it never worked");
    assert_eq!(uptime.having("endpoint", "signups")[0][3], Cell::Real(100.0));
    assert_eq!(uptime.rows[0][0], text("partners"), "the least reliable first");
    assert_eq!(outages.rows[0][2..], [Cell::Integer(2), text("http_status")], "twice 503, then well");
    assert_eq!(latency.having("endpoint", "partners").len(), 0);
    assert_eq!(latency.having("endpoint", "visits").len(), 1);
    assert_eq!(
        why.having("endpoint", "partners")[0][2..6],
        [text("http_status"), Cell::Integer(500), text("headers"), text("error document")]
    );
    assert_eq!(ledger.having("job", "billing")[0][2..4], [text("skipped"), text("overlap")]);
    assert_eq!(shape.having("key", "users")[0][1], text("integer"));
}

#[test]
fn datasette_shows_each_view_with_a_description_and_hides_each_table_of_our_own() {
    let metadata = source("deploy/datasette/metadata.yaml");
    let sql = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'";
    for row in running().ask(sql).rows {
        let [Cell::Text(kind), Cell::Text(name)] = &row[..] else { panic!("texts") };
        let wanted = match kind.as_str() {
            "view" => format!("\n      {name}:\n        description: "),
            _ => format!("\n      {name}: {{hidden: true}}\n"),
        };
        assert!(metadata.contains(&wanted), "{kind} {name}");
    }
}

/// The panels of a dashboard, each with its first target.
fn panels(dashboard: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    panels.iter().map(|panel| (panel["title"].as_str().expect("a title"), &panel["targets"][0]))
}

/// The queries behind a dashboard's variables.
fn variables(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    variables.iter().filter(|variable| variable["type"] == "query").map(|variable| &variable["query"])
}

/// `text` as Grafana fills it in.
fn filled(text: &str) -> String {
    let now = chrono::Utc::now();
    let (from, until) = (now - chrono::TimeDelta::hours(1), now + chrono::TimeDelta::hours(1));
    let iso = |moment: chrono::DateTime<chrono::Utc>| moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let values = [
        ("${__from:date:iso}", iso(from)),
        ("${__to:date:iso}", iso(until)),
        ("$__from", from.timestamp_millis().to_string()),
        ("$__to", until.timestamp_millis().to_string()),
        ("$__interval_ms", "500".to_owned()),
        ("$__interval", "1m".to_owned()),
        ("${job:sqlstring}", "'analytics'".to_owned()),
        ("${endpoint:sqlstring}", "'signups'".to_owned()),
        ("${field:sqlstring}", "'$.users'".to_owned()),
        ("${job:percentencode}", "analytics".to_owned()),
        ("${endpoint:percentencode}", "signups".to_owned()),
        ("${field}", "/users".to_owned()),
    ];
    let text = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    assert!(!text.contains("${") && !text.contains("$__"), "unknown to Grafana: {text}");
    text
}

#[test]
fn each_panel_over_the_file_has_sql_that_answers() {
    let dashboard: Value = serde_json::from_str(&source("deploy/grafana/dashboards/file.json")).expect("JSON");
    let running = running();
    for (title, target) in panels(&dashboard) {
        assert_eq!(target["queryText"], target["rawQueryText"], "{title}");
        let table = running.ask(&filled(target["queryText"].as_str().expect("SQL")));
        assert!(!table.rows.is_empty(), "{title}");
        assert!(!table.plan.iter().any(|step| step.starts_with("SCAN s")), "{title}: {:#?}", table.plan);
        if target["queryType"] == "time series" {
            assert!(table.columns[0] == "time" && matches!(table.rows[0][0], Cell::Integer(_)), "{title}");
            assert!(
                table.rows.is_sorted_by_key(|row| if let Cell::Integer(time) = row[0] { time } else { 0 }),
                "{title}"
            );
        }
    }
    for query in variables(&dashboard) {
        assert!(!running.ask(&filled(query["queryText"].as_str().expect("SQL"))).rows.is_empty(), "{query}");
    }
}

#[test]
fn each_panel_over_the_api_names_what_the_daemon_answers() {
    let dashboard: Value = serde_json::from_str(&source("deploy/grafana/dashboards/api.json")).expect("JSON");
    let running = running();
    let of_variables = variables(&dashboard).map(|query| ("a variable", &query["infinityQuery"]));
    // Zoomed in, Grafana's own is shorter than the shortest stretch that the API knows.
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(!panel.to_string().contains("$__interval") || panel["interval"] == "1s", "{}", panel["title"]);
    }
    for (title, target) in panels(&dashboard).chain(of_variables) {
        let mut query = Serializer::new(String::new());
        for parameter in target["url_options"]["params"].as_array().expect("parameters") {
            let text = |key: &str| parameter[key].as_str().expect("text");
            query.append_pair(text("key"), &filled(text("value")));
        }
        let path = format!("{}?{}", filled(target["url"].as_str().expect("a URL")), query.finish());
        let answer = running.web().request(Method::GET, &path).send().expect("an answer");
        let (status, text) = (answer.status(), answer.text().expect("text"));
        assert_eq!(status, 200, "{title}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let rows = answer[target["root_selector"].as_str().expect("a name")].as_array();
        let row = rows.and_then(|rows| rows.first()).unwrap_or_else(|| panic!("{title}: {text}"));
        for column in target["columns"].as_array().expect("columns") {
            let name = column["selector"].as_str().expect("a name");
            assert!(row.get(name).is_some(), "{title} wants {name}: {row}");
        }
    }
}
