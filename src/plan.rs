//! Sizes, offsets, order, growth: arithmetic on numbers only.
