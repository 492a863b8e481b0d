//! nginx: what every configuration begins with, and starting it. One worker is enough here.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::Process;
use crate::programs::ZonePrograms;

/// Starts nginx with `nginx.conf` of `folder`.
///
/// # Errors
/// Where it cannot be started.
pub(crate) fn start(
    setpriv: &Path,
    programs: &ZonePrograms,
    name: &str,
    folder: &Path,
) -> Result<Process> {
    let path = |file: &str| folder.join(file).into_os_string();
    let arguments = [
        "-p".into(),
        path(""),
        "-c".into(),
        path("nginx.conf"),
        "-e".into(),
        errors(folder).into_os_string(),
    ];
    Process::start_with_children(
        setpriv,
        name,
        &programs.nginx,
        arguments,
        &folder.join("nginx.log"),
    )
}

/// What a configuration begins with, up to and without its `http` block.
pub(crate) fn frame(folder: &Path) -> String {
    // The lab's folder is its user's alone, so workers stay that user.
    let user = if rustix::process::geteuid().is_root() {
        "user root;\n"
    } else {
        ""
    };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {errors} warn;\n\
         events {{ worker_connections 256; }}\n",
        folder = folder.display(),
        errors = errors(folder).display(),
    )
}

/// Where it says what is wrong.
pub(crate) fn errors(folder: &Path) -> PathBuf {
    folder.join("nginx.err")
}

/// The first lines of an `http` block: files of its own, none shared with another nginx.
pub(crate) fn files(folder: &Path) -> String {
    let folder = folder.display();
    let places: String = ["client_body", "fastcgi", "proxy", "scgi", "uwsgi"]
        .map(|place| format!("    {place}_temp_path {folder}/tmp/{place};\n"))
        .concat();
    format!(
        "    include /etc/nginx/mime.types;\n    access_log off;\n    client_max_body_size 16m;\n{places}"
    )
}
