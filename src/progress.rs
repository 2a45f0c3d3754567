//! What the stages tell a watcher: which stage, how much there is to do, how much is done.

/// Hears of the stages of a build. `advance` counts bytes of the current stage.
pub trait Progress: diskwright_formats::writer::Progress {
    /// A stage begins ("merging layers"); `total` bytes are to be done, if that is known.
    fn begin(&self, stage: &str, total: Option<u64>);

    /// Something a user should know that is no error.
    fn note(&self, text: &str);
}

/// Nobody watches.
impl Progress for () {
    fn begin(&self, _stage: &str, _total: Option<u64>) {}
    fn note(&self, _text: &str) {}
}
