//! What effects do to data: a second writer, a loss, what is replaced unkept, and at the end what nothing protects.

use serde::Deserialize;

use super::super::contract::args;
use super::super::database::{Database, State};
use super::super::{World, truth};
use super::{Found, Hazard};
use crate::call::Request;
use crate::clock::millis;
use crate::name::SiteName;

#[derive(Deserialize)]
struct Place {
    site: SiteName,
}

#[derive(Deserialize)]
struct Named {
    database: String,
}

impl World {
    /// A copy is about to become the writer.
    pub(super) fn foresee_promotion(&self, request: &Request) -> Found {
        let (Ok(Place { site }), Ok(Named { database })) = (args(request), args(request)) else {
            return Found::new();
        };
        let Some(database) = self.databases.get(&database) else {
            return Found::new();
        };
        let mut found = Found::new();
        let writes = |name: &SiteName| {
            database
                .copies
                .get(name)
                .is_some_and(|copy| matches!(copy.state, State::Primary(_)) && !copy.read_only)
        };
        let others = || database.copies.keys().filter(|other| **other != site);
        if let Some(other) = others().find(|other| self.is_alive(other) && writes(other)) {
            let what = format!(
                "`{}` is promoted at `{site}` while `{other}` accepts writes",
                database.name
            );
            found.push((Hazard::SecondWriter, what));
        }
        let loss = self.loss_by_promotion(database, &site);
        if loss > 0 {
            let what = format!(
                "`{}` is promoted at `{site}` without the newest {} s of acknowledged writes",
                database.name,
                loss.div_ceil(1_000)
            );
            found.push((Hazard::Loss { ms: loss }, what));
        }
        found
    }

    /// A copy is about to refuse writes: whatever clients have begun until then is cut off.
    pub(super) fn foresee_fence(&self, request: &Request) -> Found {
        let (Ok(Place { site }), Ok(Named { database })) = (args(request), args(request)) else {
            return Found::new();
        };
        let Some(database) = self.databases.get(&database) else {
            return Found::new();
        };
        let copy = database.copies.get(&site);
        let writes =
            copy.is_some_and(|copy| matches!(copy.state, State::Primary(_)) && !copy.read_only);
        let since = self.now.since(database.written);
        if !writes || since >= self.clients.timeout.get() {
            return Found::new();
        }
        let what = format!(
            "`{}` at `{site}` is fenced {} ms after clients' last writes began, and they wait {} ms for an answer",
            database.name,
            millis(since),
            self.clients.timeout.ms()
        );
        vec![(Hazard::CutOff, what)]
    }

    /// What this promotion adds to what is lost already, in milliseconds.
    fn loss_by_promotion(&self, database: &Database, site: &SiteName) -> u64 {
        let Some(copy) = database.copies.get(site) else {
            return 0;
        };
        let survivor = match &copy.state {
            State::Replica(follower) => Some(database.received(follower)),
            _ => database.applied(copy),
        };
        let others = database.copies.iter().filter(|(other, _)| *other != site);
        let newest = others
            .filter_map(|(_, copy)| database.applied(copy))
            .max_by_key(|point| (point.branch, point.number));
        let (Some(survivor), Some(newest)) = (survivor, newest) else {
            return 0;
        };
        let known = database.history.lost(newest);
        let outage = self.watch.outage.filter(|_| *site != self.primary);
        let losses = database.history.lost(survivor);
        let new = losses.iter().filter(|loss| !known.contains(loss));
        new.map(|loss| millis(truth::rpo(loss, outage)))
            .max()
            .unwrap_or(0)
    }

    /// What a copy holds that neither a backup nor any other copy has.
    pub(super) fn foresee_replacement(&self, request: &Request) -> Found {
        let (Ok(Place { site }), Ok(Named { database })) = (args(request), args(request)) else {
            return Found::new();
        };
        let Some(database) = self.databases.get(&database) else {
            return Found::new();
        };
        let history = &database.history;
        let held = database
            .copies
            .get(&site)
            .and_then(|copy| database.applied(copy));
        let others = database.copies.iter().filter(|(other, _)| **other != site);
        let kept = others
            .filter_map(|(_, copy)| database.applied(copy))
            .chain(database.kept.iter().map(|kept| kept.point));
        let mut kept = kept.filter(|kept| held.is_some_and(|held| history.contains(*kept, held)));
        let alone = held.filter(|_| kept.next().is_none());
        alone
            .map(|_| {
                let what = format!(
                    "`{}` at `{site}` is replaced, and what it alone holds is not kept",
                    database.name
                );
                (Hazard::Discarded, what)
            })
            .into_iter()
            .collect()
    }

    /// Databases whose writer has neither a replica nor a recovery point of its own, nor logs that lead there from one.
    pub(super) fn unprotected(&self) -> Found {
        let unprotected = self
            .databases
            .values()
            .filter_map(|database| {
                let (site, branch) = database.writer()?;
                let replica = database.copies.values().any(
                    |copy| matches!(&copy.state, State::Replica(follower) if follower.source == *site),
                );
                let backup = database.kept.iter().any(|kept| kept.point.branch == branch);
                let of_writer = |(logged, _): (usize, _)| logged == branch;
                let logs = database.logs.is_some_and(of_writer) && !database.kept.is_empty();
                (!replica && !backup && !logs).then(|| {
                    format!("`{}` at `{site}` has neither a replica nor a backup", database.name)
                })
            })
            .map(|what| (Hazard::Unprotected, what));
        unprotected.collect()
    }
}
