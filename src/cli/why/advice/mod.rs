//! What to try after a failure: by its outcome, and what else is known of it. Pure.

mod answer;
mod connection;

use url::Url;

use crate::model::{Guess, Outcome, Phase};
use crate::store::why::StoredSlot;

/// A failure, as far as advice depends on it.
pub struct Failure<'a> {
    /// Its outcome's word; another version may have stored one that is not known here.
    pub outcome: &'a str,
    pub status: Option<u16>,
    pub detail: &'a str,
    /// The phase in which it ended.
    pub phase: Option<Phase>,
    pub guess: Option<Guess>,
    /// Whether a token or password was sent, if that is known.
    pub credentials: Option<bool>,
    /// The host of the endpoint's URL, with a port that stands there.
    pub host: String,
    /// Whether it is asked by https.
    pub tls: bool,
    /// Where the answer redirects to.
    pub location: Option<&'a str>,
}

impl<'a> Failure<'a> {
    /// The failure of `slot`, whose endpoint is at `url`.
    pub fn of(slot: &'a StoredSlot, url: &str) -> Self {
        let evidence = slot.evidence.as_ref().map(|kept| &kept.evidence);
        let answer = evidence.and_then(|evidence| evidence.answer.as_ref());
        let host = Url::parse(url).ok().and_then(|url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{}{port}", url.host_str()?))
        });
        Self {
            outcome: &slot.outcome,
            status: slot.http_status,
            detail: slot.detail.as_deref().unwrap_or_default(),
            phase: slot.phases.map(|phases| phases.reached),
            guess: evidence.and_then(|evidence| evidence.guess),
            credentials: evidence.map(|evidence| sends_credentials(&evidence.sent)),
            host: host.unwrap_or_else(|| "the host".to_owned()),
            tls: url.starts_with("https:"),
            location: answer.and_then(|answer| header(&answer.headers, "location")),
        }
    }

    fn says(&self, words: &[&str]) -> bool {
        let detail = self.detail.to_ascii_lowercase();
        words.iter().any(|word| detail.contains(word))
    }
}

/// Whether one of these headers carries a secret, which is masked there.
fn sends_credentials(sent: &str) -> bool {
    header(sent, "authorization").is_some() || sent.contains("***")
}

fn header<'a>(lines: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = lines.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}

/// What to try, the most likely first; nothing for a success. Keys of the config stand between backticks.
pub fn advice(failure: &Failure<'_>) -> Vec<String> {
    let Ok(outcome) = failure.outcome.parse::<Outcome>() else {
        return lines(["Another version of gatherd stored this outcome: ask that one."]);
    };
    // Where the trouble is not with what the endpoint's own URL answered.
    if failure.says(&["access token"]) {
        return answer::access_token(outcome, failure);
    }
    if failure.says(&["pages:", "asked for already"]) {
        return answer::pages();
    }
    by_outcome(outcome, failure)
}

fn by_outcome(outcome: Outcome, failure: &Failure<'_>) -> Vec<String> {
    match outcome {
        Outcome::Ok => Vec::new(),
        Outcome::Dns => connection::dns(failure),
        Outcome::Connect => connection::connect(failure),
        Outcome::Tls => connection::tls(failure),
        Outcome::Timeout => connection::timeout(failure),
        Outcome::Reset => connection::reset(failure),
        Outcome::Protocol => connection::protocol(failure),
        Outcome::HttpStatus => answer::http_status(failure),
        Outcome::Redirect => answer::redirect(failure),
        Outcome::EmptyBody => answer::empty_body(failure),
        Outcome::NotJson => answer::not_json(failure),
        Outcome::TooLarge | Outcome::Encoding | Outcome::Truncated | Outcome::InvalidUtf8 | Outcome::TooDeep => {
            answer::unusable(outcome)
        }
        Outcome::Backoff => answer::backoff(failure),
        Outcome::BlockedAddress if failure.says(&["not a public address"]) => lines([
            "A public server redirected to an address inside, which is never followed: it could have anything there \
             asked. If that is meant, write the URL that it leads to into the config.",
        ]),
        Outcome::BlockedAddress => lines([
            "This address is link-local or a cloud's metadata service, which no config can open. If the URL is not \
             meant to lead there, look who answers for that name.",
        ]),
        Outcome::Cancelled => {
            lines(["Nothing to mend: gatherd was stopping. A longer `grace` lets running rounds come to their end."])
        }
        Outcome::Panic => lines([
            "This is a defect in gatherd, not in the endpoint. Please report it, with the lines of the log around \
             that time.",
        ]),
        Outcome::Resource => resource(failure),
    }
}

fn lines<const N: usize>(list: [&str; N]) -> Vec<String> {
    list.map(str::to_owned).to_vec()
}

fn resource(failure: &Failure<'_>) -> Vec<String> {
    let first = if failure.says(&["assign requested address"]) {
        "All local ports are in use: fewer `workers`, a longer `every`, or a wider net.ipv4.ip_local_port_range."
    } else {
        "This machine ran out of descriptors, threads or memory. Raise LimitNOFILE= and TasksMax= in the systemd unit."
    };
    lines([first, "Or need less: fewer `workers`, a smaller `max_body`."])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUESSES: [Option<Guess>; 6] = [
        None,
        Some(Guess::BotWall),
        Some(Guess::LoginPage),
        Some(Guess::MaintenancePage),
        Some(Guess::ErrorDocument),
        Some(Guess::RateLimit),
    ];

    fn failure(outcome: Outcome) -> Failure<'static> {
        Failure {
            outcome: outcome.as_str(),
            status: None,
            detail: "",
            phase: None,
            guess: None,
            credentials: None,
            host: "api.example.com".to_owned(),
            tls: true,
            location: None,
        }
    }

    fn told(failure: &Failure<'_>) -> String {
        advice(failure).join("\n")
    }

    #[test]
    fn every_failure_has_advice_whatever_else_is_known() {
        for &outcome in Outcome::ALL.iter().filter(|outcome| !outcome.is_ok()) {
            for (guess, status) in GUESSES.into_iter().flat_map(|guess| (199..=600).map(move |status| (guess, status)))
            {
                let failure = Failure { guess, status: Some(status), ..failure(outcome) };
                let advice = advice(&failure);
                assert!((1..=4).contains(&advice.len()), "{outcome} {status} {guess:?}: {advice:?}");
                assert!(advice.iter().all(|line| !line.is_empty()));
            }
        }
        assert!(advice(&failure(Outcome::Ok)).is_empty());
        assert!(!advice(&Failure { outcome: "eaten", ..failure(Outcome::Ok) }).is_empty());
    }

    #[test]
    fn a_timeout_is_told_by_the_phase_that_took_too_long() {
        let phase = |phase, detail| told(&Failure { detail, phase, ..failure(Outcome::Timeout) });
        assert!(phase(Some(Phase::Dns), "").contains("resolv.conf"));
        assert!(phase(Some(Phase::Connect), "").contains("`proxy`"));
        assert!(phase(Some(Phase::Tls), "").contains("http://"));
        assert!(phase(Some(Phase::Headers), "").contains("a longer `timeout`"));
        assert_eq!(phase(None, "waiting for the answer"), phase(Some(Phase::Headers), ""));
        assert_eq!(phase(None, "reading the body"), phase(Some(Phase::Body), ""));
        assert_eq!(phase(None, "connect"), phase(Some(Phase::Connect), ""));
        assert!(phase(None, "queue").contains("`workers`"));
        assert!(phase(Some(Phase::Body), "the round's deadline").contains("`deadline`"));
    }

    #[test]
    fn what_a_proxy_refused_is_not_taken_for_the_endpoints_refusal() {
        let connect = |detail| told(&Failure { detail, ..failure(Outcome::Connect) });
        let refused = connect("the proxy refused to connect there: what it answered to CONNECT was not 200");
        assert!(refused.contains("the proxy on the way") && !refused.contains("nothing listens"), "{refused}");
        let unknown = connect("the proxy answered 407 Proxy Authentication Required");
        assert!(unknown.contains("user:password@") && !unknown.contains("If the way out"), "{unknown}");
        assert!(connect("tcp connect error: Connection refused (os error 111)").contains("nothing listens"));
    }

    #[test]
    fn a_certificate_is_told_by_what_is_wrong_with_it() {
        let tls = |detail| told(&Failure { detail, ..failure(Outcome::Tls) });
        assert!(
            tls("invalid peer certificate: certificate expired: verification time 3, not after 2").contains("renew")
        );
        assert!(tls("invalid peer certificate: certificate not valid yet: verification time 1").contains("clock"));
        assert!(tls("invalid peer certificate: UnknownIssuer").contains("`ca_file`"));
        assert!(tls("invalid peer certificate: certificate not valid for name \"a\"").contains("another name"));
        assert!(tls("No CA certificates were loaded from the system").contains("install ca-certificates"));
        assert!(tls("received fatal alert: CertificateRequired").contains("`client_cert`"));
        assert!(tls("what came back is not TLS (InvalidContentType)").contains("http://"));
        assert!(tls("invalid peer certificate: it is that of an authority, not of a server").contains("`ca_file`"));
        assert!(tls("invalid peer certificate: BadSignature").contains("`ca_file"));
        for (alert, advice) in
            [("received fatal alert: UnknownCA", "`client_cert`"), ("received fatal alert: ProtocolVersion", "TLS 1.2")]
        {
            let told = tls(alert);
            assert!(told.contains(advice) && !told.contains("http://"), "it speaks TLS: {told}");
        }
    }

    #[test]
    fn a_token_endpoint_that_fails_is_told_of_as_such_and_by_its_own_failure() {
        let token = |outcome, status, detail: &str| {
            let detail = format!("access token from login.example: {detail}");
            told(&Failure { status, detail: &detail, ..failure(outcome) })
        };
        let tls = token(Outcome::Tls, None, "what came back is not TLS (InvalidContentType)");
        assert!(tls.contains("`token_url` of `oauth2`, at login.example"), "{tls}");
        assert!(tls.contains("Does login.example speak TLS at all?"), "{tls}");
        assert!(token(Outcome::Tls, None, "invalid peer certificate: UnknownIssuer").contains("`ca_file`"));
        assert!(token(Outcome::Timeout, None, "connecting").contains("login.example"));
        assert!(token(Outcome::HttpStatus, Some(401), "401 Unauthorized, invalid_client").contains("`client_id`"));
        assert!(token(Outcome::HttpStatus, Some(302), "302 Found").contains("curl -i"));
        assert!(token(Outcome::HttpStatus, Some(500), "500").contains("provider's side"));
        assert!(token(Outcome::NotJson, None, "the answer holds none").contains("curl"));
        let long = format!("access token from {}.example", "a".repeat(190));
        for detail in [
            "waiting for an access token",
            "the round's deadline, access token from login.example: connecting",
            "access token: connecting",
            &long,
        ] {
            for &outcome in Outcome::ALL {
                let advice = told(&Failure { detail, ..failure(outcome) });
                assert!(outcome.is_ok() || advice.contains("`token_url`"), "{detail}: {advice}");
            }
        }
        let cut = told(&Failure {
            detail: "the round's deadline, access token from login.example: connecting",
            ..failure(Outcome::Timeout)
        });
        assert!(cut.contains("at login.example"), "{cut}");
        let waited = told(&Failure { detail: "waiting for an access token", ..failure(Outcome::Timeout) });
        assert!(waited.contains("`token_url`") && waited.contains("`timeout`"), "{waited}");
    }

    #[test]
    fn only_what_is_asked_by_http_is_advised_to_be_asked_by_https() {
        let reset = |tls| told(&Failure { phase: Some(Phase::Headers), tls, ..failure(Outcome::Reset) });
        assert!(reset(false).contains("write https://"));
        assert!(!reset(true).contains("https://"));
    }

    #[test]
    fn a_refusal_depends_on_whether_somebody_said_who_they_are() {
        let refused = |status, credentials| {
            told(&Failure { status: Some(status), credentials: Some(credentials), ..failure(Outcome::HttpStatus) })
        };
        for status in [401, 403] {
            assert!(refused(status, false).contains("No credentials were sent"));
            assert!(refused(status, true).contains("token_header"));
        }
        assert!(sends_credentials("GET https://a.example/\nAuthorization: Bearer ***"));
        assert!(sends_credentials("GET https://a.example/?api_key=***\naccept: */*"));
        assert!(!sends_credentials("GET https://a.example/\naccept: */*"));
    }

    #[test]
    fn a_redirect_names_its_target() {
        let location = Some("https://new.example.com/");
        for detail in ["301 Moved Permanently", "to another origin", "more than 3 redirects"] {
            let told = told(&Failure { detail, location, ..failure(Outcome::Redirect) });
            assert!(told.contains(": https://new.example.com/"), "{told}");
        }
    }
}
