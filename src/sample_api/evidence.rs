//! What servers send instead of data: walls, log-ins, notices, error documents, and pages that tell secrets.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded::byte_serialize;

use super::documents::escaped;
use super::modes::Call;
use super::respond::{After, HTML, answer_with};

pub(super) const LOGIN: &[u8] = br#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Sign in - Example Analytics</title><link rel="stylesheet" href="/app.css"></head>
<body>
<main>
<h1>Sign in to continue</h1>
<form action="/session" method="post">
<input type="hidden" name="csrf" value="7d1f0c">
<label>E-mail <input type="email" name="email" autocomplete="username" required></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<button type="submit">Sign in</button>
</form>
<p><a href="/reset">Forgot your password?</a></p>
</main>
</body>
</html>
"#;

pub(super) const MAINTENANCE: &[u8] = br"<!DOCTYPE html>
<html lang=en>
<head><meta charset=utf-8><title>Down for maintenance</title><style>body { font: 16px sans-serif }</style></head>
<body>
<h1>We'll be back soon</h1>
<p>Example Analytics is down for scheduled maintenance. We expect to be back at 06:00 UTC.</p>
</body>
</html>
";

/// Problem details for HTTP APIs (RFC 9457).
pub(super) const PROBLEM: &[u8] = br#"{"type":"https://api.example.com/problems/invalid-range","title":"Invalid range","status":400,"detail":"`from` must not be after `to`","instance":"/v2/figures","request_id":"req_5f2c91"}"#;

pub(super) const ERROR: &[u8] = br#"{"error":{"code":"quota_exceeded","message":"The monthly quota is used up."}}"#;

const CHALLENGE: &[u8] = br#"<!DOCTYPE html>
<html lang="en-US">
<head><title>Just a moment...</title><meta http-equiv="Content-Type" content="text/html; charset=UTF-8">
<meta name="robots" content="noindex,nofollow"><meta http-equiv="refresh" content="360"></head>
<body>
<div class="main-wrapper" role="main"><div class="main-content">
<noscript><div class="h2"><span id="challenge-error-text">Enable JavaScript and cookies to continue</span></div></noscript>
</div></div>
<script>(function(){window._cf_chl_opt = {cvId: '3', cType: 'managed', cRay: '8f1e2d3c4b5a6978'};}());</script>
</body>
</html>
"#;

/// What Cloudflare answers to whom it takes for a robot.
pub(super) fn bot_wall(_: &Call<'_>, out: &mut Vec<u8>) -> After {
    let headers = format_args!(
        "Content-Type: text/html; charset=UTF-8\r\nServer: cloudflare\r\ncf-mitigated: challenge\r\n\
         CF-RAY: 8f1e2d3c4b5a6978-FRA\r\nCache-Control: private, max-age=0, no-store\r\n\
         Set-Cookie: __cf_bm=c2FtcGxl; path=/; HttpOnly; Secure\r\n"
    );
    answer_with(out, 403, headers, CHALLENGE)
}

/// An error whose headers and page show everything that was sent, in each spelling a page may have for it.
pub(super) fn secret_echo_everywhere(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let mut headers = format!("Content-Type: {HTML}\r\n");
    let mut page = "<!DOCTYPE html>\n<html><body><h1>Internal Server Error</h1><pre>\n".to_owned();
    for (name, value) in call.request.headers() {
        // Writing to a String cannot fail.
        let _ = write!(headers, "X-Echo-{name}: {value}\r\n");
        show(&mut page, name, &value);
        if let Some((_, credentials)) = value.split_once(' ') {
            show(&mut page, name, credentials);
        }
    }
    if let Some(query) = call.request.query {
        let _ = write!(headers, "X-Echo-Query: {query}\r\n");
        show(&mut page, "query", query);
        for value in call.request.values() {
            show(&mut page, "parameter", &value);
        }
    }
    page.push_str("</pre></body></html>\n");
    answer_with(out, 500, format_args!("{headers}"), page.as_bytes())
}

/// Writes `text` as it is, in base64, percent-encoded, as it stands in JSON, and in upper case.
fn show(page: &mut String, name: &str, text: &str) {
    let base64 = STANDARD.encode(text);
    let percent: String = byte_serialize(text.as_bytes()).collect();
    let json = escaped(text).replace('/', "\\/");
    let upper = text.to_uppercase();
    let _ = writeln!(page, "{name}: {text}\n  {base64}\n  {percent}\n  \"{json}\"\n  {upper}");
}
