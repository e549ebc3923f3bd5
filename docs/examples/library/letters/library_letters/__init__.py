"""The index of the library's letters."""
