//! Several layers.
