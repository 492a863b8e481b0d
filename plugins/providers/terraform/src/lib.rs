//! Terraform (1.5 and later) through the host's `exec` capability: workspaces and files of variables that exist already.
//!
//! # What it needs
//! *A program* of the binding for each stack and site, which starts in the folder of the code, initialised
//! (`terraform init`) with a data folder of its own, so that the workspace that one call selects is not another one's:
//!
//! ```text
//! programs.terraform-bz = { program = "/usr/bin/terraform", leading = ["-chdir=/srv/infra/zone"], time-limit = "1h",
//!   max-output-bytes = 4194304, environment = { TF_DATA_DIR = "/srv/infra/data/bz", TF_IN_AUTOMATION = "1",
//!   CHECKPOINT_DISABLE = "1", PATH = "/usr/bin:/bin" }, secrets = { DIGITALOCEAN_TOKEN = … }, arguments = [
//!   ["workspace", "select", "{name}"], ["output", "-json"], ["state", "list"],
//!   ["plan", "-input=false", "-json", "-detailed-exitcode", "-lock-timeout={name}"],
//!   ["plan", "-input=false", "-json", "-detailed-exitcode", "-lock-timeout={name}", "-var-file={path}..."],
//!   ["apply", "-input=false", "-json", "-auto-approve", "-lock-timeout={name}", "-var-file={path}..."],
//!   ["destroy", "-input=false", "-json", "-auto-approve", "-lock-timeout={name}", "-var-file={path}..."]] }
//! ```
//!
//! Leave the forms of `apply` and `destroy` out, and the provider only looks.
//!
//! # What each function does there
//! Each selects its workspace first, which refuses one that does not exist: Terraform itself would begin an empty one.
//! * `observe-difference`: `plan -json -detailed-exitcode`, its planned changes and its drift.
//! * `observe-lock`: the same plan, without waiting; a lock that somebody holds is in its words.
//! * `get-outputs`: `output -json`; sensitive values are left out.
//! * `ensure-applied`: a plan; where it shows changes, `apply` as a job.
//! * `ensure-destroyed`: `state list`; where there is anything, `destroy` as a job.
//!
//! Start at `stack::Stack`; `stream` reads what Terraform says.

use understudy_sdk::exec::Host;
use understudy_sdk::host::understudy::types::types::Error;
use understudy_sdk::provider::Configured;

mod config;
mod stack;
mod stream;

understudy_sdk::provider_bindings!("understudy:plugin/provider-infrastructure");

use config::Config;
use exports::understudy::{infrastructure::infrastructure, plugin::provider};
use stack::Stack;

static CONFIG: Configured<Config> = Configured::new();

/// The provider.
struct Terraform;

impl provider::Guest for Terraform {
    fn describe() -> provider::Description {
        provider::Description {
            name: "terraform".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Terraform with existing workspaces and files of variables".to_owned(),
            config_schema: config::SCHEMA.to_owned(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        CONFIG.set(Config::parse(&config)?)
    }
}

impl infrastructure::Guest for Terraform {
    fn observe_difference(
        site: String,
        stack: String,
    ) -> Result<infrastructure::Difference, Error> {
        Stack::find(&Host, CONFIG.get()?, &site, &stack)?.difference()
    }

    fn get_outputs(site: String, stack: String) -> Result<Vec<infrastructure::Output>, Error> {
        Stack::find(&Host, CONFIG.get()?, &site, &stack)?.outputs()
    }

    fn observe_lock(site: String, stack: String) -> Result<Option<infrastructure::Lock>, Error> {
        Stack::find(&Host, CONFIG.get()?, &site, &stack)?.lock()
    }

    fn ensure_applied(site: String, stack: String) -> Result<infrastructure::Outcome, Error> {
        Stack::find(&Host, CONFIG.get()?, &site, &stack)?.apply()
    }

    fn ensure_destroyed(site: String, stack: String) -> Result<infrastructure::Outcome, Error> {
        Stack::find(&Host, CONFIG.get()?, &site, &stack)?.destroy()
    }
}

export!(Terraform);
