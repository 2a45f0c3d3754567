//! Image sources judged by skopeo, Debian's registry and openssl: what they
//! write is read, what they say about it is compared, and what is broken in
//! one place each is refused with a text that names the place.

mod fixture;
mod local;
