//! Strategy `restore` (B): the database is restored at the backup site, and the active name follows.
//!
//! For sites without a replica, and for damage that a replica has faithfully replicated. Where the old site answers it
//! is frozen and fenced and gives a last backup, so that nothing is lost; else the newest complete recovery point is
//! taken, and what it costs is said and accepted before anything is replaced. A corrupt recovery point is followed by
//! the next older one. One replica of the application comes first, the agreed number after it.
//!
//! Start with [`plan`]: the strategy is that table. The shared moves are `understudy-recovery`'s, its own are in
//! [`steps`].

mod parameters;
mod plan;
mod steps;

use understudy_recovery::check::{Source, findings};
use understudy_recovery::plan::{lay_out, perform, take_back};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Context, Description, Error, Finding, Guest, Step};

/// The strategy, as it names itself.
const NAME: &str = "restore";

struct Restore;

impl Guest for Restore {
    fn describe() -> Description {
        Description {
            name: NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Restore the database at the backup site and let the active name follow"
                .to_owned(),
            config_schema: parameters::schema(),
        }
    }

    fn validate_config(config: String) -> Result<(), Vec<String>> {
        parameters::validate(&config)
    }

    fn plan(context: Context) -> Result<Vec<Step>, Error> {
        Ok(lay_out(plan::STEPS, &Recovery::read(NAME, context, "")?))
    }

    fn run_step(context: Context, step: String) -> Result<String, Error> {
        perform(plan::STEPS, &Recovery::read(NAME, context, &step)?)
    }

    fn undo_step(context: Context, step: String) -> Result<String, Error> {
        take_back(plan::STEPS, &Recovery::read(NAME, context, &step)?)
    }

    fn assess(context: Context) -> Result<Vec<Finding>, Error> {
        Ok(findings(
            &Recovery::read(NAME, context, "")?,
            Source::RecoveryPoint,
        ))
    }
}

understudy_sdk::strategy::export_strategy!(Restore);
