//! Whether everything a plan uses is served, at the version it was built for; and the digest of who may do what.

use sha2::{Digest as _, Sha256};

use super::Prepared;
use super::error::{PrepareError, PrepareErrors};
use crate::call::hex;
use crate::name::InterfaceName;
use crate::plugin::PluginError;
use crate::runbook::types::Runbook;

/// Checks that everything the plan uses is among what is served, at the version it was built for.
///
/// # Errors
/// [`PrepareErrors`] naming each contract.
pub fn check_served(
    prepared: &Prepared,
    served: &[InterfaceName],
    way_out: &str,
) -> Result<(), PrepareErrors> {
    let mut errors = Vec::new();
    for contract in prepared
        .contracts
        .iter()
        .filter(|contract| !served.contains(contract))
    {
        let other = served
            .iter()
            .find(|name| name.unversioned() == contract.unversioned());
        errors.push(match other {
            Some(offered) => version("the strategy", contract, offered).into(),
            None => PrepareError::Unserved {
                contract: contract.to_string(),
                at: String::new(),
                way_out: way_out.to_owned(),
            },
        });
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(PrepareErrors(errors))
    }
}

pub(super) fn version(name: &str, wanted: &InterfaceName, offered: &InterfaceName) -> PluginError {
    PluginError::Version {
        name: name.to_owned(),
        wanted: wanted.clone(),
        offered: offered.to_string(),
    }
}

/// SHA-256 over bindings and grants as this version of the host reads them, lower-case hexadecimal.
#[must_use]
pub fn policy_digest(runbook: &Runbook) -> String {
    hex(&Sha256::digest(format!(
        "{:?} {:?}",
        runbook.bindings, runbook.grants
    )))
}
