//! Strategy `standby`: the backup site is brought to where it waits, ready and not exposed, and is checked to wait so.
//!
//! `from` serves and stays untouched; `to` waits. It is what its code says, its way in is closed, its database follows (or recovery points young
//! enough are at hand), its cluster has what it must and holds the same secrets, its application stands with the decided
//! number of replicas, in maintenance, and certificates can be issued there. At the end one look at everything says whether the posture holds; [`posture`] is also what
//! `assess` answers, so that `understudy check --live` finds out on any day whether it still does.
//!
//! Nothing here promotes, exposes or flips, and nothing is done to a site that serves: before each change the name and the
//! database are looked at again ([`guard`]).
//!
//! Start with [`plan`]: the strategy is that table.

mod cluster;
mod guard;
mod mirror;
mod monitoring;
mod networks;
mod parameters;
mod plan;
mod posture;
mod stacks;
mod steps;

use understudy_recovery::plan::{lay_out, perform, take_back};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Context, Description, Error, Finding, Guest, Mode, Step};

/// The strategy, as it names itself.
const NAME: &str = "standby";

struct Standby;

/// Both sites must answer, in whatever mode the run is.
fn recovery(context: Context, step: &str) -> Result<Recovery, Error> {
    let context = Context {
        mode: Mode::Graceful,
        ..context
    };
    Recovery::read(NAME, context, step)
}

impl Guest for Standby {
    fn describe() -> Description {
        Description {
            name: NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Bring the backup site to where it waits, ready and not exposed".to_owned(),
            config_schema: parameters::schema(),
        }
    }

    fn validate_config(config: String) -> Result<(), Vec<String>> {
        parameters::validate(&config)
    }

    fn plan(context: Context) -> Result<Vec<Step>, Error> {
        Ok(lay_out(plan::STEPS, &recovery(context, "")?))
    }

    fn run_step(context: Context, step: String) -> Result<String, Error> {
        perform(plan::STEPS, &recovery(context, &step)?)
    }

    fn undo_step(context: Context, step: String) -> Result<String, Error> {
        take_back(plan::STEPS, &recovery(context, &step)?)
    }

    fn assess(context: Context) -> Result<Vec<Finding>, Error> {
        posture::findings(&recovery(context, "")?)
    }
}

understudy_sdk::strategy::export_strategy!(Standby);
