//! The command `diskwright`.

fn main() {}
