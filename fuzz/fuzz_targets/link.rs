//! `Link` headers of strangers: the target is a part of the header, and stands in angle brackets there; what is in
//! quotes changes nothing.

#![no_main]

use gatherd::fetch::next_link;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    if let Some(target) = next_link(line) {
        assert!(!target.contains('>'), "{target:?} ends behind its bracket");
        assert_eq!(target, target.trim());
        let mut behind_brackets = line.match_indices('<').map(|(at, _)| &line[at + 1..]);
        let in_brackets =
            behind_brackets.any(|text| text.split_once('>').is_some_and(|(inside, _)| inside.trim() == target));
        assert!(in_brackets, "{target:?} is not in brackets");
        assert!(line.to_ascii_lowercase().contains("next"), "nothing is called next");
    }
    let quoted = line.replace('\\', "\\\\").replace('"', "\\\"");
    let line = format!("</1>; rel=\"prev\"; title=\"{quoted}\", </2>; title=\"{quoted}\"; rel=\"last next\"");
    assert_eq!(next_link(&line).as_deref(), Some("/2"), "{line}");
});
