//! What the `probe` contract walks and asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::door::Door;
use super::steps::whole;
use super::{Declared, keys};
use crate::name::SiteName;
use crate::runbook::raw::{At, RawJourneyStep, RawProbe, Text};
use crate::runbook::types::{JourneyStep, Probe};

/// Status accepted where a journey names none.
const DEFAULT_STATUS: u16 = 200;

impl Door<'_> {
    pub(super) fn probe(&mut self, raw: &RawProbe, declared: &Declared<'_>) -> Option<Probe> {
        let zone_header = self.header(&raw.zone_header);
        let entries = self.site_entries(&raw.entries, declared);
        let resolvers = raw
            .resolvers
            .iter()
            .filter_map(|(name, address)| {
                let read = self.address(address);
                Some((self.kebab("resolver name", name)?, read?))
            })
            .collect();
        let public_resolver = raw.public_resolver.as_ref();
        let public_resolver =
            public_resolver.map(|name| self.known("resolver", name, &keys(&raw.resolvers)));
        let credentials = self.credentials(&raw.credentials);
        let slots = keys(&raw.credentials);
        let mut journeys = BTreeMap::new();
        for (name, journey) in &raw.journeys {
            let steps = self.journey(name, journey, &slots);
            journeys.extend(self.kebab("journey name", name).map(|name| (name, steps)));
        }
        let trust = raw
            .trust
            .iter()
            .filter_map(|path| self.path("PEM file", path))
            .collect();
        Some(Probe {
            zone_header: zone_header?,
            entries,
            journeys,
            resolvers,
            public_resolver: whole(public_resolver)?,
            credentials,
            trust,
        })
    }

    fn site_entries(
        &mut self,
        raw: &BTreeMap<Text, Text>,
        declared: &Declared<'_>,
    ) -> BTreeMap<SiteName, SocketAddr> {
        raw.iter()
            .filter_map(|(site, address)| {
                let read = self.address(address);
                Some((self.reference("site", site, &declared.sites)?, read?))
            })
            .collect()
    }

    /// A name that only this file uses and that must be one of `known`.
    fn known(&mut self, kind: &'static str, name: &Text, known: &BTreeSet<&str>) -> Option<String> {
        self.reference::<crate::name::PluginName>(kind, name, known)
            .map(String::from)
    }

    fn journey(
        &mut self,
        name: &Text,
        journey: &At<Vec<RawJourneyStep>>,
        slots: &BTreeSet<&str>,
    ) -> Vec<JourneyStep> {
        if journey.value().is_empty() {
            self.contradiction(
                &journey.span(),
                format!("journey `{}` has no steps", name.value()),
                "add a step: a journey that asks nothing always passes",
            );
        }
        journey
            .value()
            .iter()
            .filter_map(|step| self.journey_step(step, slots))
            .collect()
    }

    fn journey_step(
        &mut self,
        raw: &RawJourneyStep,
        slots: &BTreeSet<&str>,
    ) -> Option<JourneyStep> {
        let method = raw.method.as_ref().map(|method| self.method(method));
        let url = self.url(&raw.url);
        let headers = raw
            .headers
            .iter()
            .filter_map(|(name, value)| Some((self.header(name)?, value.clone())))
            .collect();
        let credential = raw
            .credential
            .as_ref()
            .map(|slot| self.known("credential slot", slot, slots));
        if let Some(statuses) = &raw.expect_status {
            let valid = |status: &u16| (100..=599).contains(status);
            if statuses.value().is_empty() || !statuses.value().iter().all(valid) {
                self.contradiction(
                    &statuses.span(),
                    "no response can have this status".to_owned(),
                    "name one or more statuses from 100 to 599",
                );
            }
        }
        Some(JourneyStep {
            name: raw.name.clone(),
            method: whole(method)?.unwrap_or_else(|| "GET".to_owned()),
            url: url?,
            headers,
            body: raw.body.clone(),
            credential: whole(credential)?,
            expect_status: raw
                .expect_status
                .as_ref()
                .map_or_else(|| vec![DEFAULT_STATUS], |statuses| statuses.value().clone()),
            expect_body: raw.expect_body.clone(),
        })
    }
}
