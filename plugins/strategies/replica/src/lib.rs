//! Strategy `replica` (A): the backup site's replica becomes the writer, and the active name follows.
//!
//! What can be prepared is prepared first (TTL, public way in, certificate, lag), and can be taken back. Then a person
//! decides; the old site is frozen and fenced, or a person answers that it is dead; the replica applies what there is,
//! the loss is weighed, and the promotion is the point of no return. The name is flipped once the writer writes, the
//! certificate is served, every journey passes at the site itself, and one old TTL has passed. At the end a replica or
//! a fresh backup exists again.
//!
//! Graceful, everything slow is done before the decision, so that users wait for as little as possible. Ungraceful, the
//! decision comes first and everything else runs beside it.
//!
//! Start with [`plan`]: the strategy is that table. The moves are `understudy-recovery`'s.

mod parameters;
mod plan;

use understudy_recovery::check::{Source, findings};
use understudy_recovery::plan::{lay_out, perform, take_back};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Context, Description, Error, Finding, Guest, Step};

/// The strategy, as it names itself.
const NAME: &str = "replica";

struct Replica;

impl Guest for Replica {
    fn describe() -> Description {
        Description {
            name: NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Promote the backup site's replica and let the active name follow".to_owned(),
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
            Source::Replica,
        ))
    }
}

understudy_sdk::strategy::export_strategy!(Replica);
