//! Command line arguments; no logic.
