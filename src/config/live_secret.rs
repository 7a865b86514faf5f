//! A secret that is read again when its file changes.

use std::collections::VecDeque;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{FileStamp, Secret, SecretError, SecretSource};

/// A file that changed so shortly before it was read may change once more without a trace in its times.
const GRAIN: Duration = Duration::from_secs(1);

/// So many former secrets are known, to be hidden in what is still told of them.
const FORMER: usize = 4;

/// A secret and where it came from.
#[derive(Debug)]
pub struct LiveSecret {
    source: Option<(SecretSource, PathBuf)>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    secret: Arc<Secret>,
    /// Those before it, the last one first.
    former: VecDeque<Arc<Secret>>,
    /// How the file looked when it was read; `None` when that says too little.
    stamp: Option<FileStamp>,
    /// What was wrong with it the last time, to be said once.
    complaint: Option<String>,
}

impl LiveSecret {
    /// A secret that never changes.
    #[must_use]
    pub fn fixed(secret: Secret) -> Self {
        Self { source: None, state: Mutex::new(State::new(secret, None)) }
    }

    /// The secret of `source`; relative files are looked for in `folder`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(source: &SecretSource, folder: &std::path::Path) -> Result<Self, SecretError> {
        let stamp = source.path(folder).and_then(|path| stamp(&path));
        let secret = source.read(folder)?;
        Ok(Self { source: Some((source.clone(), folder.to_owned())), state: Mutex::new(State::new(secret, stamp)) })
    }

    /// The secret as it is now. A file that changed is read again; one that holds no secret any more is complained of
    /// once, and the last good secret stays.
    pub fn current(&self) -> Arc<Secret> {
        let mut state = self.lock();
        if let Some((source, folder)) = &self.source
            && let Some(path) = source.path(folder)
        {
            let found = FileStamp::of(&path);
            if found.is_none() || state.stamp != found {
                state.read_again(source, &path, folder);
            }
        }
        Arc::clone(&state.secret)
    }

    /// The last few that it was before.
    pub fn former(&self) -> Vec<Arc<Secret>> {
        self.lock().former.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(secret: Secret, stamp: Option<FileStamp>) -> Self {
        Self { secret: Arc::new(secret), former: VecDeque::new(), stamp, complaint: None }
    }

    fn read_again(&mut self, source: &SecretSource, path: &std::path::Path, folder: &std::path::Path) {
        // Before the content: a write in between is then seen the next time.
        let stamp = stamp(path);
        match source.read(folder) {
            Ok(secret) => {
                if secret.expose() != self.secret.expose() {
                    tracing::info!(source = %source, "the secret changed and was read again");
                    self.former.push_front(std::mem::replace(&mut self.secret, Arc::new(secret)));
                    self.former.truncate(FORMER);
                } else if self.complaint.is_some() {
                    tracing::info!(source = %source, "the secret can be read again");
                }
                (self.stamp, self.complaint) = (stamp, None);
            }
            Err(error) => {
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                let complaint = format!("{error}{cause}");
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::warn!(error = complaint, "the secret cannot be read again, the last one stays in use");
                }
                (self.stamp, self.complaint) = (stamp, Some(complaint));
            }
        }
    }
}

fn stamp(path: &std::path::Path) -> Option<FileStamp> {
    let file = std::fs::metadata(path).ok()?;
    let age = SystemTime::now().duration_since(file.modified().ok()?).unwrap_or_default();
    (age > GRAIN).then(|| FileStamp::from(&file))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_secret_follows_its_file_and_stays_when_the_file_is_no_good() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("token");
        fs::write(&file, "first\n").expect("written");
        let live = LiveSecret::of(&SecretSource::File("token".into()), folder.path()).expect("read");
        assert_eq!(live.current().expose(), "first");
        fs::write(&file, "other\n").expect("written");
        assert_eq!(live.current().expose(), "other", "as long, and written within the grain of the file's times");
        fs::write(folder.path().join("new"), "third").expect("written");
        fs::rename(folder.path().join("new"), &file).expect("replaced");
        assert_eq!(live.current().expose(), "third");
        for bad in ["", "a\nb"] {
            fs::write(&file, bad).expect("written");
            assert_eq!(live.current().expose(), "third");
        }
        fs::remove_file(&file).expect("removed");
        assert_eq!(live.current().expose(), "third");
        fs::write(&file, "fourth").expect("written");
        assert_eq!(live.current().expose(), "fourth");
        let former = live.former();
        assert_eq!(former.iter().map(|secret| secret.expose()).collect::<Vec<_>>(), ["third", "other", "first"]);
    }

    #[test]
    fn what_takes_the_place_of_a_file_and_never_ends_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("token");
        fs::write(&file, "first").expect("written");
        let live = LiveSecret::of(&SecretSource::File("token".into()), folder.path()).expect("read");
        fs::remove_file(&file).expect("removed");
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).expect("a pipe");
        assert_eq!(live.current().expose(), "first");
        let complaint = live.state.lock().expect("unpoisoned").complaint.clone();
        assert!(complaint.is_some_and(|it| it.contains("named pipe")));
        fs::remove_file(&file).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", &file).expect("linked");
        assert_eq!(live.current().expose(), "first");
        fs::remove_file(&file).expect("removed");
        fs::write(&file, "second").expect("written");
        assert_eq!(live.current().expose(), "second");
        assert_eq!(live.state.lock().expect("unpoisoned").complaint, None);
    }
}
