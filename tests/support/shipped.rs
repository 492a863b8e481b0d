//! The shipped runbook on a stage of its own.

use crate::stage::{PLUGINS, Stage, root};

/// The shipped runbook with its scenarios and the overlays that some of them are for, changed by `edit`, not locked.
pub(crate) fn edited(edit: impl Fn(String) -> String) -> Stage {
    let shipped = root().join("runbooks/wordpress");
    let text = std::fs::read_to_string(shipped.join("runbook.toml")).unwrap();
    let stage = Stage::with(&edit(
        text.replace("../../target/plugins", &PLUGINS.display().to_string()),
    ));
    for overlay in [
        "vendors.toml",
        "on-demand.toml",
        "cold-site.toml",
        "damaged-data.toml",
    ] {
        std::fs::copy(shipped.join(overlay), stage.path(overlay)).unwrap();
    }
    std::fs::create_dir(stage.path("scenarios")).unwrap();
    for scenario in std::fs::read_dir(shipped.join("scenarios")).unwrap() {
        let scenario = scenario.unwrap();
        let copy = stage.path("scenarios").join(scenario.file_name());
        std::fs::copy(scenario.path(), copy).unwrap();
    }
    stage
}
