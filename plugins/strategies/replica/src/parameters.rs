//! What the strategy is told: what every strategy is told, and nothing else.

use understudy_recovery::fault;
use understudy_recovery::parameters::{self, Parameters};

/// The JSON Schema of the parameters.
pub(crate) fn schema() -> String {
    parameters::schema("Parameters of the strategy replica", "")
}

/// What the schema cannot say, one line per problem.
pub(crate) fn validate(config: &str) -> Result<(), Vec<String>> {
    let parameters = Parameters::read(config).map_err(|error| vec![fault::say(&error)])?;
    let problems = parameters.problems();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}
