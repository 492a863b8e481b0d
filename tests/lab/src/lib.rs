//! A lab of real servers on the loopback interface, for tests that must not believe a simulation.
//!
//! Two MariaDB servers that replicate, PowerDNS with two caching resolvers, one small HTTPS application per site and a
//! writer that plays the users. Everything lives in one temporary folder, on free ports, and is gone when the [`Lab`]
//! is dropped, also when a test panics or is killed.
//!
//! It is not a product and not a simulation: nothing here knows the host, its plugins or its journal, so what it
//! counts (which acknowledged rows are missing) is independent of what a run reports.
//!
//! Start at [`lab`]; each server has a module of its own.
//!
//! [`Lab`]: lab::Lab

pub mod app;
pub mod audit;
pub mod authority;
pub mod board;
pub mod cli;
pub mod client;
pub mod clock;
pub mod document;
pub mod lab;
pub mod mariadb;
pub mod openapi;
pub mod overlay;
pub mod pair;
pub mod ports;
pub mod powerdns;
pub mod process;
pub mod programs;
pub mod prometheus;
pub mod recursor;
pub mod resolve;
pub mod secret;
pub mod site;
pub mod tls;
pub mod vendor;
pub mod writer;
