//! The typed blueprint: what users ask of the system on the disk.
