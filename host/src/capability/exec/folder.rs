//! The folder of an entry: files by plain names, each there as a whole or not at all.
//!
//! What is being written has another name, which no provider can say, until it is complete.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Fault;
use crate::call::hex;
use crate::clock::millis;
use crate::runbook::argument::is_name;

/// Most files listed.
pub(super) const MAX_FILES: usize = 1000;

/// Most bytes read or written by a provider at once.
pub(super) const MAX_PART_BYTES: usize = 64 * 1024;

/// A folder.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// `listed` of the contract.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Listed {
    name: String,
    size_bytes: u64,
    changed_at_ms: u64,
}

/// `written` of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Written {
    pub(super) name: String,
    pub(super) size_bytes: u64,
    pub(super) sha256: String,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// A name that can be a file's.
    pub(super) fn check(name: &str) -> Result<(), Fault> {
        if is_name(name) {
            return Ok(());
        }
        let text = format!("`{name}` is no name of a file: letters, digits, `_`, `.` and `-`");
        Err(Fault::invalid("CP0009", text))
    }

    pub(super) async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let folder = self.clone();
        blocking(move || folder.listed()).await
    }

    fn listed(&self) -> Result<Vec<Listed>, Fault> {
        let failed = |error: io::Error| disk("list", &self.0, &error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            // Gone since, or no file: neither is listed.
            let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_file) else {
                continue;
            };
            if !is_name(&name) {
                continue;
            }
            let changed = metadata.modified().ok();
            let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            files.push(Listed {
                name,
                size_bytes: metadata.len(),
                changed_at_ms: changed.map_or(0, millis),
            });
        }
        if files.len() > MAX_FILES {
            let text = format!(
                "{} holds more than {MAX_FILES} files; move the oldest away",
                self.0.display()
            );
            return Err(Fault::other("CP0010", text));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    pub(super) async fn read(
        &self,
        name: &str,
        offset: i64,
        length: u32,
    ) -> Result<Vec<u8>, Fault> {
        let (folder, name) = (self.clone(), name.to_owned());
        blocking(move || {
            let mut file = folder.open(&name)?;
            let failed = |error: io::Error| disk("read", &folder.0.join(&name), &error);
            let size = file.metadata().map_err(failed)?.len();
            let from_end = size.saturating_sub(offset.unsigned_abs());
            let start = u64::try_from(offset).unwrap_or(from_end);
            file.seek(SeekFrom::Start(start)).map_err(failed)?;
            let most = MAX_PART_BYTES.min(usize::try_from(length).unwrap_or(usize::MAX));
            let mut part = Vec::new();
            let most = u64::try_from(most).unwrap_or(u64::MAX);
            file.take(most).read_to_end(&mut part).map_err(failed)?;
            Ok(part)
        })
        .await
    }

    pub(super) async fn replace(&self, name: &str, content: Vec<u8>) -> Result<(), Fault> {
        if content.len() > MAX_PART_BYTES {
            let text = format!("a provider writes at most {MAX_PART_BYTES} bytes to `{name}`");
            return Err(Fault::invalid("CP0009", text));
        }
        let (folder, name) = (self.clone(), name.to_owned());
        blocking(move || {
            let mut partial = folder.begin(&name)?;
            partial.add(&content)?;
            partial.complete().map(drop)
        })
        .await
    }

    /// True where there was one.
    pub(super) async fn remove(&self, name: &str) -> Result<bool, Fault> {
        Self::check(name)?;
        let path = self.0.join(name);
        blocking(move || match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(disk("remove", &path, &error)),
        })
        .await
    }

    /// A file to read from.
    pub(super) fn open(&self, name: &str) -> Result<File, Fault> {
        Self::check(name)?;
        let path = self.0.join(name);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        if !is_file {
            return Err(Fault::not_found(
                "CP0039",
                format!("there is no file {}", path.display()),
            ));
        }
        File::open(&path).map_err(|error| disk("open", &path, &error))
    }

    /// A file that will be there once it is complete.
    pub(super) fn begin(&self, name: &str) -> Result<Partial, Fault> {
        Self::check(name)?;
        let path = self.0.join(format!(".{name}.partial"));
        let failed = |error: io::Error| disk("write", &path, &error);
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let busy = || Fault::conflicting("CP0040", format!("`{name}` is being written already"));
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(busy()),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Who had it until now may have completed it: then this is another file than the one of that name.
        let inode = |metadata: fs::Metadata| metadata.ino();
        let (mine, there) = (file.metadata().map(inode), fs::metadata(&path).map(inode));
        if mine.ok() != there.ok() {
            return Err(busy());
        }
        file.set_len(0).map_err(failed)?;
        Ok(Partial {
            name: name.to_owned(),
            complete: self.0.join(name),
            path,
            file,
            size: 0,
            digest: Sha256::new(),
            kept: false,
        })
    }
}

/// A file that is being written; deleted unless it is completed.
#[derive(Debug)]
pub(super) struct Partial {
    name: String,
    path: PathBuf,
    complete: PathBuf,
    file: File,
    size: u64,
    digest: Sha256,
    kept: bool,
}

impl Partial {
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.digest.update(bytes);
        self.size += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.file
            .write_all(bytes)
            .map_err(|error| disk("write", &self.path, &error))
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Puts it in its place, durably.
    pub(super) fn complete(mut self) -> Result<Written, Fault> {
        let failed = |error: io::Error| disk("write", &self.path, &error);
        self.file.sync_all().map_err(failed)?;
        fs::rename(&self.path, &self.complete).map_err(failed)?;
        self.kept = true;
        if let Some(folder) = self.complete.parent() {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(failed)?;
        }
        Ok(Written {
            name: self.name.clone(),
            size_bytes: self.size,
            sha256: hex(&self.digest.clone().finalize()),
        })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // Where that fails it stays under a name that nobody reads, and the next one replaces it.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// SHA-256 of what is left of a file.
pub(super) fn digest(file: &mut File, name: &str) -> Result<String, Fault> {
    let mut digest = Sha256::new();
    let mut chunk = vec![0; MAX_PART_BYTES];
    loop {
        let read = file
            .read(&mut chunk)
            .map_err(|error| disk("read", Path::new(name), &error))?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(chunk.get(..read).unwrap_or_default());
    }
}

/// Work that waits for the disk, beside the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Fault::other("CP0042", error.to_string())))
}

pub(super) fn disk(what: &str, path: &Path, error: &io::Error) -> Fault {
    let text = format!("cannot {what} {}: {error}", path.display());
    Fault::other("CP0042", text)
}
