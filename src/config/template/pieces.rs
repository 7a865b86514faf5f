//! A template's text taken apart: what stands as it is, and the blocks.

/// The most blocks in one text.
const MOST_BLOCKS: usize = 100;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// What stands as it is.
    Literal(&'t str),
    /// `{{ expression }}`.
    Block {
        /// With its braces.
        whole: &'t str,
        /// Without them.
        inside: &'t str,
    },
}

/// The parts of `text`, in order; joined they are `text` again.
///
/// # Errors
/// A block that does not end, too many of them, or what other template languages have beside blocks.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut pieces, mut blocks) = (Vec::new(), 0);
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, behind) = rest.split_at(rest.find("{{").unwrap_or(rest.len()));
        check_literal(literal, rest)?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        rest = behind;
        if let Some(inside) = rest.strip_prefix("{{") {
            let end = block_end(inside)
                .ok_or_else(|| format!("{} is not closed: }}}} is missing, or a quote inside", shortened(rest)))?;
            blocks += 1;
            if blocks > MOST_BLOCKS {
                return Err(format!("more than {MOST_BLOCKS} blocks of {{{{ … }}}}"));
            }
            let (whole, behind) = rest.split_at(end + 4);
            pieces.push(Piece::Block { whole, inside: &inside[..end] });
            rest = behind;
        }
    }
    Ok(pieces)
}

/// `{%` and `{#` alone may well stand in a URL or a body, with their counterparts they are meant as something.
fn check_literal(literal: &str, rest: &str) -> Result<(), String> {
    for (start, end, what) in [("{%", "%}", "statements"), ("{#", "#}", "comments")] {
        if literal.find(start).is_some_and(|at| rest[at + 2..].contains(end)) {
            return Err(format!(
                "there are no {what} ({start} … {end}), only expressions such as {{{{ due }}}}; where these signs are \
                 meant as they stand, write {{{{ \"{start}\" }}}}"
            ));
        }
    }
    Ok(())
}

/// Where the `}}` is that ends a block; one in quotes does not.
fn block_end(inside: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += inside[at..].find(['}', '"', '\''])?;
        match &inside[at..] {
            rest if rest.starts_with("}}") => return Some(at),
            rest if rest.starts_with('}') => at += 1,
            rest => at += quoted_end(rest)?,
        }
    }
}

/// The length of the quoted text that `text` begins with, quotes included; a backslash keeps the sign behind it from
/// ending it. `None` when it does not end.
pub fn quoted_end(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

/// The beginning of a text, for a message.
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(LONGEST)])
}
