//! The binary `understudy`: everything it does is in the library and in `cli/`.

fn main() {}
