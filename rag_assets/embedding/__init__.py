"""Texts to vectors: the llama-server process and its client."""
