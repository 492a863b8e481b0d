//! One running WordPress, as one pod of it: PHP-FPM with what this pod was told, and an nginx of its own in front.
//!
//! What it was told does not change while it runs: a new database endpoint counts from the next start on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Files, READY_PATH, READY_SECONDS};
use crate::nginx;
use crate::process::Process;
use crate::programs::ZonePrograms;

/// Longest request, in seconds: the installation, on a busy machine.
const REQUEST_SECONDS: u32 = 60;
/// Longest wait for the database, in seconds: one that does not answer holds up a worker for this long.
const DATABASE_SECONDS: u32 = 10;
/// Workers of each server, so requests at a time.
const WORKERS: u32 = 3;
/// Variable with the root by which the database is verified; PHP wants a file.
const ROOT_VARIABLE: &str = "WORDPRESS_DB_CA";

/// Variable with how many requests may wait for a worker; those beyond it are answered 502. Left out, thousands may.
pub const QUEUE_VARIABLE: &str = "PHP_FPM_QUEUE";

/// Where and with what it runs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Name for people.
    pub name: String,
    /// Folder of its own, created if missing; a socket lies in it.
    pub folder: PathBuf,
    /// Where it listens, plain HTTP.
    pub address: SocketAddr,
    /// What it is told: its environment.
    pub environment: BTreeMap<String, String>,
}

impl Setup {
    /// Where it says how it is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("php.err")
    }
}

/// A running WordPress. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    web: Process,
    php: Process,
    http: reqwest::Client,
    ready: String,
}

impl Server {
    /// Starts both of its processes. It is not ready yet.
    ///
    /// # Errors
    /// Where a value cannot be handed over or a program cannot be started.
    pub fn start(
        setpriv: &Path,
        programs: &ZonePrograms,
        files: &Files,
        setup: &Setup,
    ) -> Result<Self> {
        let folder = &setup.folder;
        fs::create_dir_all(folder.join("tmp"))?;
        if let Some(root) = setup.environment.get(ROOT_VARIABLE) {
            fs::write(folder.join("ca.pem"), root)?;
        }
        let (php_config, web_config) = (folder.join("php.conf"), folder.join("nginx.conf"));
        fs::write(&php_config, php(setup)?)?;
        fs::write(&web_config, web(setup, files))?;
        let mut arguments = vec![
            "-F".to_owned(),
            "-y".to_owned(),
            php_config.display().to_string(),
        ];
        arguments.extend(
            rustix::process::geteuid()
                .is_root()
                .then(|| "-R".to_owned()),
        );
        let php = Process::start_with_children(
            setpriv,
            &format!("php-fpm {}", setup.name),
            &programs.php_fpm,
            arguments,
            &folder.join("php.log"),
        )?;
        let web = nginx::start(setpriv, programs, &format!("nginx {}", setup.name), folder)?;
        let ready = format!("http://{}{READY_PATH}", setup.address);
        Ok(Self {
            web,
            php,
            http: crate::client::plain()?,
            ready,
        })
    }

    /// An error where one of its processes has ended.
    ///
    /// # Errors
    /// See above; it quotes the log.
    pub fn alive(&mut self) -> Result<()> {
        self.php.alive()?;
        self.web.alive()
    }

    /// The readiness check: whether it answers and has its database.
    pub async fn is_ready(&self) -> bool {
        let request = self
            .http
            .get(&self.ready)
            .timeout(Duration::from_secs(READY_SECONDS));
        request
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
    }
}

/// PHP-FPM's configuration. It is told the environment here and nothing else of ours reaches it.
fn php(setup: &Setup) -> Result<String> {
    let folder = setup.folder.display();
    let mut text = format!(
        "[global]\nerror_log = {log}\ndaemonize = no\npid = {folder}/php.pid\n\
         [www]\nlisten = {folder}/php.sock\npm = static\npm.max_children = {WORKERS}\n\
         request_terminate_timeout = {REQUEST_SECONDS}s\ncatch_workers_output = yes\n\
         php_admin_flag[log_errors] = on\nphp_admin_value[error_log] = {log}\n\
         php_admin_value[openssl.cafile] = {folder}/ca.pem\nphp_admin_value[sys_temp_dir] = {folder}/tmp\n\
         php_admin_value[upload_tmp_dir] = {folder}/tmp\n\
         php_admin_value[default_socket_timeout] = {DATABASE_SECONDS}\n\
         php_admin_value[mysqlnd.net_read_timeout] = {DATABASE_SECONDS}\n",
        log = setup.log().display(),
    );
    if let Some(waiting) = setup.environment.get(QUEUE_VARIABLE) {
        writeln!(text, "listen.backlog = {waiting}")?;
    }
    if rustix::process::geteuid().is_root() {
        text.push_str("user = root\ngroup = root\n");
    }
    for (name, value) in &setup.environment {
        if name == ROOT_VARIABLE {
            continue;
        }
        let fits = !value.contains(['"', '\\', '$']) && !value.contains(char::is_control);
        ensure!(
            fits,
            "{name} holds a character that PHP-FPM's configuration cannot"
        );
        writeln!(text, "env[{name}] = \"{value}\"")?;
    }
    Ok(text)
}

/// nginx's configuration. TLS ends at the ingress controller, so every request came over HTTPS; Debian's own
/// `fastcgi_params` sends a host without its port, which WordPress would redirect for ever.
fn web(setup: &Setup, files: &Files) -> String {
    let (folder, root, address) = (
        setup.folder.display(),
        files.root().display(),
        setup.address,
    );
    let (frame, places) = (nginx::frame(&setup.folder), nginx::files(&setup.folder));
    format!(
        "{frame}http {{
{places}    server {{
        listen {address};
        root {root};
        index index.php;
        location / {{ try_files $uri $uri/ /index.php?$args; }}
        location ~ \\.php$ {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param HTTP_HOST $http_host;
            fastcgi_param HTTPS on;
            fastcgi_pass unix:{folder}/php.sock;
        }}
    }}
}}
"
    )
}
