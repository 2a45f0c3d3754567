//! What the reader and the writer of QCOW2 both know: the structures.

pub(crate) mod ondisk;
