//! What a journal says of its world's times, and how two runs compare.
