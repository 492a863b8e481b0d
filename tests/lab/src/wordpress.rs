//! WordPress as Debian packages it: its files, once per zone, and how it is told where its database is.
//!
//! [`server`] runs it, [`session`] is somebody who is logged in, [`users`] are the people who write.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::clock::LIMIT;
use crate::process::Process;
use crate::programs::{Programs, ZonePrograms};

pub mod server;
pub mod session;
pub mod users;

/// Path that answers 200 while the application can serve.
pub const READY_PATH: &str = "/ready.php";
/// How long it may take to say so, in seconds: on a busy machine PHP is slow and well.
pub const READY_SECONDS: u64 = 3;
/// File whose presence makes WordPress answer 503 to everybody: its own maintenance mode.
const MAINTENANCE: &str = ".maintenance";
/// A time that never passes: WordPress takes a maintenance older than ten minutes for forgotten.
const MAINTENANCE_TEXT: &str = "<?php $upgrading = time();\n";

/// What a pod is told: the same names as in its container's environment. Two databases' servers with one certificate
/// authority; nothing may leave the machine, and nothing happens by itself.
const CONFIG: &str = r"<?php
define('DB_NAME', 'wordpress');
define('DB_USER', getenv('WORDPRESS_DB_USER'));
define('DB_PASSWORD', getenv('WORDPRESS_DB_PASSWORD'));
define('DB_HOST', getenv('WORDPRESS_DB_HOST'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_VERIFY_SERVER_CERT);
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $use) {
    define($use . '_KEY', $use . 'SALT');
    define($use . '_SALT', 'SALT' . $use);
}
define('WP_HOME', getenv('WORDPRESS_HOME'));
define('WP_SITEURL', getenv('WORDPRESS_HOME'));
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('DISABLE_WP_CRON', true);
define('FS_METHOD', 'direct');
define('WP_ENVIRONMENT_TYPE', 'local');
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
";

/// Ready means that the database answers; maintenance is no reason to take a pod out. Why it is not ready is in its log.
const READY: &str = r"<?php
define('WP_INSTALLING', true);
register_shutdown_function(function () {
    if (http_response_code() >= 500) error_log('not ready: ' . mysqli_connect_error());
});
require __DIR__ . '/wp-load.php';
if ($wpdb->get_var('SELECT 1') !== '1') http_response_code(500);
";

/// The files of one zone, and with them its media.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    /// Copies the package to `root`. `salt` is what sessions are signed with, the same at every zone.
    ///
    /// # Errors
    /// Where the copy fails.
    pub async fn install(
        programs: &Programs,
        zone: &ZonePrograms,
        root: &Path,
        salt: &str,
    ) -> Result<Self> {
        let folder = root.parent().context("no folder")?;
        let content = root.join("wp-content");
        fs::create_dir_all(folder)?;
        // The second copy goes into what the first one made: the package keeps its content in two places.
        for (from, to) in [
            (&zone.wordpress, root),
            (&zone.wordpress_content, content.as_path()),
        ] {
            let log = folder.join("copy.log");
            let from = if to.exists() {
                from.join(".")
            } else {
                from.clone()
            };
            let arguments = [
                "-RL".into(),
                "--".into(),
                from.into_os_string(),
                to.as_os_str().to_owned(),
            ];
            let mut copy = Process::start(&programs.setpriv, "cp", &zone.cp, arguments, &log)?;
            let status = copy.ended(LIMIT).await?;
            ensure!(
                status.success(),
                "cannot copy WordPress ({status})\n{}",
                copy.log_end()
            );
        }
        fs::write(root.join("wp-config.php"), CONFIG.replace("SALT", salt))?;
        fs::write(root.join(READY_PATH.trim_start_matches('/')), READY)?;
        let files = Self {
            root: root.to_owned(),
        };
        fs::create_dir_all(files.uploads())?;
        Ok(files)
    }

    /// The files at a place where they were installed.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Their folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the media.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.root.join("wp-content/uploads")
    }

    /// Names of the media files, without folders, sorted.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn media(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for file in files_below(&self.uploads())? {
            names.extend(
                file.file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
        }
        names.sort();
        Ok(names)
    }

    /// Turns WordPress' own maintenance mode on or off. Answers whether that was a change.
    ///
    /// # Errors
    /// Where the file cannot be written or removed.
    pub fn set_maintenance(&self, on: bool) -> Result<bool> {
        let file = self.root.join(MAINTENANCE);
        if file.exists() == on {
            return Ok(false);
        }
        if on {
            fs::write(&file, MAINTENANCE_TEXT)?;
        } else {
            fs::remove_file(&file)?;
        }
        Ok(true)
    }
}

/// Every file below a folder, by its whole path.
///
/// # Errors
/// Where a folder cannot be read.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() {
                &mut folders
            } else {
                &mut files
            };
            list.push(entry.path());
        }
    }
    Ok(files)
}
