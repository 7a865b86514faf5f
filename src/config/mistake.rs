//! What is wrong with a config, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line it stands on, from 1; 0 when it is the file as a whole.
    pub line: usize,
    /// The key, with the sections around it, such as `job "analytics": endpoints[2].timeout`.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Every mistake of one config file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file.
    pub file: PathBuf,
    /// At least one.
    pub list: Vec<Mistake>,
}

impl Mistakes {
    /// A single mistake that concerns the whole file, or one line of it.
    pub(super) fn one(file: &Path, line: usize, problem: impl Into<String>) -> Self {
        let mistake = Mistake { line, key: String::new(), problem: problem.into() };
        Self { file: file.to_owned(), list: vec![mistake] }
    }

    /// The first of them, and how many more there are.
    #[must_use]
    pub fn in_short(&self) -> String {
        let first = Self { file: self.file.clone(), list: self.list.first().cloned().into_iter().collect() };
        let more = self.list.len().saturating_sub(1);
        if more == 0 { first.to_string() } else { format!("{first} (and {more} more, see gatherd check)") }
    }
}

/// The nearest of the `known` names, if it is so near to `name` that it may have been meant.
pub(super) fn meant<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let distances = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    distances.min().filter(|(distance, _)| *distance <= 1 + name.len() / 4).map(|(_, known)| known)
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Mistake { line, key, problem }) in self.list.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}:", self.file.display())?;
            if *line > 0 {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
            if !key.is_empty() {
                write!(f, "{key}: ")?;
            }
            f.write_str(problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant_and_none_that_is_far() {
        assert_eq!(meant("sales-22", ["sales-1", "sales-2"]), Some("sales-2"));
        assert_eq!(meant("timout", ["timezone", "timeout"]), Some("timeout"));
        assert_eq!(meant("x", ["sales"]), None);
    }
}
