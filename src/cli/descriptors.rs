//! How many files may be open: a connection is one.

use std::collections::HashSet;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use url::Url;

/// So many files may be open before the kernel's table of them has to grow. While a process has threads, that takes as long
/// as each processor needs to come to rest (`expand_fdtable` in Linux's fs/file.c), up to 20 ms, and whoever opens a
/// connection waits.
const ROOM: u64 = 4_096;

/// So many files are open beside connections to endpoints: the database, the log, the API, the threads' wakers.
const OTHERS: u64 = 48;

/// Raises the number of files that may be open as far as the system allows it. The soft limit that a shell or systemd
/// sets, mostly 1,024, is for programs that use `select`; a connection a worker needs more.
///
/// There is room for [`ROOM`] of them afterwards. To be called before there are threads.
pub fn allow_more() -> rustix::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let most = allowed().min(ROOM);
    // The table is as long as its highest number; closed at once. A system that refuses makes the table longer later.
    let _ = fcntl_dupfd_cloexec(std::io::stdin(), i32::try_from(most).unwrap_or(i32::MAX) - 1);
    raised
}

/// Warns where `workers` that ask so many `endpoints` may need more connections than files may be open: one each, and
/// connections to a host are kept for the next request to it. What finds none is `resource`, whichever it is. How many
/// different hosts there are is only asked where it matters.
pub fn warn_if_few(workers: usize, endpoints: usize, hosts: impl FnOnce() -> usize) {
    let allowed = allowed();
    let needed = |connections: usize| u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if needed(workers.max(endpoints)) <= allowed {
        return;
    }
    let hosts = hosts();
    let needed = needed(workers.max(hosts));
    if allowed < needed {
        tracing::warn!(
            workers,
            hosts,
            allowed,
            needed,
            "fewer files may be open than connections may be needed: requests may fail as `resource`; raise the limit \
             (LimitNOFILE=, ulimit -n) or ask for fewer `workers`"
        );
    }
}

/// How many different hosts there are.
pub fn hosts<'u>(urls: impl Iterator<Item = &'u Url>) -> usize {
    urls.filter_map(|url| Some((url.host_str()?, url.port_or_known_default()))).collect::<HashSet<_>>().len()
}

fn allowed() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
