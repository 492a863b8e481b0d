//! What keeps a server up, and the two scripts by which others act on it: `on` runs a program on the server's machine, as
//! `ssh` would, and fails where that is gone; `control` stops and restarts it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Server, as_its_user};

/// Starts the server in the foreground whenever it is down, unless it is meant to be.
/// Its libraries look for certificates in the home of whoever started it, which its user cannot read.
const KEEP: &str = r#"HOME=$0; export HOME
while :; do
    if [ -e "$0/down" ] || [ ! -s "$0/data/PG_VERSION" ]; then sleep 0.05; else "$@"; sleep 0.05; fi
done"#;

/// There while the machine is gone.
const GONE: &str = "gone";

/// Arguments of a shell that keeps the server up; the server's command follows.
pub(super) fn arguments(server: &Server) -> Vec<String> {
    let folder = server.setup.folder.display().to_string();
    vec!["-c".to_owned(), KEEP.to_owned(), folder]
}

/// Writes the scripts.
pub(super) fn write(server: &Server) -> Result<()> {
    let folder = server.setup.folder.display().to_string();
    let on = format!(
        "#!/bin/sh\nPATH=/usr/bin:/bin\n\
         [ ! -e {folder}/{GONE} ] || {{ echo 'No route to host' >&2; exit 255; }}\n\
         exec \"$@\"\n"
    );
    let as_user = [
        vec![server.programs.setpriv.display().to_string()],
        as_its_user(),
    ]
    .concat()
    .join(" ");
    let (pg_ctl, pg_isready) = (
        server.programs.pg_ctl.display(),
        server.programs.pg_isready.display(),
    );
    let (host, port) = (server.setup.address.ip(), server.setup.address.port());
    let control = format!(
        "#!/bin/sh\nPATH=/usr/bin:/bin\nset -e\n\
         touch {folder}/down\n\
         if {as_user} {pg_ctl} status -s -D {folder}/data >/dev/null; then\n    \
         {as_user} {pg_ctl} stop -s -D {folder}/data -m fast -w\nfi\n\
         [ \"$1\" = restart ] || exit 0\n\
         rm {folder}/down\n\
         until {pg_isready} -q -h {host} -p {port}; do sleep 0.05; done\n"
    );
    for (path, text) in [
        (on_path(&server.setup.folder), on),
        (control_path(&server.setup.folder), control),
    ] {
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The script that runs a program on the server's machine.
pub(super) fn on_path(folder: &Path) -> PathBuf {
    folder.join("on")
}

/// The script that stops (`stop`) and restarts (`restart`) the server.
pub(super) fn control_path(folder: &Path) -> PathBuf {
    folder.join("control")
}

/// The machine is gone.
pub(super) fn bury(folder: &Path) -> Result<()> {
    Ok(fs::write(folder.join(GONE), "")?)
}

/// It is back.
pub(super) fn revive(folder: &Path) -> Result<()> {
    Ok(fs::remove_file(folder.join(GONE))?)
}
