//! nginx as one process: what every configuration begins with, and starting it.
//!
//! Without a master process: workers would outlive a master that is killed, and one worker is enough here.

use std::path::Path;

use anyhow::Result;

use crate::process::Process;
use crate::programs::ZonePrograms;

/// Starts nginx with `nginx.conf` of `folder`.
///
/// # Errors
/// Where it cannot be started.
pub(crate) fn start(setpriv: &Path, programs: &ZonePrograms, name: &str, folder: &Path) -> Result<Process> {
    let path = |file: &str| folder.join(file).into_os_string();
    let arguments = ["-p".into(), path(""), "-c".into(), path("nginx.conf"), "-e".into(), path("nginx.err")];
    Process::start(setpriv, name, &programs.nginx, arguments, &folder.join("nginx.log"))
}

/// What a configuration begins with, up to and without its `http` block.
pub(crate) fn frame(folder: &Path) -> String {
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.err warn;\n\
         events {{ worker_connections 256; }}\n",
        folder = folder.display()
    )
}

/// The first lines of an `http` block: files of its own, none shared with another nginx.
pub(crate) fn files(folder: &Path) -> String {
    let folder = folder.display();
    let places: String = ["client_body", "fastcgi", "proxy", "scgi", "uwsgi"]
        .map(|place| format!("    {place}_temp_path {folder}/tmp/{place};\n"))
        .concat();
    format!("    include /etc/nginx/mime.types;\n    access_log off;\n    client_max_body_size 16m;\n{places}")
}
