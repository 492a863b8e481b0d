//! Strategy `failback`: the service goes home, after either way of leaving it.
//!
//! The old primary is fenced, what it alone holds is kept, and it is re-seeded from the site that serves; it catches up
//! while users work. Then a person decides; the site that serves is frozen and fenced, the last writes are applied,
//! the old primary is promoted and the name goes back, under the same rules as on the way out. The site that is left
//! becomes the replica again, the service levels are watched for the stability window, and only then does the site
//! stand down and the TTL rise.
//!
//! Both sites must answer: in whatever mode the run is, nothing here is answered for by a person in place of a site.
//!
//! Start with [`plan`]: the strategy is that table. The shared moves are `understudy-recovery`'s, its own are in
//! [`steps`].

mod parameters;
mod plan;
mod steps;

use understudy_recovery::check::{Source, findings};
use understudy_recovery::plan::{lay_out, perform, take_back};
use understudy_recovery::recovery::Recovery;
use understudy_recovery::{Context, Description, Error, Finding, Guest, Mode, Step};

/// The strategy, as it names itself.
const NAME: &str = "failback";

struct Failback;

fn recovery(context: Context, step: &str) -> Result<Recovery, Error> {
    let context = Context {
        mode: Mode::Graceful,
        ..context
    };
    Recovery::read(NAME, context, step)
}

impl Guest for Failback {
    fn describe() -> Description {
        Description {
            name: NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Re-seed the old primary, move the service back to it, restore protection"
                .to_owned(),
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
        Ok(findings(&recovery(context, "")?, Source::Nothing))
    }
}

understudy_sdk::strategy::export_strategy!(Failback);
