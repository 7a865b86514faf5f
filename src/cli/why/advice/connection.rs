//! What to try where no whole answer came: names, connections, certificates, time.

use super::{Failure, lines};
use crate::model::Phase;

/// What a longer `timeout` needs, whatever the job's cadence is.
const ROOM: &str =
    "It has to fit into the round, which ends before the next is due: else a longer `every`, too, or a `deadline`.";

pub fn dns(failure: &Failure<'_>) -> Vec<String> {
    let host = failure.host.split(':').next().unwrap_or_default();
    if failure.says(&["temporary failure"]) {
        return lines([
            "The name servers gave no answer. Is this machine online, and is /etc/resolv.conf right?",
            &format!("`getent hosts {host}` asks as gatherd does."),
        ]);
    }
    lines([
        &format!("The name {host} is not known. Check how it is spelt in the URL."),
        &format!("`getent hosts {host}` asks as gatherd does, /etc/hosts included."),
        "If only a proxy resolves names here, name it: `proxy`.",
    ])
}

pub fn connect(failure: &Failure<'_>) -> Vec<String> {
    if failure.says(&["the proxy answered 407"]) {
        return lines([
            "The proxy wants to know who asks: `proxy = \"http://user:password@host:port\"`, or the same in the \
             environment's https_proxy.",
        ]);
    }
    if failure.says(&["the proxy "]) {
        return lines([
            &format!("{} was not reached: the proxy on the way does not let through to it.", failure.host),
            "Ask whoever runs the proxy to allow the host and its port, or go another way: `proxy`, or `proxy = \"none\"`.",
        ]);
    }
    if failure.says(&["refused"]) {
        return lines([
            &format!(
                "The machine is there, but nothing listens at {}. Check the port, and whether the service runs.",
                failure.host
            ),
            "A firewall may refuse as well: is this machine's address allowed there?",
        ]);
    }
    lines([
        &format!("No way to {}. Check the host and port, this machine's network, and firewalls between.", failure.host),
        "If the way out of this network is a proxy, name it: `proxy`.",
    ])
}

pub fn tls(failure: &Failure<'_>) -> Vec<String> {
    if failure.says(&["not valid yet", "notvalidyet"]) {
        return lines([
            "The certificate is not valid yet: most often this machine's clock is behind. Check it with `date`.",
        ]);
    }
    if failure.says(&["expired"]) {
        return lines([
            "The server's certificate has expired. Its operator has to renew it; gatherd has no switch to look away.",
            "If browsers accept it, this machine's clock is ahead. Check it with `date`.",
        ]);
    }
    if failure.says(&["unknownissuer", "unknown issuer", "self-signed", "self signed"]) {
        return lines([
            "Nobody whom this machine trusts has signed the certificate. If it is your own authority, or a proxy that \
             opens TLS, give its certificate: `ca_file = \"ca.pem\"`.",
            "A public server has to send its intermediate certificates as well. Many forget them, and browsers hide \
             it: tell its operator, or put the missing one into `ca_file`.",
        ]);
    }
    if failure.says(&["not valid for", "notvalidforname", "wrong host"]) {
        return lines([
            &format!(
                "The certificate is for another name than {}. Use the name that it is for in the URL.",
                failure.host
            ),
            "If the name is right, another server answers in its place: check DNS and the port.",
        ]);
    }
    if failure.says(&["certificaterequired", "certificate required", "badcertificate", "handshakefailure"]) {
        return lines([
            "The server may want to see a certificate that it knows: `client_cert` and `client_key`.",
            "If not, it speaks only versions or ciphers of TLS that are given up: its operator has to update it.",
        ]);
    }
    if failure.says(&["that of an authority"]) {
        return lines([
            "If it is your own, as `openssl req -x509` makes it: name the file in `ca_file`, and it is taken.",
            "If it is not, its operator has to replace it; gatherd has no switch to look away.",
        ]);
    }
    if failure.says(&["badsignature"]) {
        return lines([
            "An authority of that name is known here, but it did not sign this certificate. If it is your own, or a \
             proxy's that opens TLS, give its certificate: `ca_file = \"ca.pem\"`.",
            "If it is a public server's, something between answers in its place: a proxy, a firewall.",
        ]);
    }
    if failure.says(&["no ca certificates"]) {
        return lines([
            "This machine knows no authority that could have signed the certificate: install ca-certificates, which the \
             next request finds, or name a bundle in SSL_CERT_FILE and restart gatherd.",
        ]);
    }
    if failure.says(&["alert: unknownca", "alert: unknown_ca"]) {
        return lines([
            "The server does not know who issued `client_cert`: ask its operator whose certificates it takes.",
        ]);
    }
    if failure.says(&["fatal alert"]) {
        return lines([
            "The server speaks TLS, and broke the handshake off. gatherd speaks TLS 1.2 and 1.3: its operator may have to \
             update it.",
            "If it serves several names, it may not know the one in the URL.",
        ]);
    }
    if failure.says(&["invalid peer certificate"]) {
        return lines([
            "The server shows a certificate that is not for this. Its operator has to replace it.",
            "If it is right in a browser, something between opens TLS and shows its own: a proxy, a firewall.",
        ]);
    }
    lines([
        &format!("Does {} speak TLS at all? If it is plain HTTP, write http:// in the URL.", failure.host),
        "If it does, something between may break it: a firewall, a proxy (`proxy`), an old version of TLS.",
    ])
}

pub fn timeout(failure: &Failure<'_>) -> Vec<String> {
    if failure.says(&["queue"]) {
        return lines([
            "It was never its turn: no worker was free before the round had to close. Raise `workers`.",
            "Or its host's `rate` or `max_per_host`, which count over all jobs, left no time for it: raise them.",
            "Or give the round more time: a longer `deadline` or `every`.",
            "Endpoints that hang hold workers: a shorter `timeout` or fewer `retries` for those helps the others.",
        ]);
    }
    if failure.says(&["round's deadline"]) {
        return lines([
            "The round had to close while this one still ran: a longer `deadline` or `every` gives it the time.",
            "A shorter `timeout` makes it fail on its own, and leaves time for its `retries`.",
        ]);
    }
    too_slow(phase_of_timeout(failure), &failure.host)
}

/// The phase, or what the detail says in its place.
fn phase_of_timeout(failure: &Failure<'_>) -> Option<Phase> {
    let said = [("answer", Phase::Headers), ("body", Phase::Body), ("connect", Phase::Connect)];
    failure.phase.or_else(|| said.into_iter().find(|(word, _)| failure.says(&[word])).map(|(_, phase)| phase))
}

fn too_slow(phase: Option<Phase>, host: &str) -> Vec<String> {
    match phase {
        Some(Phase::Dns) => lines([
            "The name servers do not answer in time. Check /etc/resolv.conf; a silent one in it delays all others.",
            "If they are merely slow: a longer `connect_timeout`.",
        ]),
        Some(Phase::Connect) => lines([
            &format!("Nothing at {host} answers, as when a firewall drops packets or the machine is off."),
            "Check the port, and whether this machine's address is allowed there. If the way out is a proxy: `proxy`.",
            "If it is merely far away: a longer `connect_timeout`.",
        ]),
        Some(Phase::Tls) => lines([
            &format!("{host} takes the connection but does not shake hands. Is that port for TLS? Else write http://."),
            "If it is merely slow: a longer `connect_timeout`.",
        ]),
        Some(Phase::Headers) => lines([
            "The server has the request and thinks for longer than it is given: a longer `timeout`.",
            ROOM,
            "Ask for less, if it has to compute what it answers: `query`.",
            "Some servers let scripts hang: a `user_agent` that says who you are may change it.",
        ]),
        Some(Phase::Body) => lines([
            "The answer came, but not to its end: a longer `timeout`.",
            ROOM,
            "Ask for less, if it is large: `query`.",
        ]),
        None => lines(["Give it more time: a longer `timeout`.", ROOM]),
    }
}

pub fn reset(failure: &Failure<'_>) -> Vec<String> {
    let mut advice = Vec::new();
    if failure.phase.is_some_and(|phase| phase <= Phase::Tls) {
        advice = lines([&format!("Is the port right, and does {} speak TLS there? Else write http://.", failure.host)]);
    }
    if failure.phase == Some(Phase::Headers) && !failure.tls {
        advice = lines(["If that port is for TLS, it hangs up on http://: write https://."]);
    }
    advice.extend(lines([
        "The server, or a firewall or proxy in between, hung up. Where that passes, a higher `retries` helps.",
        "If it always hangs up, it may not like who asks: `user_agent`, or this machine's address.",
    ]));
    advice
}

pub fn protocol(failure: &Failure<'_>) -> Vec<String> {
    if failure.says(&["header", "message head is too large"]) {
        return lines([
            "The answer's headers are more (100) or larger (400 KiB) than any server needs, often from cookies that pile up: \
             the provider has to mend it.",
        ]);
    }
    lines([
        &format!(
            "What answers at {} is not a right HTTP server. Check the port, and http:// against https://.",
            failure.host
        ),
        "If both are right, the server or a proxy in between is broken: tell its operator.",
    ])
}
