//! Policy: what a strategy may ask for. Default is deny, and a denial names the grant that would allow the call.
//!
//! Pure: no wasmtime, no journal, no clock. What a *provider* may send is decided where it leaves the host
//! (`capability`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::call::{CallKind, Denial, FunctionName};
use crate::name::{StepId, StrategyName};
use crate::runbook::types::Grant;

/// Pages for `understudy explain`.
pub const PAGES: &[(&str, &str)] = crate::explain::pages!["PO0001", "PO0002", "PO0003", "PO0004"];

/// No grant names the function.
pub const NO_GRANT: &str = "PO0001";
/// A grant names the function, but not with this argument.
pub const ARGUMENT: &str = "PO0002";
/// The step did not declare the interface in `uses`.
pub const UNDECLARED: &str = "PO0003";
/// Only reads are allowed here.
pub const READ_ONLY: &str = "PO0004";

/// Arguments worth naming in a suggested grant: they say *what* is touched, not how.
const TELLING_ARGUMENTS: [&str; 6] = ["site", "name", "database", "app", "channel", "host"];

/// The interface that needs no grant: it changes nothing but the record of the run.
const CONTROL: &str = "understudy:control/control";

/// The grants of a runbook.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    grants: BTreeMap<StrategyName, Vec<Allowed>>,
}

/// A grant, taken apart: every call asks all of its strategy's.
#[derive(Debug, Clone)]
struct Allowed {
    /// By its short name or by its whole one.
    contract: String,
    /// One, or any.
    function: Option<String>,
    /// Values that arguments must have.
    only: BTreeMap<String, Vec<Value>>,
}

impl Allowed {
    /// `None` for what names no function, as a runbook cannot.
    fn of(grant: &Grant) -> Option<Self> {
        let (contract, function) = grant.allow.rsplit_once('/')?;
        Some(Self {
            contract: contract.to_owned(),
            function: (function != "*").then(|| function.to_owned()),
            only: grant.only.clone(),
        })
    }

    fn names(&self, asked: &FunctionName) -> bool {
        let function = self.function.as_ref();
        function.is_none_or(|function| *function == asked.function)
            && (self.contract == asked.interface.short() || asked.interface.is(&self.contract))
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The strategy whose plugin performs the step.
    pub strategy: &'a StrategyName,
    /// The step.
    pub step: &'a StepId,
    /// Interfaces it declared, by short name.
    pub uses: &'a [String],
    /// Nothing but reads is allowed (`assess`).
    pub read_only: bool,
}

impl Policy {
    /// The policy that these grants make.
    #[must_use]
    pub fn new(grants: &[Grant]) -> Self {
        let mut by_strategy: BTreeMap<StrategyName, Vec<Allowed>> = BTreeMap::new();
        for grant in grants {
            by_strategy
                .entry(grant.strategy.clone())
                .or_default()
                .extend(Allowed::of(grant));
        }
        Self {
            grants: by_strategy,
        }
    }

    /// Allows or denies a call.
    ///
    /// # Errors
    /// [`Denial`] with the rule's code and the grant that would allow the call.
    pub fn check(
        &self,
        asker: Asker<'_>,
        function: &FunctionName,
        args: &Map<String, Value>,
    ) -> Result<(), Denial> {
        let declared = asker
            .uses
            .iter()
            .any(|name| name == function.interface.short());
        if !declared && !asker.read_only {
            return Err(Denial {
                rule: UNDECLARED.to_owned(),
                grant: String::new(),
            });
        }
        if function.interface.is(CONTROL) {
            return Ok(());
        }
        if asker.read_only && CallKind::of(&function.function).is_effect() {
            return Err(Denial {
                rule: READ_ONLY.to_owned(),
                grant: String::new(),
            });
        }
        let naming = || {
            let all = self.grants.get(asker.strategy).into_iter().flatten();
            all.filter(|grant| grant.names(function))
        };
        if naming().any(|grant| {
            grant
                .only
                .iter()
                .all(|(name, allowed)| within(args.get(name), allowed))
        }) {
            return Ok(());
        }
        let naming: Vec<&Allowed> = naming().collect();
        let rule = if naming.is_empty() {
            NO_GRANT
        } else {
            ARGUMENT
        };
        Err(Denial {
            rule: rule.to_owned(),
            grant: suggestion(asker.strategy, function, args, &naming),
        })
    }
}

/// Whether an argument has one of the allowed values; a list is within when each element is.
fn within(argument: Option<&Value>, allowed: &[Value]) -> bool {
    match argument {
        Some(Value::Array(items)) => {
            !items.is_empty() && items.iter().all(|item| allowed.contains(item))
        }
        Some(value) => allowed.contains(value),
        None => false,
    }
}

/// The grant, as it would stand in the runbook. It repeats the arguments that existing grants restrict.
fn suggestion(
    strategy: &StrategyName,
    function: &FunctionName,
    args: &Map<String, Value>,
    naming: &[&Allowed],
) -> String {
    let restricted = |name: &String| naming.iter().any(|grant| grant.only.contains_key(name));
    let telling = |name: &String| naming.is_empty() && TELLING_ARGUMENTS.contains(&name.as_str());
    let only: Vec<String> = args
        .iter()
        .filter(|(name, _)| restricted(name) || telling(name))
        .map(|(name, value)| match value {
            Value::Array(_) => format!("{name} = {value}"),
            value => format!("{name} = [{value}]"),
        })
        .collect();
    let mut line = format!("[[grants]]\nstrategy = \"{strategy}\"\nallow = \"{function}\"");
    if !only.is_empty() {
        line.push_str(&format!("\nonly = {{ {} }}", only.join(", ")));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn function(name: &str) -> FunctionName {
        FunctionName {
            interface: "understudy:dns/dns@0.1.0".parse().unwrap(),
            function: name.to_owned(),
        }
    }

    fn policy(only: &[(&str, Value)]) -> Policy {
        let only = only
            .iter()
            .map(|(name, value)| ((*name).to_owned(), vec![value.clone()]))
            .collect();
        Policy::new(&[Grant {
            strategy: "replica".parse().unwrap(),
            allow: "dns/ensure-record".to_owned(),
            only,
        }])
    }

    fn check(
        policy: &Policy,
        strategy: &str,
        uses: &[&str],
        name: &str,
        args: &Value,
    ) -> Result<(), Denial> {
        let uses: Vec<String> = uses.iter().map(|name| (*name).to_owned()).collect();
        let (strategy, step) = (strategy.parse().unwrap(), "replica/flip".parse().unwrap());
        let asker = Asker {
            strategy: &strategy,
            step: &step,
            uses: &uses,
            read_only: false,
        };
        policy.check(asker, &function(name), args.as_object().unwrap())
    }

    #[test]
    fn a_record_that_is_not_granted_is_denied_with_the_line_that_would_allow_it() {
        let policy = policy(&[("name", json!("wp-active.example.test"))]);
        let ok = json!({"name": "wp-active.example.test", "ttl-seconds": 60});
        assert_eq!(
            check(&policy, "replica", &["dns"], "ensure-record", &ok),
            Ok(())
        );
        let other = json!({"name": "wp-pz.example.test", "ttl-seconds": 60});
        let denial = check(&policy, "replica", &["dns"], "ensure-record", &other).unwrap_err();
        assert_eq!(denial.rule, ARGUMENT);
        assert_eq!(
            denial.grant,
            "[[grants]]\nstrategy = \"replica\"\nallow = \"dns/ensure-record\"\nonly = { name = [\"wp-pz.example.test\"] }"
        );
    }

    #[test]
    fn default_is_deny() {
        let args = json!({"name": "wp-active.example.test"});
        let empty = Policy::default();
        assert_eq!(
            check(&empty, "replica", &["dns"], "get-record", &args)
                .unwrap_err()
                .rule,
            NO_GRANT
        );
        let granted = policy(&[]);
        assert_eq!(
            check(&granted, "restore", &["dns"], "ensure-record", &args)
                .unwrap_err()
                .rule,
            NO_GRANT
        );
        assert_eq!(
            check(&granted, "replica", &[], "ensure-record", &args)
                .unwrap_err()
                .rule,
            UNDECLARED
        );
    }

    #[test]
    fn a_list_is_within_only_if_every_element_is_and_a_missing_argument_never_is() {
        let policy = Policy::new(&[Grant {
            strategy: "replica".parse().unwrap(),
            allow: "understudy:dns/dns/*".to_owned(),
            only: BTreeMap::from([("values".to_owned(), vec![json!("a"), json!("b")])]),
        }]);
        let ask = |args: Value| check(&policy, "replica", &["dns"], "ensure-record", &args);
        assert!(ask(json!({"values": ["a", "b"]})).is_ok());
        assert!(ask(json!({"values": ["a", "c"]})).is_err());
        assert!(ask(json!({"values": []})).is_err());
        assert!(ask(json!({})).is_err());
    }
}
