//! Black-box stories over HTTP against the real binary; they are in `it/`.
