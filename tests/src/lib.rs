//! Black-box proofs over HTTP against the real binary. The stories are in `it/`; what is more than a story is here.

pub mod storm;
