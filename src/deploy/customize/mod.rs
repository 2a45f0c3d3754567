//! Applies a blueprint to the copies in /etc and /var of a deployment.
use anyhow::Result;
use diskwright_formats::tree::{NodeId, Time, Tree};
/// x
pub struct System { /// x
    pub deployment: NodeId, /// x
    pub etc: NodeId, /// x
    pub var: NodeId }
/// x
pub fn apply(_: &mut Tree, _: &System, _: &crate::blueprint::Blueprint, _: [u8;32], _: Time) -> Result<()> { Ok(()) }
