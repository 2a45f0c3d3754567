//! Repository and composefs image against their outside judges: the
//! distribution's `ostree`, and a newer release's `ostree` and `mkcomposefs`
//! in a private root (`scripts/judge-root`). Runs as root: objects have owners.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod cfs;
mod corpus;
mod judge;
mod repo;
