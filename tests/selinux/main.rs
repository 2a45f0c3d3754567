//! Labels against libselinux (packages libselinux1, selinux-policy-default),
//! and a deployment whose image carries Debian's policy.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod demo;
mod deploy;
mod fixture;
mod judge;
mod lookup;
