//! The folder of an issuer: certificates by name, and the orders for them.
//!
//! `NAME` is a link to a folder that is never changed once it is there, so that chain and key under it always belong
//! together; orders and what is being written have names that begin with a dot. What holds a key is for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::super::Fault;
use super::super::tls::Leaf;
use super::order::Begun;

/// The certificate with the chain that leads to its root, PEM.
const CHAIN: &str = "fullchain.pem";
/// Its key, PEM.
const KEY: &str = "privkey.pem";
/// What it was ordered with.
const TAG: &str = "tag";

/// A certificate that is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) dns_names: Vec<String>,
    pub(super) not_after_ms: u64,
    pub(super) fingerprint: String,
    pub(super) tag: String,
    /// Its key is there too.
    pub(super) usable: bool,
}

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn order_file(&self, name: &str) -> PathBuf {
        self.0.join(format!(".{name}.order"))
    }

    /// The certificate under a name.
    pub(super) async fn kept(&self, name: &str) -> Result<Option<Kept>, Fault> {
        let place = self.0.join(name);
        blocking(move || look(&place)).await
    }

    /// The order under a name. One that cannot be read is none: it is begun anew.
    pub(super) async fn begun(&self, name: &str) -> Result<Option<Begun>, Fault> {
        let text = read(&self.order_file(name)).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(super) async fn begin(&self, name: &str, begun: &Begun) -> Result<(), Fault> {
        let text = serde_json::to_string(begun)
            .map_err(|error| Fault::other("CP0064", error.to_string()))?;
        write(&self.order_file(name), text).await
    }

    pub(super) async fn forget(&self, name: &str) -> Result<(), Fault> {
        let file = self.order_file(name);
        blocking(move || remove(&file)).await
    }

    /// Puts a certificate and its key in the place of the one under this name, both at once.
    pub(super) async fn keep(
        &self,
        name: &str,
        chain: String,
        key: String,
        tag: &str,
    ) -> Result<Kept, Fault> {
        let (folder, name, tag) = (self.0.clone(), name.to_owned(), tag.to_owned());
        blocking(move || {
            let leaf = leaf(&chain).map_err(|reason| {
                Fault::other(
                    "CP0062",
                    format!("what was issued cannot be read: {reason}"),
                )
            })?;
            let target = format!(".{name}.{}", leaf.fingerprint);
            let fresh = folder.join(&target);
            if fresh.exists() {
                fs::remove_dir_all(&fresh).map_err(|error| disk("replace", &fresh, &error))?;
            }
            private_folder(&fresh)?;
            for (file, text) in [(CHAIN, &chain), (KEY, &key), (TAG, &tag)] {
                put(&fresh.join(file), text)?;
            }
            let place = folder.join(&name);
            let old = fs::read_link(&place).ok();
            let link = folder.join(format!(".{name}.link"));
            remove(&link)?;
            symlink(&target, &link)
                .and_then(|()| fs::rename(&link, &place))
                .and_then(|()| File::open(&folder)?.sync_all())
                .map_err(|error| disk("replace", &place, &error))?;
            if let Some(old) = old.filter(|old| old != Path::new(&target)) {
                // Nobody finds it any more; a rest is no harm.
                fs::remove_dir_all(folder.join(old)).ok();
            }
            look(&place)?.ok_or_else(|| {
                let text = format!("{} is not there after it was written", place.display());
                Fault::other("CP0064", text)
            })
        })
        .await
    }

    /// Has no key under a name.
    pub(super) async fn discard(&self, name: &str) -> Result<(), Fault> {
        let file = self.0.join(name).join(KEY);
        blocking(move || remove(&file)).await
    }
}

/// A file's text; `None` where there is none.
pub(super) async fn read(path: &Path) -> Result<Option<String>, Fault> {
    let path = path.to_owned();
    blocking(move || match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk("read", &path, &error)),
    })
    .await
}

/// Replaces a file as a whole, durably, for its owner alone.
pub(super) async fn write(path: &Path, text: String) -> Result<(), Fault> {
    let path = path.to_owned();
    blocking(move || {
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        let partial = path.with_extension("partial");
        put(&partial, &text)?;
        fs::rename(&partial, &path).map_err(|error| disk("write", &path, &error))
    })
    .await
}

fn look(place: &Path) -> Result<Option<Kept>, Fault> {
    let chain = match fs::read_to_string(place.join(CHAIN)) {
        Ok(chain) => chain,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk("read", place, &error)),
    };
    let leaf = leaf(&chain).map_err(|reason| {
        let text = format!(
            "{} holds no certificate that can be read: {reason}; move it away",
            place.display()
        );
        Fault::other("CP0064", text)
    })?;
    Ok(Some(Kept {
        dns_names: leaf.dns_names,
        not_after_ms: leaf.not_after_ms,
        fingerprint: leaf.fingerprint,
        tag: fs::read_to_string(place.join(TAG)).unwrap_or_default(),
        usable: place.join(KEY).is_file(),
    }))
}

/// The first certificate of a chain.
fn leaf(chain: &str) -> Result<Leaf, String> {
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes());
    Leaf::read(&leaf.map_err(|error| error.to_string())?)
}

fn put(path: &Path, text: &str) -> Result<(), Fault> {
    let failed = |error: io::Error| disk("write", path, &error);
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let mut file = file.map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn private_folder(path: &Path) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| disk("make", path, &error))
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Work that waits for the disk, beside the runtime's own threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Fault::other("CP0064", error.to_string())))
}

fn disk(what: &str, path: &Path, error: &io::Error) -> Fault {
    let text = format!("cannot {what} {}: {error}", path.display());
    Fault::other("CP0064", text)
}
