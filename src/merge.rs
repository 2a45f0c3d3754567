//! Layers to one tree: whiteouts, opaque directories, hard links.
