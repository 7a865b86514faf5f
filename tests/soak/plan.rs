//! What the daemon is asked to do: one job of 500 endpoints each second, most of them at the test's own server, the
//! others well- and misbehaving ones of the sample API; and other configs, good and bad, that it is told to take over.

use std::net::SocketAddr;

use gatherd::sample_api::{MODES, Mode, SampleApi};

/// How many endpoints the job has.
pub const ENDPOINTS: usize = 500;

/// Modes whose outcome is not the same each second, or that change what their neighbours get: hosts that ask to be left
/// alone, answers that the next request on a connection takes for its own, and a mebibyte each second for the small
/// disk.
const LEFT_OUT: [&str; 5] = ["/rate-limited", "/wait-once", "/flaky", "/two-answers", "/big/1048576"];

/// The modes of the sample API that are asked, each by its number.
pub fn modes() -> Vec<&'static Mode> {
    MODES.iter().filter(|mode| !LEFT_OUT.iter().any(|left_out| mode.path.starts_with(left_out))).collect()
}

/// Where the endpoints are.
pub struct Plan {
    pub api: SampleApi,
    pub server: SocketAddr,
}

impl Plan {
    /// A config; each variant has another layout or other keys. Names stay with their endpoints.
    pub fn config(&self, variant: usize) -> String {
        let modes = modes().into_iter().enumerate();
        let modes = modes.map(|(number, mode)| (format!("m{number}"), self.api.url(mode.path)));
        let own = (0..ENDPOINTS - modes.len()).map(|number| self.own(number));
        let mut endpoints: Vec<(String, String)> = own.chain(modes).collect();
        match variant % 3 {
            0 => {}
            1 => {
                endpoints.reverse();
                endpoints.truncate(ENDPOINTS - 3);
                endpoints.extend((1000..1003).map(|number| self.own(number)));
            }
            _ => endpoints.rotate_left(7),
        }
        let endpoints: Vec<String> =
            endpoints.iter().map(|(name, url)| format!("  {{ name = {name:?}, url = {url:?} }},\n")).collect();
        format!(
            "database = \"disk/gatherd.db\"\nworkers = 64\n[server]\nlisten = false\n\
             [[job]]\nname = \"soak\"\nevery = \"1s\"\nretries = 0\ntimeout = \"{}ms\"\nendpoints = [\n{}]\n",
            700 - variant % 3 * 20,
            endpoints.concat()
        )
    }

    /// A config that is to change nothing.
    pub fn bad_config(&self, variant: usize) -> String {
        let good = self.config(variant);
        match variant % 3 {
            0 => format!("{good}\n[[job"),
            1 => good.replace("every = \"1s\"", "every = \"soon\""),
            _ => good.replace("retries = 0", "retires = 0"),
        }
    }

    fn own(&self, number: usize) -> (String, String) {
        (format!("e{number}"), format!("http://{}/e{number}?due={{{{ due | unix }}}}", self.server))
    }
}
