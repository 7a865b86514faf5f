//! What to try about an answer that is not the document: statuses, redirects, pages for people.

use super::{Failure, lines};
use crate::model::{Guess, Outcome};

const ASK_LESS: &str =
    "Ask less often: a longer `every`, a lower `rate`, or `max_per_host = 1` where many endpoints share the host.";
const SHARED_LIMIT: &str = "A limit counts a token or an address: does something else use the same one?";
const RETRIES_OR_PROVIDER: &str =
    "If it passes, a higher `retries` bridges it. If it stays, tell the provider when it happened and what came back.";

const ASK_FOR_JSON: &str =
    "Some servers choose by what is asked for: `headers = { Accept = \"application/json\" }`, or a format in `query`.";

pub fn http_status(failure: &Failure<'_>) -> Vec<String> {
    let status = failure.status.unwrap_or_default();
    if failure.says(&["error_if"]) {
        return lines([
            "The document came, and says that it is an error: see what came back.",
            "That is decided by `error_if`: change it if this is data after all.",
        ]);
    }
    if let Some(advice) = by_guess(failure).filter(|_| status != 401) {
        return advice;
    }
    match status {
        200..300 => lines([&format!(
            "This status carries no data here, because `success` does not have it: add {status} to it if it should."
        )]),
        304 => lines([
            "The server says \"not modified\", though it was not asked to compare: `headers` may set a condition, or it \
             does so to everybody. Without a document of before there is nothing to carry forward.",
        ]),
        300..400 => lines([
            "The server points elsewhere without saying where. Check the URL, and `headers` that set a condition.",
        ]),
        401 | 402 | 403 | 407 | 429 | 451 => refused(failure, status),
        400..500 => not_accepted(status),
        503 => lines(["The service is overloaded or down for a while.", RETRIES_OR_PROVIDER, ASK_LESS]),
        511 => lines([
            "Not the API answered, but the network between, which wants somebody to log in (a captive portal): do that in a \
             browser on this machine.",
        ]),
        502 | 504 | 520..=530 => lines([
            "What stands before the service does not reach it, or not in time: the trouble is on the provider's side.",
            RETRIES_OR_PROVIDER,
        ]),
        _ => lines([
            "The server failed: the trouble is on the provider's side, or what it is sent leads it there.",
            RETRIES_OR_PROVIDER,
        ]),
    }
}

/// The endpoint was not asked: there was no access token to ask it with. The detail says whose it would have been.
pub fn access_token(outcome: Outcome, failure: &Failure<'_>) -> Vec<String> {
    let told = failure.detail.split_once("access token from ").and_then(|(_, rest)| rest.split_once(": "));
    let at = told.map_or(String::new(), |(host, _)| format!(", at {host}"));
    let not_asked = format!("The endpoint itself was not asked: what failed is `token_url` of `oauth2`{at}.");
    let (host, detail) = told.unwrap_or(("the token endpoint", failure.detail));
    let further = match (failure.status, outcome) {
        (Some(400 | 401 | 403), _) => lines([
            "The token endpoint refuses the client: check `client_id` and `client_secret`, and `credentials_in = \"body\"` \
             where it does not take them in a header.",
            "`scopes` and `parameters` (such as an audience) may be missing, too.",
        ]),
        (Some(300..=399), _) => lines([
            "Redirects are not followed with a client's secret: write the URL that it leads to, which curl -i shows, as \
             `token_url`.",
        ]),
        (Some(429), _) => lines([
            "It is asked for tokens too often: by other programs with the same `client_id`, or because its tokens live \
             for a few seconds only.",
        ]),
        (Some(500..), _) => lines(["The trouble is on the provider's side; it is asked again with the next rounds."]),
        (None, Outcome::NotJson | Outcome::EmptyBody | Outcome::TooDeep | Outcome::TooLarge | Outcome::InvalidUtf8)
        | (Some(_), _) => lines([
            "It did not answer with a token: check `token_url`, and ask it by hand with curl.",
            "`scopes` and `parameters` (such as an audience) may be missing, too.",
        ]),
        _ => {
            // As for any other server.
            let (host, phase) = (host.to_owned(), None);
            super::by_outcome(outcome, &Failure { host, detail, phase, guess: None, location: None, ..*failure })
        }
    };
    [vec![not_asked], further].concat()
}

/// The pages of an answer do not lead on, or do not hold what they should.
pub fn pages() -> Vec<String> {
    lines([
        "A page came, but does not lead on as `pages` says: compare its members with the pointers there (`url`, `cursor`, \
         `items`).",
        "`max_pages` bounds how far a list is followed; a next page at another host or port is never asked for.",
    ])
}

/// Whoever asks may not.
fn refused(failure: &Failure<'_>, status: u16) -> Vec<String> {
    match status {
        401 => [credentials(failure), lines(["What came back may name what is wrong: see www-authenticate."])].concat(),
        402 => lines(["The provider wants to be paid: the plan or its quota is used up."]),
        407 => lines(["A proxy on the way wants to know who asks: check `proxy`, or the environment's https_proxy."]),
        429 => rate_limit(failure),
        451 => lines(["It is refused for legal reasons, mostly by where this machine's address is. Ask the provider."]),
        _ => {
            let others = lines([
                "Does this token have the right to read this, and may this machine's address ask?",
                "Some servers refuse whoever does not say who they are: `user_agent`.",
            ]);
            [credentials(failure), others].concat()
        }
    }
}

/// What is asked, or how, is wrong.
fn not_accepted(status: u16) -> Vec<String> {
    match status {
        404 | 410 => lines([
            "Nothing is there: check the path and `query` of the URL against the provider's documentation.",
            "Some APIs say it of what a token may not see: check `token` too.",
            &format!("If it means that there is no data yet, let it count: `success = [200, {status}]`."),
        ]),
        405 => lines(["The URL is right, the `method` is not. What came back may list the right ones: see allow."]),
        406 | 415 => {
            lines(["The server does not offer or take this format: `headers = { Accept = …, Content-Type = … }`."])
        }
        413 | 414 | 431 => lines(["The request is too large for the server: a smaller `json`, `query` or `headers`."]),
        426 => lines(["The server wants another protocol: mostly https:// in place of http:// in the URL."]),
        _ => lines([
            "The server does not take what it is sent. What came back often says what is wrong.",
            "Compare `method`, `query`, `json` and `headers` with the provider's documentation.",
        ]),
    }
}

/// What an answer looks like says more than its status.
fn by_guess(failure: &Failure<'_>) -> Option<Vec<String>> {
    match failure.guess? {
        Guess::BotWall => Some(lines([
            "This is a wall against scripts, not the API. Say who you are: `user_agent = \"name (you@example.com)\"`.",
            "Ask the provider for the host that is meant for programs, or to let this machine's address through.",
        ])),
        Guess::LoginPage => Some(login_page(failure)),
        Guess::MaintenancePage => Some(lines([
            "The service says that it is down for a while. Nothing has to be done: the next rounds ask again.",
        ])),
        Guess::RateLimit => Some(rate_limit(failure)),
        Guess::ErrorDocument => None,
    }
}

fn login_page(failure: &Failure<'_>) -> Vec<String> {
    [
        credentials(failure),
        lines([
            "If they are right, this is the URL of a page for people: use the API's, which never asks for a login.",
        ]),
    ]
    .concat()
}

fn rate_limit(failure: &Failure<'_>) -> Vec<String> {
    lines([&format!("{} answers only so many requests. {ASK_LESS}", failure.host), SHARED_LIMIT])
}

fn credentials(failure: &Failure<'_>) -> Vec<String> {
    if failure.credentials == Some(false) {
        return lines([
            "No credentials were sent: set `token`, `basic` or `oauth2` for the endpoint, its job or in [defaults].",
        ]);
    }
    lines([
        "Is the token current, and is it one for this API? `gatherd check` shows where it is read from.",
        "Does the API want it elsewhere than as Authorization: Bearer? `token_header = \"X-API-Key\"`, \
         `token_query = \"api_key\"`, `token_scheme = \"Token\"`, or `basic` or `oauth2` in its place.",
    ])
}

pub fn redirect(failure: &Failure<'_>) -> Vec<String> {
    if failure.guess == Some(Guess::LoginPage) {
        return login_page(failure);
    }
    let target = failure.location.map(|target| format!(": {target}")).unwrap_or_default();
    if failure.says(&["more than"]) {
        return lines([
            "So many redirects are mostly a loop, as when a cookie or a token is missing. See where a browser ends.",
            &format!("Use the last URL of them{target}, or raise `redirects`."),
        ]);
    }
    if failure.says(&["origin"]) {
        return lines([
            &format!("Put the new URL into the config{target}."),
            "It is of another origin, where redirects are never followed: credentials would go along.",
        ]);
    }
    lines([
        &format!("Put the new URL into the config{target}."),
        "Or follow it, as long as it stays at the same scheme, host and port: `redirects = 1`.",
        "If it leads to a login, the token is missing or not accepted: `token`, `token_header`, \
         `token_scheme`, `token_query`.",
    ])
}

pub fn not_json(failure: &Failure<'_>) -> Vec<String> {
    if let Some(advice) = by_guess(failure) {
        return advice;
    }
    if failure.says(&["html", "xml"]) {
        return lines([
            "A page came instead of data. Use the API's URL, not the one that shows the same in a browser.",
            ASK_FOR_JSON,
        ]);
    }
    if failure.says(&["trailing"]) {
        return lines([
            "Something follows the document. A line of JSON after the other (NDJSON) is not one document: ask for an \
             array, with `query` or `headers = { Accept = \"application/json\" }`.",
        ]);
    }
    lines([
        "What came is not JSON as RFC 8259 has it (NaN, comments and callbacks are not). See what came back.",
        ASK_FOR_JSON,
    ])
}

pub fn empty_body(failure: &Failure<'_>) -> Vec<String> {
    let first = match failure.status {
        Some(status @ (204 | 205)) => {
            format!("{status} means that there is nothing: is it the URL that has the data, and the right `method`?")
        }
        _ => {
            "The server said yes and sent nothing: is it the URL that has the data, and the right `method`?".to_owned()
        }
    };
    lines([&first, "Some APIs are empty until a range is asked for: `query`."])
}

/// A body that came and is no document.
pub fn unusable(outcome: Outcome) -> Vec<String> {
    match outcome {
        Outcome::TooLarge => lines([
            "Raise `max_body`, for example `max_body = \"16MiB\"`; memory is needed for it in each of the workers.",
            "Or ask for less: many APIs take a limit, a range or a list of fields in `query`.",
        ]),
        Outcome::Encoding => lines([
            "Ask for an answer that is not compressed: `headers = { Accept-Encoding = \"identity\" }`.",
            "If it fails as well, the server or a proxy in between breaks its answers: tell its operator.",
        ]),
        Outcome::Truncated => lines([
            "The server or a proxy in between broke off its own answer. Where that passes, a higher `retries` helps.",
            "If it always breaks off at the same place, it is a limit of size or time: ask for less with `query`.",
        ]),
        Outcome::InvalidUtf8 => lines([
            "JSON has to be UTF-8. Ask for it: `headers = { Accept = \"application/json; charset=utf-8\" }`.",
            "If nothing changes, the provider has to mend it. Check too that the URL is no download of another kind.",
        ]),
        // Too deep.
        _ => lines([
            "Over 128 levels of nesting are mostly a loop in what the provider writes. Ask for a flatter form with \
             `query`, if there is one.",
        ]),
    }
}

pub fn backoff(failure: &Failure<'_>) -> Vec<String> {
    let asked =
        format!("{} asked to be left alone for a while; gatherd asks again by itself afterwards.", failure.host);
    lines([&asked, ASK_LESS, SHARED_LIMIT])
}
