use http::{HeaderName, HeaderValue};

use super::*;

/// An answer: its status, headers and body.
type Case = (u16, &'static [(&'static str, &'static str)], &'static str);

fn guessed((status, headers, body): &Case) -> Option<Guess> {
    let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    guess(*status, &headers.collect(), body)
}

fn check(expected: Option<Guess>, cases: &[Case]) {
    for case in cases {
        assert_eq!(guessed(case), expected, "{case:?}");
    }
}

const HTML: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];

#[test]
fn bot_walls_are_known_by_their_products() {
    let cases: &[Case] = &[
        // Cloudflare: by its header alone, by its challenge, by its block page, by its plain text
        (403, &[("cf-mitigated", "challenge"), ("server", "cloudflare")], ""),
        (
            403,
            HTML,
            r#"<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title><meta http-equiv="refresh" content="390"></head><body><noscript>Enable JavaScript and cookies to continue</noscript><script>(function(){window._cf_chl_opt={cvId:'3'"#,
        ),
        (200, HTML, "<html><head><title>Just a moment&hellip;</title></head></html>"),
        (
            403,
            HTML,
            r#"<html><head><title>Attention Required! | Cloudflare</title></head><body><h1 data-translate="block_headline">Sorry, you have been blocked</h1></body></html>"#,
        ),
        (
            403,
            HTML,
            "<html><head><title>Access denied | api.example.com used Cloudflare to restrict access</title></head><body><h1>Error <span>1020</span></h1></body></html>",
        ),
        (403, &[("server", "cloudflare")], "error code: 1020"),
        // Akamai, its number escaped or not
        (
            403,
            HTML,
            r#"<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD><BODY><H1>Access Denied</H1> You don't have permission to access "http&#58;&#47;&#47;api&#46;example&#46;com&#47;" on this server.<P>Reference&#32;&#35;18&#46;5d6c1002&#46;1764000000&#46;1a2b3c</BODY></HTML>"#,
        ),
        (
            403,
            HTML,
            "<html><head><title>Access Denied</title></head><body><h1>Access Denied</h1>Reference #18.5d6c1002.1764000000</body></html>",
        ),
        // Imperva
        (
            200,
            HTML,
            r#"<html style="height:100%"><head><META NAME="ROBOTS" CONTENT="NOINDEX, NOFOLLOW"></head><body><iframe id="main-iframe" src="/_Incapsula_Resource?SWUDNSAI=31">Request unsuccessful. Incapsula incident ID: 123</iframe></body></html>"#,
        ),
        (200, HTML, "<html><head><title>Pardon Our Interruption</title></head><body>…"),
        // DataDome, as a page, as JSON, and by its headers
        (
            403,
            HTML,
            "<html><head><title>example.com</title></head><body><script>var dd={'host':'geo.captcha-delivery.com'}</script></body></html>",
        ),
        (
            403,
            &[("content-type", "application/json")],
            r#"{"url":"https://geo.captcha-delivery.com/captcha/?initialCid=A"}"#,
        ),
        (403, &[("x-datadome", "protected")], ""),
        // HUMAN, that was PerimeterX, as a page and as JSON
        (
            403,
            HTML,
            r#"<html><head><title>Access to this page has been denied</title></head><body><div id="px-captcha"></div></body></html>"#,
        ),
        (
            403,
            HTML,
            "<html><head><title>example</title></head><body><p>Press &amp; Hold to confirm you are a human</p></body></html>",
        ),
        // AWS WAF: a challenge comes with 202, a captcha with 405
        (202, &[("x-amzn-waf-action", "challenge")], ""),
        (
            405,
            HTML,
            "<!DOCTYPE html><html><head><title>Human Verification</title><script>window.awsWafCookieDomainList = [];</script></head></html>",
        ),
        (
            403,
            HTML,
            "<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY><H1>403 ERROR</H1><H2>The request could not be satisfied.</H2>Request blocked. We can't connect to the server for this app or website at this time.</BODY></HTML>",
        ),
        // F5, with a success
        (
            200,
            HTML,
            "<html><head><title>Request Rejected</title></head><body>The requested URL was rejected. Please consult with your administrator.<br><br>Your support ID is: 123</body></html>",
        ),
        // Google, with 429
        (
            429,
            HTML,
            r#"<html><head><title>https://www.example.com/</title></head><body>Our systems have detected unusual traffic from your computer network.<div class="g-recaptcha"></div></body></html>"#,
        ),
        (403, &[("x-vercel-mitigated", "challenge")], "<!DOCTYPE html><title>Vercel Security Checkpoint</title>"),
        (200, HTML, "<!doctype html><html><head><title>Making sure you&#39;re not a bot!</title></head></html>"),
        // Any widget that asks for a proof, where there is no login
        (
            403,
            HTML,
            r#"<html><head><title>example.com</title><script src="https://www.google.com/recaptcha/api.js"></script></head><body></body></html>"#,
        ),
        (
            200,
            HTML,
            r#"<html><head><title>One more step</title></head><body><h1>Prove that you are human</h1><div class="h-captcha"></div></body></html>"#,
        ),
        (403, HTML, r#"<html><body><div class="cf-turnstile" data-sitekey="0x4AAA"></div></body></html>"#),
    ];
    check(Some(Guess::BotWall), cases);
}

#[test]
fn rate_limits_are_known_by_status_headers_and_words() {
    let cases: &[Case] = &[
        (429, &[], ""),
        (429, &[("retry-after", "60")], r#"{"message":"Too Many Requests"}"#),
        (
            429,
            HTML,
            "<html><head><title>429 Too Many Requests</title></head><body><center><h1>429 Too Many Requests</h1></center></body></html>",
        ),
        (429, &[("server", "cloudflare")], "error code: 1015"),
        (
            429,
            HTML,
            "<html><head><title>Access denied | x.org used Cloudflare to restrict access</title></head><body><h1>Error 1015</h1><h2>You are being rate limited</h2></body></html>",
        ),
        (403, &[("x-ratelimit-remaining", "0")], r#"{"documentation_url":"https://docs.example.com"}"#),
        (403, &[], r#"{"message":"API rate limit exceeded for 203.0.113.7."}"#),
        (403, &[], r#"{"error":{"code":403,"errors":[{"domain":"usageLimits","reason":"userRateLimitExceeded"}]}}"#),
        (400, &[], r#"{"__type":"ThrottlingException","message":"Rate exceeded; requests are throttled"}"#),
        (
            503,
            &[("content-type", "application/xml")],
            r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"#,
        ),
        (503, &[("retry-after", "30")], ""),
        (
            503,
            &[("retry-after", "30")],
            "<html><head><title>503 Service Temporarily Unavailable</title></head><body><center><h1>503 Service Temporarily Unavailable</h1></center><hr><center>nginx</center></body></html>",
        ),
        // With a success, as some do
        (200, &[], r#"{"Information": "Our standard API rate limit is 25 requests per day."}"#),
        (200, &[], r#"{"status":"error","message":"You have exceeded your daily quota"}"#),
        (200, &[], r#"{"error":"rate_limit_exceeded"}"#),
        // A text that was cut
        (400, &[], r#"{"error":{"status":"RESOURCE_EXHAUSTED","message":"Quota ex"#),
        (403, &[("content-type", "text/plain")], "Rate limit reached, come back later"),
    ];
    check(Some(Guess::RateLimit), cases);
}

#[test]
fn login_pages_are_known_by_fields_titles_and_where_they_lead() {
    let cases: &[Case] = &[
        (
            200,
            HTML,
            r#"<!doctype html><html><head><title>Acme</title></head><body><form method=post><input name=user><input name=pw type="password"></form></body></html>"#,
        ),
        (
            200,
            HTML,
            r#"<!doctype html><html><head><title>Sign in &middot; GitLab</title></head><body class="login-page">"#,
        ),
        (
            200,
            HTML,
            r#"<html><head><title>Acme Inc.</title></head><body><h1 class="h3">Please <b>log in</b></h1></body></html>"#,
        ),
        (403, HTML, "<html><head><title>Anmelden – Portal</title></head></html>"),
        (200, HTML, "<html lang=fr><head><title>Espace client</title></head><body><h2>Se connecter</h2></body></html>"),
        (200, HTML, "<html><head><title>用户登录页面</title></head></html>"),
        // With a widget that asks for a proof beside the fields
        (
            403,
            HTML,
            r#"<html><head><title>Acme</title></head><body><input type='password'><div class="g-recaptcha"></div></body></html>"#,
        ),
        // A form that sends itself to a single sign-on
        (
            200,
            HTML,
            r#"<html><body onload="document.forms[0].submit()"><form action="https://idp.example.com/"><input type="hidden" name="SAMLRequest" value="fZ"></form></body></html>"#,
        ),
        (
            302,
            &[("location", "https://app.example.com/login?next=%2Fapi")],
            "<html><body>You are being redirected.</body></html>",
        ),
        (401, HTML, "<html><head><title>Login</title></head></html>"),
    ];
    check(Some(Guess::LoginPage), cases);
}

#[test]
fn maintenance_pages_are_known_by_words_and_status() {
    let cases: &[Case] = &[
        (
            503,
            HTML,
            "<html><head><title>Scheduled Maintenance</title></head><body><h1>We&rsquo;ll be right back</h1></body></html>",
        ),
        (
            503,
            &[("retry-after", "3600")],
            "<html><head><title>Acme</title></head><body><p>Our systems are in maintenance until 8:00.</p></body></html>",
        ),
        (200, HTML, "<html><head><title>Acme</title></head><body><h1>We'll be back soon!</h1></body></html>"),
        (502, HTML, "<html><head><title>Wartungsarbeiten</title></head></html>"),
        (
            503,
            HTML,
            "<html><head><title>503 Service Temporarily Unavailable</title></head><body><hr><center>nginx</center></body></html>",
        ),
        (503, &[], r#"{"error":"The API is down for maintenance"}"#),
        (503, &[("content-type", "text/plain")], "Down for a short maintenance."),
    ];
    check(Some(Guess::MaintenancePage), cases);
}

#[test]
fn error_documents_are_known_in_json_xml_html_and_text() {
    let cases: &[Case] = &[
        (404, &[], r#"{"message":"Not Found"}"#),
        (
            400,
            &[("content-type", "application/problem+json")],
            r#"{"type":"https://example.com/probs/credit","title":"No credit","status":400}"#,
        ),
        (
            401,
            &[("www-authenticate", "Bearer")],
            r#"{"detail":"Authentication credentials were not provided. Please log in."}"#,
        ),
        (
            401,
            &[("www-authenticate", r#"Basic realm="x""#)],
            "<html><head><title>Login required</title></head><body><h1>401 Authorization Required</h1></body></html>",
        ),
        (200, &[], r#"{"data":null,"errors":[{"message":"Cannot query field"}]}"#),
        (200, &[], r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#),
        (200, &[], r#"{"success": false}"#),
        (200, &[], r#"{"status":"ERROR","result":[]}"#),
        (400, &[], r#"[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]"#),
        (500, &[], r#"{"errors":[{"title":"Oops","detail":"a long text that was c"#),
        (200, &[], r#"{"error":"invalid_grant","error_description":"The token ha"#),
        (
            500,
            &[],
            r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault><faultcode>soap:Server</faultcode></soap:Fault></soap:Body></soap:Envelope>"#,
        ),
        (403, &[], r#"<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>"#),
        (200, &[], r#"<?xml version="1.0"?><!-- OWS --><ows:ExceptionReport version="1.0"></ows:ExceptionReport>"#),
        (
            404,
            HTML,
            "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx/1.27.0</center>\r\n</body>\r\n</html>",
        ),
        (502, HTML, "<html><head><title>502 Bad Gateway</title></head></html>"),
        (
            500,
            HTML,
            r#"<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN"><html><head><title>500 Internal Server Error</title></head><body><address>Apache/2.4.62</address></body></html>"#,
        ),
        (
            200,
            HTML,
            r#"<!doctype html><html lang="en"><head><title>HTTP Status 404 – Not Found</title></head><body><h3>Apache Tomcat/10.1</h3></body></html>"#,
        ),
        (200, HTML, "<html><head><title>Server Error in '/' Application.</title></head></html>"),
        (
            404,
            HTML,
            "<html><head><title>Page missing</title></head><body><form><input type=password></form></body></html>",
        ),
        (521, HTML, "<html><head><title>api.example.com | 521: Web server is down</title></head></html>"),
        (404, &[("content-type", "text/plain")], "404 page not found"),
        (503, &[("content-type", "text/plain")], "upstream connect error or disconnect/reset before headers"),
        (403, &[], r#""Forbidden""#),
    ];
    check(Some(Guess::ErrorDocument), cases);
}

#[test]
fn what_has_none_of_the_marks_is_not_guessed_at() {
    let cases: &[Case] = &[
        (200, &[], ""),
        (404, &[], ""),
        (503, &[], ""),
        (301, &[("location", "https://www.example.com/v2")], ""),
        (200, &[], r#"{"login":"octocat","title":"Sign in with a password","type":"User"}"#),
        (200, &[], r#"{"error":null,"errors":[],"message":"rate limit raised","data":{"maintenance":false}}"#),
        (200, &[], r#"{"code":0,"msg":"ok","data":[]}"#),
        (200, &[], r#"{"note":"rate limit","captcha":"g-recaptcha","values":["Just a moment..."]}"#),
        (200, &[], r#"{"status":"ok","success":true,"error":false}"#),
        (200, &[], r#"[{"error":"kept as data"}]"#),
        (200, &[], r#"{"items":[{"error":"in data that was c"#),
        (200, &[], "1, 2, error, 4"),
        (
            200,
            HTML,
            r#"<!doctype html><html><head><title>My blog in English</title></head><body><a href="/login">Log in</a><h2>Error handling</h2></body></html>"#,
        ),
        (
            200,
            HTML,
            "<!doctype html><html><head><title>Assigning keys</title></head><body>You need to enable JavaScript to run this app.</body></html>",
        ),
        (
            200,
            HTML,
            r#"<html><head><title>Contact</title><script src="https://www.google.com/recaptcha/api.js"></script></head></html>"#,
        ),
        (
            200,
            &[("server", "cloudflare")],
            r#"<html><head><title>Acme</title></head><body><script src="/cdn-cgi/challenge-platform/scripts/jsd/main.js"></script></body></html>"#,
        ),
        (
            200,
            &[("content-type", "application/xml")],
            r#"<?xml version="1.0"?><rss version="2.0"><channel><title>Errors</title></channel></rss>"#,
        ),
        (418, &[("content-type", "text/plain")], "I am a teapot"),
        (200, &[("retry-after", "5")], r#"{"a":1}"#),
    ];
    check(None, cases);
}

#[test]
fn whatever_comes_is_looked_at_without_a_panic() {
    for body in
        ["<", "</", "<!", "{", "[", r#"{""#, r#"{"error""#, "\u{FEFF}<title", "<html><title><h1</title", "İ<html>"]
    {
        for status in [0, 200, 302, 401, 403, 429, 503, 999] {
            let _ = guess(status, &HeaderMap::new(), body);
        }
    }
    let long = format!("<html><title>{}", "ü<h1>".repeat(20_000));
    assert_eq!(guess(404, &HeaderMap::new(), &long), Some(Guess::ErrorDocument));
    assert_eq!(guess(200, &HeaderMap::new(), &"[".repeat(100_000)), None);
}

#[test]
fn a_body_of_any_depth_is_looked_at_on_a_small_stack() {
    let looked_at = || {
        for depth in [16, 17, 100, 127, 1000, 100_000] {
            let list = "[".repeat(depth) + &"]".repeat(depth);
            let table = "{\"error\":".repeat(depth) + "1" + &"}".repeat(depth);
            assert_eq!(guess(500, &HeaderMap::new(), &list), None, "{depth}");
            assert_eq!(guess(500, &HeaderMap::new(), &table), Some(Guess::ErrorDocument), "{depth}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(looked_at).expect("a thread");
    thread.join().expect("no panic");
}
