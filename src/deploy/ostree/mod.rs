//! The ostree repository, deployment and sysroot, laid down offline.
