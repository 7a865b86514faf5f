//! Mistakes in how endpoints are asked: who asks, and what goes along.

use crate::{JOB, mistakes, right};

#[test]
fn two_that_say_who_asks_in_the_same_place_are_one_too_many() {
    let token = "token = { env = \"A\" }";
    let oauth2 = r#"oauth2 = { token_url = "https://a.example/", client_id = "a", client_secret = { env = "A" } }"#;
    let header = "headers = { Authorization = \"a\" }";
    let basic = "basic = { user = \"me\", password = { env = \"A\" } }";
    let endpoint = |user: &str, keys: &str| format!("{{ url = \"https://{user}example.com/\"{keys} }}");
    let with = |defaults: &str, job: &str, endpoint: &str| {
        format!("[defaults]\n{defaults}\n{}{job}\n", JOB.replace("\"https://example.com/\"", endpoint))
    };
    let plain = "\"https://example.com/\"";
    let told = [
        with(&format!("{token}\n{oauth2}"), "token = false", plain),
        with(&format!("{token}\n{header}"), basic, &[plain; 3].join(", ")),
        with("", &format!("{token}\n{basic}"), plain),
        with("", &format!("token = false\n{basic}"), plain),
        with("", "", &endpoint("me:s3cret@", &format!(", {basic}"))),
        with("", "token_header = \"authorization\"", &endpoint("me@", &format!(", {token}"))),
        with("", "", &endpoint(":s3cret@", &format!(", {header}"))),
    ];
    let told: String = told.iter().map(mistakes).collect();
    assert!(!told.contains("s3cret"), "{told}");
    insta::assert_snapshot!(told, @r#"
    config.toml:3: defaults.oauth2: `token`, `basic` and `oauth2` exclude each other: keep one of them
    config.toml:3: defaults.headers.Authorization: `token`, `basic` or `oauth2` sets this header already: keep one of the two
    config.toml:8: job "a": basic: `token`, `basic` and `oauth2` exclude each other: keep one of them
    config.toml:8: job "a": basic: `token`, `basic` and `oauth2` exclude each other: keep one of them
    config.toml:6: job "a": endpoints[1].url: the URL's user and password are sent as Authorization, which is set beside it: keep one of the two
    config.toml:6: job "a": endpoints[1].url: the URL's user and password are sent as Authorization, which is set beside it: keep one of the two
    config.toml:6: job "a": endpoints[1].url: the URL's user and password are sent as Authorization, which is set beside it: keep one of the two
    "#);
    for fine in [
        with(token, header, &endpoint("me:s3cret@", "")),
        with(header, token, plain),
        with(token, &format!("token = false\n{header}"), plain),
        with("", &format!("token_header = \"X-API-Key\"\n{token}\n{header}"), plain),
        with("", "token_header = \"X-API-Key\"", &endpoint("me:s3cret@", &format!(", {token}"))),
        with("", "", &endpoint("me:s3cret@", ", token = false")),
    ] {
        right(&fine);
    }
}

#[test]
fn what_each_job_overrides_is_a_mistake_all_the_same() {
    let defaults = "[defaults]\nretries = 99\nredirects = 77\nmax_body = \"9GiB\"\nproxy = \"socks\"\n";
    let overriding = "retries = 1\nredirects = 1\nmax_body = \"1MiB\"\nproxy = \"none\"\n";
    insta::assert_snapshot!(mistakes(format!("{defaults}{JOB}{overriding}")), @r#"
    config.toml:2: defaults.retries: from 0 to 20, not 99
    config.toml:3: defaults.redirects: from 0 to 20, not 77
    config.toml:4: defaults.max_body: from 1 to 536870912 bytes, not 9663676416
    config.toml:5: defaults.proxy: expected "http://host:port", or "none" to ignore the environment's proxies
    "#);
    // A certificate may have its key elsewhere.
    right(&format!("[defaults]\nclient_cert = \"me.pem\"\n{JOB}client_key = \"me.key\"\n"));
}

#[test]
fn what_gatherd_sends_itself_is_neither_a_header_nor_a_parameter_and_no_header_stands_twice() {
    let oauth2 = |parameters: &str| {
        let client = "token_url = \"https://a.example/\", client_id = \"a\", client_secret = { env = \"A\" }";
        format!("oauth2 = {{ {client}, parameters = {{ {parameters} }} }}")
    };
    let token = |header: &str| format!("token = {{ env = \"A\" }}\ntoken_header = {header:?}");
    let with = |keys: &str| mistakes(format!("{JOB}{keys}\n"));
    let told = [
        with(&token("Content-Length")),
        with(&token("transfer-encoding")),
        with(&token("Connection")),
        with("headers = { X-A = \"1\", x-a = \"2\" }"),
        with(&oauth2("grant_type = \"password\", audience = \"b\", client_id = \"b\", client_secret = \"s3cret\"")),
    ];
    insta::assert_snapshot!(told.concat(), @r#"
    config.toml:6: job "a": token_header: this header is set by gatherd itself
    config.toml:6: job "a": token_header: this header is set by gatherd itself
    config.toml:6: job "a": token_header: this header is set by gatherd itself
    config.toml:5: job "a": headers.x-a: the same header stands here twice: case does not count in its name
    config.toml:5: job "a": oauth2.parameters.client_id: gatherd sends this parameter itself
    config.toml:5: job "a": oauth2.parameters.client_secret: gatherd sends this parameter itself
    config.toml:5: job "a": oauth2.parameters.grant_type: gatherd sends this parameter itself
    "#);
    right(&format!("{JOB}{}\n", oauth2("audience = \"b\"")));
}

#[test]
fn a_token_goes_either_as_a_parameter_or_as_a_header() {
    let with = |keys: &str| format!("{JOB}token = {{ env = \"A\" }}\n{keys}\n");
    let endpoint = r#"{ url = "https://example.com/", token_query = "key", token_scheme = "Token" }"#;
    let told = [
        with("token_query = \"appid\"\ntoken_header = \"X-API-Key\""),
        with("token_scheme = \"Token\"\ntoken_query = \"appid\""),
        JOB.replace("\"https://example.com/\"", endpoint),
        // What each job overrides.
        format!("[defaults]\ntoken_query = \"appid\"\ntoken_header = \"X\"\n{}", with("token_query = false")),
        with("token_query = \"\""),
        with("token_query = 1"),
        with("token_querry = \"appid\""),
        format!("token_query = \"appid\"\n{JOB}"),
        format!("{JOB}[[notify]]\nurl = \"https://hooks.example.com/\"\ntoken_query = \"appid\"\n"),
    ];
    insta::assert_snapshot!(told.iter().map(mistakes).collect::<String>(), @r#"
    config.toml:6: job "a": token_query: `token_header` and `token_scheme` put the token into a header, this into the URL: keep one
    config.toml:7: job "a": token_query: `token_header` and `token_scheme` put the token into a header, this into the URL: keep one
    config.toml:4: job "a": endpoints[1].token_query: `token_header` and `token_scheme` put the token into a header, this into the URL: keep one
    config.toml:2: defaults.token_query: `token_header` and `token_scheme` put the token into a header, this into the URL: keep one
    config.toml:6: job "a": token_query: the name of a parameter is needed, such as "api_key"
    config.toml:6: job "a": token_query: expected text in quotes, found the number 1
    config.toml:6: job "a": token_querry: unknown key; did you mean `token_query`?
    config.toml:1: token_query: unknown key; it belongs in [defaults], a [[job]] or an endpoint
    config.toml:7: notify[1].token_query: unknown key; it belongs in [defaults], a [[job]] or an endpoint
    "#);
    for fine in [
        with("token_query = \"appid\"\nquery = { appid = \"replaced\" }"),
        with("token_query = false\ntoken_header = \"X-API-Key\""),
        format!("[defaults]\ntoken_header = \"X\"\n{}", with("token_query = \"appid\"")),
        format!("[defaults]\ntoken_query = \"appid\"\n{}", with("token_header = \"X\"")),
        with("token_query = \"appid\"\nheaders = { Authorization = \"own\" }"),
        with("token_query = \"appid\"").replace("https://", "https://me:password@"),
    ] {
        right(&fine);
    }
}
