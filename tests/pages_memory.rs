//! What pages take of memory. Alone in its file, because it looks at the whole process.
#![cfg(target_os = "linux")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;

use gatherd::model::Outcome;

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
    let (head, tail) = ("{\"next\":null,\"items\":[", "1]}");
    let items = (MAX_BODY - head.len() - tail.len()) / 2;
    let page = format!("{head}{}{tail}", "1,".repeat(items));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
            head.push(byte[0]);
        }
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
