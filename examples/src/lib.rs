//! Embedding each library, one example each.
