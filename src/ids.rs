//! Every uuid, salt and time of a build, derived from one seed.
