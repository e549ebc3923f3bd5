"""Texts to vectors: `embedder` packs requests, sends several at once, and starts the engine at the first text.

The engine's process: `server`; one of another process of this home: `neighbour`.
A request: `client`, over `connections`, through a `door` if the engine is ours; how long it waits: `waiting`.
Several servers as one: `remotes`. Whether vectors are those of the model: `known`.
Which settings are fastest here: `calibration`. Found passages sorted anew: `reranker`.
"""
