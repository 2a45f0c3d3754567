//! Partition tables: the sectors before and after the partitions.

pub mod gpt;
