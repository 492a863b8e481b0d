//! Providers of vendors that no software stands in for: the real components, driven through the binary, against
//! stateful stand-ins that are held to the vendors' published documents; and providers of what is really here: a
//! Prometheus, PowerDNS by dynamic updates, an ACME authority, and a Kubernetes API server whose kubeconfig a vendor hands
//! out. Terraform's failures are played by a stand-in, the rest is done by the real program.
//!
//! `host` runs the calls; a module per provider.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: what does not hold must end it"
)]

mod acme;
mod caches;
mod cloudflare;
mod digitalocean;
mod host;
mod kubeconfig;
mod managed;
mod prometheus;
mod rfc2136;
mod s3;
mod terraform;

/// The secret for a vendor's slot, in the variable that the bindings here name.
fn token(secret: &str) -> [(String, String); 1] {
    [("TOKEN".to_owned(), secret.to_owned())]
}
