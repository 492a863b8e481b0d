//! Name servers of a lab: the authoritative one, and two resolvers of which one keeps answers longer than it should.

use std::path::Path;

use anyhow::Result;

use crate::lab::SHARED;
use crate::ports::address;
use crate::powerdns::{Authoritative, Zone};
use crate::programs::Programs;
use crate::recursor::Recursor;

/// Running name servers.
#[derive(Debug)]
pub struct Names {
    // Dropped in this order: who asks before who answers.
    /// Resolver that honours TTLs.
    pub resolver: Recursor,
    /// Resolver that does not.
    pub stubborn: Recursor,
    /// The authoritative name server.
    pub authoritative: Authoritative,
}

impl Names {
    /// Starts them with this zone; `stubborn_ttl_seconds` is how long the stubborn resolver keeps every answer at
    /// least.
    ///
    /// # Errors
    /// Where one does not start; the message quotes its log.
    pub async fn start(
        programs: &Programs,
        folder: &Path,
        zone: &Zone,
        stubborn_ttl_seconds: u32,
    ) -> Result<Self> {
        let (dns, api) = (address(SHARED)?, address(SHARED)?);
        // The authoritative one first: the others answer only with it behind them.
        let authoritative =
            Authoritative::start(programs, &folder.join("pdns"), dns, api, zone).await?;
        let (one, two) = (folder.join("resolver"), folder.join("stubborn"));
        let (resolver, stubborn) = tokio::try_join!(
            Recursor::start(programs, &one, address(SHARED)?, dns, None),
            Recursor::start(
                programs,
                &two,
                address(SHARED)?,
                dns,
                Some(stubborn_ttl_seconds)
            ),
        )?;
        Ok(Self {
            resolver,
            stubborn,
            authoritative,
        })
    }
}
