//! What pages take of memory. Alone in its file, because it looks at the whole process.
#![cfg(target_os = "linux")]

mod support;

use std::io::Write;

use gatherd::model::Outcome;

use support::canned::{connections, head};
use support::once::{slot, text};

const MAX_BODY: usize = 8 * 1024 * 1024;

/// A figure of this process in `/proc/self/status`, in bytes.
fn memory(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("the figure is there");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
fn pages_of_tiny_items_take_no_memory_for_each_item() {
    let (before, after) = ("{\"next\":null,\"items\":[", "1]}");
    let items = (MAX_BODY - before.len() - after.len()) / 2;
    let page = format!("{before}{}{after}", "1,".repeat(items));
    let url = connections(move |_, mut stream| {
        head(&mut stream);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
    });
    let before = memory("VmRSS");
    let keys = "max_body = \"8MiB\"\ntimeout = \"25s\"\nretries = 0\npages = { url = \"/next\", items = \"/items\" }";
    let slot = slot(keys, &url);
    assert_eq!(slot.outcome, Outcome::Ok, "{:?}", slot.detail);
    assert_eq!(text(&slot).len(), 2 * items + 3);
    // Thrice the body is what it should be; the client, its threads and the allocator take some more. A slice for each
    // of these items would take eight times the body beside it.
    let taken = memory("VmHWM") - before;
    assert!(taken < 6 * MAX_BODY, "{taken} bytes");
}
