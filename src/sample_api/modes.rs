//! The table of endpoints, and the way from a request to the one it asks for.

use std::time::Duration;

use super::codings as code;
use super::conditional as cond;
use super::documents as doc;
use super::evidence as page;
use super::faults as bad;
use super::oauth;
use super::pages;
use super::request::Request;
use super::respond::{After, HTML, JSON, answer};
use super::stats::Stats;

/// One endpoint of the sample API.
///
/// The first segment of a path chooses the mode. What follows is its argument where it takes one, and
/// otherwise free: `/slow/1` and `/slow/2` are two endpoints of the same behaviour.
#[derive(Debug)]
pub struct Mode {
    /// A path that shows the mode, its argument filled in.
    pub path: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// The outcome of one attempt at `path` without a token: with the defaults for everything (so at most
    /// 1 MiB of body, no redirect), and a timeout from one second to five.
    pub outcome: &'static str,
    play: Play,
}

/// A request, and what the server remembers.
pub(super) struct Call<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) stats: &'a Stats,
    /// The scheme of the URL that led here.
    pub(super) scheme: &'static str,
}

impl Call<'_> {
    /// How many times its path and query have been asked for before. Each call counts, so it is for one a request.
    pub(super) fn nth(&self) -> u64 {
        let Request { path, query, .. } = self.request;
        self.stats.next_in_cycle(&format!("{path}?{}", query.unwrap_or_default()))
    }
}

#[derive(Debug)]
enum Play {
    /// A whole answer with this status, content type and body.
    Page(u16, &'static str, &'static [u8]),
    /// These bytes as they are, and then that.
    Raw(&'static [u8], After),
    Call(fn(&Call<'_>, &mut Vec<u8>) -> After),
}

/// Answers a request: appends what is to be written at once, and says what comes after.
pub(super) fn play(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let segment = call.request.segment();
    let Some(mode) = MODES.iter().find(|mode| mode.segment() == segment) else {
        return doc::not_found(call, out);
    };
    match mode.play {
        Play::Page(number, content_type, body) => answer(out, number, content_type, body),
        Play::Raw(bytes, after) => {
            out.extend_from_slice(bytes);
            after
        }
        Play::Call(handler) => handler(call, out),
    }
}

impl Mode {
    /// The first segment of the path.
    fn segment(&self) -> &'static str {
        let path = &self.path[1..];
        path.split_once(['/', '?']).map_or(path, |(segment, _)| segment)
    }
}

type Text = &'static str;
type Handler = fn(&Call<'_>, &mut Vec<u8>) -> After;

const fn call(path: Text, outcome: Text, about: Text, handler: Handler) -> Mode {
    Mode { path, about, outcome, play: Play::Call(handler) }
}

const fn json(path: Text, outcome: Text, about: Text, body: &'static [u8]) -> Mode {
    Mode { path, about, outcome, play: Play::Page(200, JSON, body) }
}

const fn html(path: Text, outcome: Text, about: Text, status: u16, body: &'static [u8]) -> Mode {
    Mode { path, about, outcome, play: Play::Page(status, HTML, body) }
}

const fn error(path: Text, outcome: Text, about: Text, status: u16, body: &'static [u8]) -> Mode {
    Mode { path, about, outcome, play: Play::Page(status, JSON, body) }
}

const fn raw(path: Text, outcome: Text, about: Text, bytes: &'static [u8], after: After) -> Mode {
    Mode { path, about, outcome, play: Play::Raw(bytes, after) }
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const REFUSED: After = After::Reset(Duration::ZERO);
const READ_THEN_RESET: After = After::Reset(ms(50));
const DRIPPING: After = After::Forever(b" ", ms(100));
const DRIPPING_HEADERS: After = After::Forever(bad::HEADER_LINE, ms(200));
const INTERIM_FOREVER: After = After::Forever(bad::INTERIM, ms(10));
const INFINITE: After = After::Forever(&bad::ENDLESS_CHUNK, Duration::ZERO);

const TRICKLING: After = After::Bytewise(doc::HEALTHY_ANSWER, ms(1));
const FLOODING: After = After::Forever(bad::FILLER, Duration::ZERO);
const TRAILING: After = After::Forever(bad::HEADER_LINE, Duration::ZERO);

const PAST: &str = "/rate-limited?after=Sun,%2006+Nov+1994%2008:49:37%20GMT";
const HUGE: &[u8] = br#"{"big":1e400,"digits":1234567890123456789012345678901234567890,"zero":-0.0,"a":1,"a":2,"exact":0.1000000000000000055511151231257827}"#;
const UTF16: &[u8] = b"\xff\xfe{\0\"\0a\0\"\0:\x001\0}\0";

/// Every mode with a path that shows it, what it does, and the outcome it should be given.
#[rustfmt::skip]
pub const MODES: &[Mode] = &[
    call("/healthy", "ok", "figures that never change, 147 bytes", doc::healthy),
    call("/figures/shop", "ok", "/figures/NAME: figures that drift with the clock, each name its own", doc::figures),
    call("/delay/50", "ok", "/delay/MS: healthy after so many milliseconds", doc::delay),
    raw("/slow", "ok", "healthy after 300 ms", b"", After::Wait(ms(300))),
    raw("/trickle", "ok", "healthy, a byte each millisecond from the status line on", b"", TRICKLING),
    call("/echo", "ok", "what was received, as JSON", doc::echo),
    raw("/chunked", "ok", "a body in chunks, with an extension and a trailer", bad::CHUNKED, After::Keep),
    raw("/early-hints", "ok", "a 103 before the answer", bad::EARLY_HINTS, After::Keep),
    call("/many-1xx", "ok", "1000 interim responses before the answer", bad::many_1xx),
    raw("/http10", "ok", "HTTP/1.0 without a length, read to the end", bad::HTTP10, After::Close),
    raw("/ok-then-close", "ok", "a whole answer, then FIN without having said so", bad::WHOLE, After::Close),

    // Lists in pages: four of three items each, or ?pages=N and ?items=N
    call("/pages-link", "ok", "the next page in Link headers, by ?page=N", pages::link),
    call("/pages-url", "ok", "the next page's URL at /next, null on the last", pages::url),
    call("/pages-cursor", "ok", "a cursor at /meta/next_cursor; at the end empty, or /absent, or /null", pages::cursor),
    call("/pages-counter?page=1", "ok", "?page=N from 1; no items behind the last", pages::counter),
    call("/pages-offset?offset=0", "ok", "?offset=N from 0; no items behind the last", pages::offset),
    call("/pages-broken", "ok", "the third page is a 500; the next one by header, URL and cursor", pages::broken),
    call("/pages-loop", "ok", "the next page is the same page", pages::circular),
    call("/pages-endless", "ok", "there is always a next page", pages::endless),
    call("/pages-away?url=http://other.example/", "ok", "?url=URL: the next page is there", pages::away),

    // What is asked for anew
    call("/etag", "ok", "an ETag; 304 for who knows it", cond::etag),
    call("/etag-changing/3", "ok", "/etag-changing/N: document and ETag change every N requests", cond::etag_changing),
    call("/last-modified", "ok", "Last-Modified; 304 for who knows it", cond::last_modified),
    call("/always-304", "http_status", "304 to everybody", cond::always_304),

    // OAuth 2.0 with client credentials
    call("/oauth-token", "http_status", "POST: a new token; ?expires=SECONDS", oauth::token),
    call("/oauth-guarded", "http_status", "401 without a token from /oauth-token", oauth::guarded),
    call("/oauth-revoke", "ok", "makes all tokens invalid", oauth::revoke),
    raw("/oauth-hang", "timeout", "a token endpoint that never answers", b"", After::Hang),

    // No answer, or a late one
    raw("/hang", "timeout", "reads the request and never answers", b"", After::Hang),
    raw("/drip", "timeout", "a byte of body each 100 ms, for ever", bad::TO_THE_END, DRIPPING),
    raw("/drip-headers", "timeout", "a header line each 200 ms, for ever", bad::HEADERS_BEGUN, DRIPPING_HEADERS),
    raw("/endless-1xx", "timeout", "100 and 103 responses for ever", b"", INTERIM_FOREVER),
    raw("/reset", "reset", "RST before any answer", b"", REFUSED),
    raw("/reset-body", "reset", "RST in the middle of the body", bad::TRUNCATED, READ_THEN_RESET),
    raw("/close", "reset", "FIN before any byte of an answer", b"", After::Close),
    raw("/close-in-headers", "reset", "FIN in the middle of the headers", bad::HEADERS_CUT, After::Close),

    // Statuses
    html("/html-500", "http_status", "an HTML page with status 500", 500, doc::PAGE),
    call("/guarded", "http_status", "403 without the sample token and a gatherd user agent", doc::guarded),
    call("/rate-limited", "http_status", "429 with Retry-After: 30, or ?after=VALUE", doc::rate_limited),
    call("/rate-limited?after=soon", "http_status", "429 with a Retry-After that is no time", doc::rate_limited),
    call(PAST, "http_status", "429 with a Retry-After that is past", doc::rate_limited),
    call("/wait-once?after=1", "http_status", "503 with Retry-After once, then healthy; each path and query counts for itself", doc::wait_once),
    call("/flaky", "http_status", "503 twice, then healthy; each path and query counts for itself", doc::flaky),
    call("/status/418", "http_status", "/status/CODE: any status; ?after=VALUE adds Retry-After", doc::status),
    raw("/part", "http_status", "206 with a part that nobody asked for", bad::PART, After::Keep),
    raw("/switching-protocols", "http_status", "101, and a WebSocket begins", bad::SWITCHING_PROTOCOLS, After::Hang),
    html("/no-content", "empty_body", "204", 204, b""),
    json("/empty", "empty_body", "200 with a Content-Length of 0", b""),
    raw("/empty-chunked", "empty_body", "200 with no chunk but the last", bad::CHUNKED_NOTHING, After::Keep),
    call("/redirect", "redirect", "302 to /healthy", doc::redirect),
    call("/redirect-away", "redirect", "302 to a cloud's metadata address", doc::redirect_away),
    call("/redirect-scheme", "redirect", "302 to a file: URL", doc::redirect_scheme),
    call("/redirect-to?url=/healthy", "redirect", "/redirect-to?url=URL: 302 to there", doc::redirect_url),
    call("/redirect-hops/3", "redirect", "/redirect-hops/N: N times 302, then /healthy", doc::redirect_hops),
    call("/redirect-loop", "redirect", "302 to itself", doc::redirect_loop),
    raw("/redirect-nowhere", "http_status", "302 without a Location", bad::REDIRECT_NOWHERE, After::Keep),
    raw("/location", "ok", "200 with a Location, which means nothing there", bad::LOCATION_200, After::Keep),

    // What servers send instead of data
    call("/bot-wall", "http_status", "403 and a challenge, as Cloudflare has it", page::bot_wall),
    html("/login-page", "not_json", "200 and a form for a password", 200, page::LOGIN),
    html("/maintenance", "http_status", "503 and a notice", 503, page::MAINTENANCE),
    error("/error-document", "http_status", "400 and a problem document", 400, page::PROBLEM),
    json("/error-200", "ok", "200 and a document that says that there is an error", page::ERROR),
    call("/secret-echo", "http_status", "500 with a page that shows the token it was sent", doc::secret_echo),
    call("/secret-echo-everywhere", "http_status", "500 that shows all it was sent, in headers and in five spellings", page::secret_echo_everywhere),
    raw("/stalled-refusal", "http_status", "403 whose body stalls after its first byte", bad::STALLED_REFUSAL, After::Hang),

    // HTTP that is unusual, and allowed
    raw("/no-reason", "ok", "a status line without a reason", bad::NO_REASON, After::Keep),
    raw("/bare-lf", "ok", "lines that end without CR", bad::BARE_LF, After::Keep),
    raw("/latin1-header", "ok", "a header in Latin-1", bad::LATIN1_HEADER, After::Keep),
    raw("/same-length-twice", "ok", "the same Content-Length twice", bad::SAME_LENGTH_TWICE, After::Keep),
    raw("/chunked-and-length", "ok", "a Content-Length beside chunks, which count", bad::CHUNKED_AND_LENGTH, After::Keep),
    raw("/two-answers", "ok", "an answer nobody asked for behind the one that was", bad::TWO_ANSWERS, After::Keep),
    call("/headers/50", "ok", "/headers/N: so many short header lines", bad::headers),
    call("/header/50000", "ok", "/header/BYTES: one header with a value of so many bytes", bad::header),

    // HTTP that is broken
    raw("/truncated", "truncated", "closes before Content-Length is reached", bad::TRUNCATED, After::Close),
    raw("/truncated-chunked", "truncated", "closes before the last chunk", bad::TRUNCATED_CHUNKED, After::Close),
    raw("/garbage", "protocol", "bytes that are not HTTP", bad::GARBAGE, After::Close),
    raw("/http09", "protocol", "HTML without a status line", bad::HTTP09, After::Close),
    raw("/http99", "protocol", "a version of HTTP that is not yet", bad::FUTURE_VERSION, After::Close),
    raw("/status-zero", "protocol", "the status 000", bad::STATUS_ZERO, After::Close),
    raw("/status-thousand", "protocol", "a status of four digits", bad::FOUR_DIGITS, After::Close),
    raw("/two-lengths", "protocol", "two different Content-Length headers", bad::TWO_LENGTHS, After::Close),
    raw("/absurd-length", "protocol", "a Content-Length over 64 bits", bad::ABSURD_LENGTH, After::Close),
    raw("/negative-length", "protocol", "a Content-Length below zero", bad::NEGATIVE_LENGTH, After::Close),
    raw("/chunk-overflow", "protocol", "a chunk size over 64 bits", bad::CHUNK_OVERFLOW, After::Close),
    raw("/chunk-too-long", "protocol", "a chunk longer than it says", bad::CHUNK_TOO_LONG, After::Close),
    raw("/endless-chunk-extension", "protocol", "a chunk size line that never ends", bad::CHUNK_EXTENSION_BEGUN, FLOODING),
    raw("/endless-trailers", "protocol", "trailers that never end", bad::TRAILERS_BEGUN, TRAILING),
    raw("/endless-header", "protocol", "a header line that never ends", bad::HEADER_BEGUN, FLOODING),
    raw("/nul-header", "protocol", "a NUL in a header", bad::NUL_HEADER, After::Close),
    raw("/folded-header", "ok", "a header over two lines, as it was once allowed", bad::FOLDED_HEADER, After::Close),
    raw("/space-before-colon", "protocol", "a blank behind a header's name", bad::SPACE_BEFORE_COLON, After::Close),
    call("/headers-100k", "protocol", "over 100 KiB of headers in 450 lines", bad::headers_100k),
    call("/headers-400k", "protocol", "over 400 KiB of headers in 50 lines", bad::headers_400k),

    // Sizes
    call("/big/1048576", "ok", "/big/BYTES: a JSON document of exactly so many bytes", doc::big),
    call("/big/1048577", "too_large", "a JSON document one byte over 1 MiB", doc::big),
    raw("/infinite", "too_large", "an array that never ends, in chunks", bad::ENDLESS_HEAD, INFINITE),
    raw("/declared-huge", "too_large", "announces 100 MiB and says no more", bad::DECLARED_HUGE, After::Hang),
    call("/gzip-bomb", "too_large", "10 MiB in 67 kB of gzip", code::gzip_bomb),
    call("/deflate-bomb", "too_large", "10 MiB in 67 kB of deflate", code::deflate_bomb),
    call("/br-bomb", "too_large", "1 GiB in 1 kB of brotli", code::brotli_bomb),
    call("/zstd-bomb", "too_large", "1 GiB in 33 kB of zstd", code::zstd_bomb),

    // Content codings
    call("/gzip", "ok", "compressed with gzip", code::gzip),
    call("/gzip-members", "ok", "a gzip file of two members", code::gzip_members),
    call("/deflate", "ok", "compressed with deflate", code::deflate),
    call("/deflate-raw", "ok", "compressed with deflate, without zlib's frame", code::deflate_raw),
    call("/br", "ok", "compressed with brotli", code::brotli),
    call("/zstd", "ok", "compressed with zstd", code::zstd),
    raw("/charset-as-coding", "ok", "a character set where a coding belongs", bad::CHARSET_AS_CODING, After::Keep),
    call("/gzip-broken", "encoding", "gzip with a block that does not exist", code::gzip_broken),
    call("/gzip-checksum", "encoding", "gzip with a wrong checksum", code::gzip_checksum),
    call("/gzip-truncated", "encoding", "half a gzip file", code::gzip_truncated),
    call("/gzip-trailing", "encoding", "bytes behind the end of a gzip file", code::gzip_trailing),
    call("/zstd-window", "encoding", "zstd with a window of 128 MiB", code::zstd_window),
    call("/not-gzip", "encoding", "plain JSON that is said to be gzip", code::not_gzip),
    call("/double-encoding", "encoding", "gzip within gzip", code::double_encoding),
    call("/unknown-coding", "encoding", "a coding that nobody asked for", code::unknown_coding),

    // Bodies
    html("/html-200", "not_json", "an HTML page with status 200", 200, doc::PAGE),
    json("/html-as-json", "not_json", "an HTML page that is said to be JSON", doc::PAGE),
    html("/json-as-html", "ok", "JSON that is said to be HTML", 200, b"{\"ok\":true}"),
    json("/null", "ok", "the document null", b"null"),
    json("/bom", "ok", "JSON after a byte order mark", b"\xef\xbb\xbf{\"ok\":true}"),
    json("/two-boms", "not_json", "JSON after two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbf{\"ok\":true}"),
    json("/utf16", "invalid_utf8", "JSON in UTF-16", UTF16),
    json("/bad-utf8", "invalid_utf8", "a string in Latin-1", b"{\"name\":\"caf\xe9\"}"),
    json("/blank", "not_json", "blanks and no document", b" \r\n\t "),
    json("/nan", "not_json", "NaN for a number", br#"{"a": NaN}"#),
    json("/jsonp", "not_json", "a script that calls a function with the document", b"callback({\"ok\":true});"),
    json("/two-documents", "not_json", "two documents in one body", b"{} {}"),
    json("/json-lines", "not_json", "a document on each line", b"{\"a\":1}\n{\"a\":2}\n"),
    json("/trailing-text", "not_json", "words after the document", b"{\"ok\":true} done"),
    json("/trailing-nul", "not_json", "a NUL after the document", b"{\"ok\":true}\0"),
    json("/control-character", "not_json", "a line end in a string", b"{\"a\":\"x\ny\"}"),
    json("/lone-surrogate", "not_json", "half a surrogate pair", br#"["\uD800"]"#),
    call("/deep/128", "ok", "/deep/N: so many arrays, one in the other", doc::deep),
    call("/deep/129", "too_deep", "one array too many", doc::deep),
    json("/huge-numbers", "ok", "1e400, 40 digits, -0.0, a key twice: kept as sent", HUGE),
];
