//! Sizes: constants and rounding.

/// 1024 bytes.
pub const KIB: u64 = 1 << 10;
/// 1024 KiB.
pub const MIB: u64 = 1 << 20;
/// 1024 MiB.
pub const GIB: u64 = 1 << 30;
/// 1024 GiB.
pub const TIB: u64 = 1 << 40;

/// `value` rounded up to a multiple of `unit` (which is not zero).
#[must_use]
pub const fn round_up(value: u64, unit: u64) -> u64 {
    value.div_ceil(unit) * unit
}

/// `value` rounded down to a multiple of `unit` (which is not zero).
#[must_use]
pub const fn round_down(value: u64, unit: u64) -> u64 {
    value / unit * unit
}
