//! Monitoring measures what it must and would tell people of what it must, by one read of each site's: [`findings`]. What is
//! read is judged by the pure functions below it.

use understudy_recovery::Finding;
use understudy_recovery::check::judged;
use understudy_sdk::strategy::understudy::metrics::metrics::{self, Alert, Job};

use crate::parameters::Watched;

/// For each site that is watched, its targets and its rules as far as they are named.
pub(crate) fn findings(watched: &[Watched]) -> Vec<Finding> {
    let mut found = Vec::new();
    for Watched { site, jobs, alerts } in watched {
        let seen = metrics::observe_monitoring(site);
        if !jobs.is_empty() {
            let id = format!("targets-of-{site}-up");
            found.push(judged(&id, seen.clone(), |seen| up(&seen.jobs, jobs)));
        }
        if !alerts.is_empty() {
            let id = format!("alerts-of-{site}-work");
            found.push(judged(&id, seen, |seen| work(&seen.alerts, alerts)));
        }
    }
    found
}

/// Whether of each job some target is up and none is down.
fn up(all: &[Job], wanted: &[String]) -> (bool, String) {
    let mut problems = Vec::new();
    let mut targets = 0;
    for name in wanted {
        match all.iter().find(|job| job.name == *name) {
            None => problems.push(format!("nothing is measured as `{name}`")),
            Some(job) if job.down > 0 => problems.push(format!(
                "{} of {} targets of `{name}` are not up ({})",
                job.down,
                u64::from(job.up) + u64::from(job.down),
                job.problem
            )),
            Some(job) if job.up == 0 => problems.push(format!("`{name}` has no target")),
            Some(job) => targets += job.up,
        }
    }
    told(&problems, || {
        format!("{targets} targets of {} are up", wanted.join(", "))
    })
}

/// Whether each rule is there and works. That one tells people now is no fault of monitoring.
fn work(all: &[Alert], wanted: &[String]) -> (bool, String) {
    let mut problems = Vec::new();
    let mut firing = Vec::new();
    for name in wanted {
        match all.iter().find(|alert| alert.name == *name) {
            None => problems.push(format!("there is no rule `{name}`")),
            Some(alert) if !alert.works => {
                problems.push(format!("`{name}` does not work ({})", alert.problem));
            }
            Some(alert) if alert.firing => firing.push(name.as_str()),
            Some(_) => {}
        }
    }
    told(&problems, || {
        let now = match firing.as_slice() {
            [] => String::new(),
            firing => format!("; firing now: {}", firing.join(", ")),
        };
        format!("{} would tell people{now}", wanted.join(", "))
    })
}

fn told(problems: &[String], otherwise: impl FnOnce() -> String) -> (bool, String) {
    if problems.is_empty() {
        (true, otherwise())
    } else {
        (false, problems.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn every_job_has_targets_and_all_of_them_are_up() {
        let job = |name: &str, up: u32, down: u32| Job {
            name: name.to_owned(),
            up,
            down,
            problem: "b:9100: connection refused".to_owned(),
        };
        let all = [
            job("node", 3, 0),
            job("mysql", 1, 1),
            job("idle", 0, 0),
            job("db", 1, 0),
        ];
        let up = |wanted: &[&str]| up(&all, &names(wanted));
        assert_eq!(
            up(&["node", "db"]),
            (true, "4 targets of node, db are up".to_owned())
        );
        for (wanted, words) in [
            (
                "mysql",
                "1 of 2 targets of `mysql` are not up (b:9100: connection refused)",
            ),
            ("idle", "`idle` has no target"),
            ("missing", "nothing is measured as `missing`"),
        ] {
            assert_eq!(up(&["node", wanted]), (false, words.to_owned()));
        }
    }

    #[test]
    fn every_rule_is_there_and_works_whether_it_fires_or_not() {
        let alert = |name: &str, works: bool, firing: bool| Alert {
            name: name.to_owned(),
            works,
            firing,
            problem: "many-to-many".to_owned(),
        };
        let all = [
            alert("Behind", true, false),
            alert("Down", true, true),
            alert("Old", false, false),
        ];
        let work = |wanted: &[&str]| work(&all, &names(wanted));
        assert_eq!(
            work(&["Behind", "Down"]),
            (
                true,
                "Behind, Down would tell people; firing now: Down".to_owned()
            )
        );
        assert_eq!(
            work(&["Behind", "Old"]),
            (false, "`Old` does not work (many-to-many)".to_owned())
        );
        assert_eq!(
            work(&["Stale"]),
            (false, "there is no rule `Stale`".to_owned())
        );
    }
}
