//! Secrets: where they come from, and a value that is never shown.

use std::fmt;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use http::HeaderValue;
use rustix::fs::OFlags;
use secrecy::{ExposeSecret, SecretString};

/// The largest file that a secret is read from, in bytes.
const LARGEST_FILE: u64 = 64 * 1024;

/// Where a secret is found. The secret itself never stands in a config.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, relative to the config; line ends at its end are not part of the secret.
    File(PathBuf),
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// A secret's value: shown as `[secret]` by Debug, wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

/// Why a secret could not be read. Says where it was looked for, never what was found.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not in the environment.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// `$CREDENTIALS_DIRECTORY` is not there.
    #[error("the credential {0:?} cannot be read: systemd gave none (no $CREDENTIALS_DIRECTORY; see LoadCredential=)")]
    NoCredentials(String),
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading it could wait for ever, or never end.
    #[error("{path} is {kind}: a secret is read from a regular file, so write it into one")]
    NotAFile {
        /// What is there.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// No header could carry what is in it.
    #[error("{0} holds more than 64 KiB, which is no secret: the file should hold the secret and nothing else")]
    TooLarge(PathBuf),
    /// Nothing there.
    #[error("{0} holds an empty secret")]
    Empty(SecretSource),
    /// Not UTF-8.
    #[error("{0} holds what is not text in UTF-8")]
    NotText(SecretSource),
    /// A URL was wanted.
    #[error("{0} holds no http or https URL")]
    NotAUrl(SecretSource),
    /// Something in it that no header can carry.
    #[error("{0} holds a control character, such as a line break, inside the secret")]
    ControlCharacter(SecretSource),
}

impl SecretError {
    /// Whether there was nothing to be read, which may be otherwise for somebody else: a service has variables, credentials
    /// and rights of its own.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NotSet(_) | Self::NoCredentials(_) | Self::Unreadable { .. })
    }
}

impl SecretSource {
    /// The file that holds the secret, if one does; a relative one is looked for in `folder`.
    #[must_use]
    pub fn path(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::Env(_) => None,
            Self::File(path) => Some(folder.join(path)),
            Self::Credential(name) => Some(Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name)),
        }
    }

    /// Reads the secret; a relative file is looked for in `folder`.
    ///
    /// # Errors
    /// When it is not there, is empty, or has a control character inside (RFC 9110, section 5.5, forbids it).
    pub fn read(&self, folder: &Path) -> Result<Secret, SecretError> {
        self.read_from(folder, false)
    }

    /// The same for somebody who reads it once and may wait for it: a pipe will do, such as a shell's `<(pass show api)`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_once(&self, folder: &Path) -> Result<Secret, SecretError> {
        self.read_from(folder, true)
    }

    fn read_from(&self, folder: &Path, may_wait: bool) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::Env(name) => std::env::var_os(name).ok_or_else(|| SecretError::NotSet(name.clone()))?.into_vec(),
            Self::File(path) => read_file(&folder.join(path), may_wait)?,
            Self::Credential(name) => {
                let path = self.path(folder).ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
                read_file(&path, may_wait)?
            }
        };
        let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText(self.clone()))?;
        if text.is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        Secret::new(text).ok_or_else(|| SecretError::ControlCharacter(self.clone()))
    }
}

/// What stands in the file at `path`, without the line ends at its end: a regular one, or a pipe for those who may wait for
/// its other end.
fn read_file(path: &Path, may_wait: bool) -> Result<Vec<u8>, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let file = if may_wait { File::open(path) } else { open(path) }.map_err(unreadable)?;
    let kind = file.metadata().map_err(unreadable)?.file_type();
    if !(kind.is_file() || may_wait && kind.is_fifo()) {
        return Err(SecretError::NotAFile { path: path.to_owned(), kind: named(kind) });
    }
    let mut bytes = Vec::new();
    // Without the bound, a file that somebody writes to meanwhile could go on.
    let size = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if size as u64 > LARGEST_FILE {
        return Err(SecretError::TooLarge(path.to_owned()));
    }
    let ends = bytes.iter().rev().take_while(|byte| [b'\r', b'\n'].contains(byte)).count();
    bytes.truncate(bytes.len() - ends);
    Ok(bytes)
}

/// Opens without waiting for whoever writes to a pipe (POSIX, `open`), and without taking over a terminal.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn named(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_dir() {
        "a folder"
    } else {
        "a device"
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Credential(name) => write!(f, "the credential {name}"),
        }
    }
}

impl Secret {
    /// A secret with this value; `None` when it has a control character, which no header can carry.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Option<Self> {
        let value = SecretString::from(value.into());
        HeaderValue::from_str(value.expose_secret()).ok()?;
        (!value.expose_secret().chars().any(char::is_control)).then_some(Self(value))
    }

    /// The secret as a header's value, behind `scheme` unless that is empty, marked as sensitive.
    #[expect(clippy::missing_panics_doc, reason = "`new` lets only what fits into a header pass")]
    #[must_use]
    pub fn header(&self, scheme: &HeaderValue) -> HeaderValue {
        let space: &[u8] = if scheme.is_empty() { b"" } else { b" " };
        let bytes = [scheme.as_bytes(), space, self.0.expose_secret().as_bytes()].concat();
        let mut value = HeaderValue::from_bytes(&bytes).expect("a secret was found fit for a header when it was made");
        value.set_sensitive(true);
        value
    }

    /// The secret itself, for those who put it into a request.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_from_a_file_loses_its_line_end_and_is_never_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("token"), "s3cret\r\n").expect("written");
        let secret = SecretSource::File("token".into()).read(folder.path()).expect("read");
        assert_eq!(secret.header(&HeaderValue::from_static("Bearer")), "Bearer s3cret");
        assert_eq!(secret.header(&HeaderValue::from_static("")), "s3cret");
        assert_eq!(format!("{secret:?}"), "[secret]");
    }

    #[test]
    fn a_secret_with_a_line_break_inside_or_nothing_in_it_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let refused = || SecretSource::File("token".into()).read(folder.path()).expect_err("refused");
        assert!(refused().is_missing());
        for (content, expected) in
            [(&b"a\nb"[..], "control character"), (b"\n", "empty"), (b"a\xe9\n", "not text in UTF-8")]
        {
            std::fs::write(folder.path().join("token"), content).expect("written");
            let error = refused();
            assert!(error.to_string().contains(expected) && !error.is_missing(), "{error}");
        }
    }

    #[test]
    fn a_secret_is_read_from_a_regular_file_of_64_kib_at_most_and_nothing_else_is_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let refused =
            |path: &Path| SecretSource::File(path.to_owned()).read(folder.path()).expect_err("refused").to_string();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        for (path, kind) in
            [(pipe.as_path(), "a named pipe"), ("/dev/zero".as_ref(), "a device"), ("".as_ref(), "a folder")]
        {
            let error = refused(path);
            assert!(error.contains(kind) && error.contains("regular file"), "{error}");
            assert!(error.contains(&*folder.path().join(path).to_string_lossy()), "{error}");
        }
        let file = folder.path().join("token");
        std::fs::write(&file, "a".repeat(64 * 1024)).expect("written");
        assert!(SecretSource::File(file.clone()).read(folder.path()).is_ok());
        std::fs::write(&file, "a".repeat(64 * 1024 + 1)).expect("written");
        assert!(refused(&file).contains("more than 64 KiB"));
    }
}
