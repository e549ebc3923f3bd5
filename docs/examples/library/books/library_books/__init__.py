"""The index of the library's books."""
