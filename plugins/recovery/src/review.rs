//! What can be said of a strategy's table without running it: that it is a graph in every mode and with the barest
//! parameters, that what the service does without is not called, that it covers its items, that its order keeps data
//! safe. For the tests of strategies: a new one hands in its [`Review`] and gets all of it.

use std::collections::BTreeSet;

use crate::plan::{Row, covered, flaws, lay_out};
use crate::recovery::Recovery;
use crate::{Context, Mode, Step};

/// Ids and kinds of the source runbooks' items that the strategies are meant to cover.
const ITEMS: &str = include_str!("../covers.tsv");

/// Contracts that a service may do without.
const OPTIONAL: [&str; 5] = ["edge-cache", "ingress", "metrics", "notify", "storage"];

/// The order that keeps data safe in every recovery: the first step certainly comes after the second.
const ORDER: [(&str, &str); 12] = [
    ("promote", "fence"),
    ("promote", "declare"),
    ("flip", "lower-ttl"),
    ("flip", "promote"),
    ("flip", "verify-writer"),
    ("flip", "check-certificate"),
    ("flip", "validate-direct"),
    ("flip", "activate"),
    ("activate", "promote"),
    ("protect", "validate-public"),
    ("announce", "protect"),
    ("restore-ttl", "converge"),
];

/// And where the site that is left serves meanwhile.
const GRACEFUL_ORDER: [(&str, &str); 2] =
    [("flip", "await-old-ttl"), ("await-old-ttl", "lower-ttl")];

/// A strategy's table and what is asked of it.
pub struct Review<'r> {
    /// Name of the strategy.
    pub name: &'static str,
    /// Its table.
    pub rows: &'static [Row],
    /// The site it leaves and the site it goes to.
    pub sites: [&'r str; 2],
    /// Whether an item of a source runbook is for this strategy to cover.
    pub owns: fn(&str) -> bool,
    /// What holds of its own steps beside [`ORDER`], in every mode.
    pub order: &'r [(&'r str, &'r str)],
}

impl Review<'_> {
    /// Everything that is wrong; empty for a table that is as it should be.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let mut findings = flaws(self.rows);
        for bare in [false, true] {
            for mode in [Mode::Graceful, Mode::Ungraceful] {
                match self.plan(bare, mode) {
                    Ok(plan) => findings.extend(self.in_plan(&plan, bare, mode)),
                    Err(error) => findings.push(error),
                }
            }
        }
        findings.extend(self.items());
        findings
    }

    fn plan(&self, bare: bool, mode: Mode) -> Result<Vec<Step>, String> {
        let [from, to] = self.sites;
        let mut config = serde_json::json!({
            "from": from, "to": to, "database": "d", "app": "a", "replicas": 2, "journeys": ["front-page"],
            "records": { "active": "active.test", "targets": { from: format!("{from}.test"), to: format!("{to}.test") } },
            "certificate": { "name": "c", "issuer": "i", "dns-names": ["active.test", format!("{to}.test")] },
        });
        let extra = if bare {
            serde_json::json!({ "expose": false })
        } else {
            serde_json::json!({ "objectives": ["error-rate"], "media-bucket": "m", "channel": "c",
                "cached-hosts": ["active.test"] })
        };
        if let (Some(config), serde_json::Value::Object(extra)) = (config.as_object_mut(), extra) {
            config.extend(extra);
            if bare
                && let Some(certificate) = config
                    .get_mut("certificate")
                    .and_then(|all| all.as_object_mut())
            {
                certificate.insert("test-issue".to_owned(), false.into());
            }
        }
        let context = Context {
            run: "r".to_owned(),
            config: config.to_string(),
            mode,
            rto_target_ms: 1,
            rpo_target_ms: 1,
        };
        let recovery = Recovery::read(self.name, context, "");
        Ok(lay_out(
            self.rows,
            &recovery.map_err(|error| format!("{error:?}"))?,
        ))
    }

    fn in_plan(&self, plan: &[Step], bare: bool, mode: Mode) -> Vec<String> {
        let planned = |id: &str| plan.iter().any(|step| step.id == id);
        let needs = plan.iter().flat_map(|step| {
            let missing = step.needs.iter().filter(|need| !planned(need));
            missing.map(|need| format!("{} needs {need}, which is not planned", step.id))
        });
        let calls = plan.iter().filter(|_| bare).flat_map(|step| {
            let called = step
                .uses
                .iter()
                .filter(|used| OPTIONAL.contains(&used.as_str()));
            called.map(|used| format!("{} uses {used}, which the service does without", step.id))
        });
        let while_it_serves = GRACEFUL_ORDER.iter().filter(|_| mode == Mode::Graceful);
        let order = ORDER
            .iter()
            .chain(while_it_serves)
            .chain(self.order)
            .filter(|(later, earlier)| !is_after(plan, later, earlier))
            .map(|(later, earlier)| format!("{later} does not come after {earlier}"));
        needs.chain(calls).chain(order).collect()
    }

    fn items(&self) -> Vec<String> {
        let items: BTreeSet<&str> = ITEMS
            .lines()
            .filter_map(|line| line.split('\t').next())
            .collect();
        let covered: BTreeSet<&str> = covered(self.rows).into_iter().collect();
        let unknown = covered
            .difference(&items)
            .map(|id| format!("{id} is no item of covers.tsv"));
        let missing = items
            .iter()
            .filter(|id| (self.owns)(id) && !covered.contains(*id))
            .map(|id| format!("{id} is not covered"));
        unknown.chain(missing).collect()
    }
}

/// True where `later` certainly comes after `earlier`.
fn is_after(plan: &[Step], later: &str, earlier: &str) -> bool {
    let step = plan.iter().find(|step| step.id == later);
    step.is_some_and(|step| {
        step.needs
            .iter()
            .any(|need| need == earlier || is_after(plan, need, earlier))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::DECLARE;
    use crate::promote::PROMOTE;

    const ROWS: &[Row] = &[
        Row::new("promote", PROMOTE).covers(&["S0-Z9.9"]),
        Row::new("declare", DECLARE),
    ];

    #[test]
    fn what_is_wrong_is_found() {
        let review = Review {
            name: "replica",
            rows: ROWS,
            sites: ["pz", "bz"],
            owns: |id| id == "S0-A1.1",
            order: &[("declare", "promote-again")],
        };
        let findings: BTreeSet<String> = review.findings().into_iter().collect();
        let missing = [
            "S0-A1.1 is not covered".to_owned(),
            "S0-Z9.9 is no item of covers.tsv".to_owned(),
            "declare does not come after promote-again".to_owned(),
        ];
        let order = ORDER.into_iter().chain(GRACEFUL_ORDER);
        let order = order.map(|(later, earlier)| format!("{later} does not come after {earlier}"));
        assert_eq!(findings, order.chain(missing).collect());
    }
}
